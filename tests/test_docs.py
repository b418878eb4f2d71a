"""What the documents name is there: tests, files, headings."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    document
    for pattern in ("*.md", "docs/**/*.md", "packaging/*.md", "benchmarks/*.md")
    for document in ROOT.glob(pattern)
)

TEST = re.compile(r"\btests/[\w/-]+\.py(?:::\w+)?")
LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@cache
def named_in(file: Path) -> frozenset[str]:
    """Name what pytest would collect; not imported, so that nothing can hide one."""
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def anchors(text: str) -> set[str]:
    """Make of each heading what a link to it says, as GitHub does."""
    plain = (re.sub(r"[^\w\s-]", "", title) for title in HEADING.findall(text))
    return {title.strip().lower().replace(" ", "-") for title in plain}


def missing(text: str, document: Path) -> list[str]:
    """List what a document names and what is not there."""
    lost = []
    for named in TEST.findall(text):
        path, _, name = named.partition("::")
        file = ROOT / path
        if not file.is_file() or (name and name not in named_in(file)):
            lost.append(named)
    for link in LINK.findall(FENCED.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = document.parent / path
        if path and not file.exists():
            lost.append(link)
        if anchor and anchor not in anchors(file.read_text() if path else text):
            lost.append(link)
    return lost


def test_there_are_documents():
    names = {str(document.relative_to(ROOT)) for document in DOCUMENTS}
    assert names >= {"README.md", "CONTRIBUTING.md"}


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_a_document_names_is_there(document):
    assert missing(document.read_text(), document) == []


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("`tests/test_docs.py::test_there_are_documents`", []),
        ("`tests/test_docs.py::test_nothing`", ["tests/test_docs.py::test_nothing"]),
        ("`tests/test_docs.py::missing`", ["tests/test_docs.py::missing"]),
        ("`tests/test_no.py::test_x`", ["tests/test_no.py::test_x"]),
        ("see tests/no/test_no.py.", ["tests/no/test_no.py"]),
        ("[a](README.md) [b](https://example.com/x)", []),
        ("[a](READYOU.md)", ["READYOU.md"]),
        ("![a](packaging/screenshots/gone.png)", ["packaging/screenshots/gone.png"]),
        ("# It's *one* `x_y`!\n[a](#its-one-x_y) [b](#two)", ["#two"]),
        ("[a](README.md#configuration) [b](README.md#no)", ["README.md#no"]),
        ("```\n[a](not-a-link)\n```\n", []),
    ],
)
def test_what_is_lost_is_found(text, lost):
    assert missing(text, ROOT / "README.md") == lost
