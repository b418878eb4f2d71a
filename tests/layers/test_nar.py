"""Sizes of NARs: Nix itself says what is right."""

import os
import subprocess

import pytest
from hypothesis import given, settings, strategies as st

from nixeryd.layers import nar
from nixeryd.layers.walking import walk

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)
LEAVES = st.tuples(st.booleans(), st.binary(max_size=40)) | NAMES.map(str)
TREES = st.recursive(
    LEAVES,
    lambda tree: st.dictionaries(
        NAMES.filter(lambda name: name not in {".", ".."} and len(name) < 40),
        tree,
        max_size=4,
    ),
    max_leaves=8,
)


def make(path, tree):
    match tree:
        case dict():
            path.mkdir()
            for name, below in tree.items():
                make(path / name, below)
        case str():
            path.symlink_to(tree[:60])
        case (is_executable, data):
            path.write_bytes(data)
            path.chmod(0o555 if is_executable else 0o444)


def size(path):
    entries = walk(str(path))
    sizes = (
        nar.size_of(entry, is_root=number == 0)
        for number, (entry, _) in enumerate(entries)
    )
    return nar.MAGIC + sum(sizes)


def dump(path):
    ran = subprocess.run(["nix-store", "--dump", path], check=True, capture_output=True)
    return len(ran.stdout)


@settings(max_examples=25, deadline=None)
@given(TREES)
def test_a_size_is_that_of_nix(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("nar") / "root"
    make(path, tree)
    assert size(path) == dump(path)


@pytest.mark.parametrize("length", range(17))
def test_names_and_contents_are_padded(tmp_path, length):
    root = tmp_path / "root"
    root.mkdir()
    (root / ("n" * length or "x")).write_bytes(b"." * length)
    assert size(root) == dump(root)


def test_names_that_are_no_utf8_count_their_bytes(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / os.fsdecode(b"\xff\xfe\xe9")).touch()
    (root / os.fsdecode(b"\xc3")).symlink_to(os.fsdecode(b"\xff" * 9))
    assert size(root) == dump(root)


def test_what_nix_appends_to_names_for_macos_does_not_count(tmp_path):
    for name in ("N", "n~nix~case~hack~1"):
        (tmp_path / name / "root").mkdir(parents=True)
        (tmp_path / name / "root" / name).touch()
    first, second = (size(path / "root") for path in sorted(tmp_path.iterdir()))
    assert first == second
