"""What other versions of Nix print: a directory of recorded output for each.

A new version is a new directory in `recorded/`, which `tests/nix/recorder.py` fills;
what is in it is tried by its name.
"""

import json
import re
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from nixeryd.nix.caches import CacheFailed
from nixeryd.nix.closure import parse_path_info
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.nix.listener import Listener
from nixeryd.nix.plan import Planned
from nixeryd.nix.progress import DownloadStopped, Totals
from nixeryd.nix.realise import BuildFailed
from nixeryd.nix.reasons import explain
from nixeryd.nix.storedb import read_closure
from nixeryd.nix.transfers import Transferred

RECORDED = Path(__file__).parent / "recorded"
# By scenario: the derivation to blame, and what Nix says of it in whatever words.
FAILURES = {
    "fails": ("fails-1.0", "exit code 3"),
    "depfails": ("fails-1.0", "exit code 3"),
    "fod": ("fod-1.0", "hash mismatch"),
    "three": ("fod-1.0", "hash mismatch"),
}


def recorded(pattern: str) -> list[object]:
    return [
        pytest.param(file, id=f"{file.parent.name} {file.stem}")
        for file in sorted(RECORDED.glob(f"*/{pattern}"))
    ]


def listen(file: Path) -> tuple[Listener, list[object]]:
    events: list[object] = []
    listener = Listener(events.append)
    for line in file.read_text().splitlines():
        listener.feed(line)
    return listener, events


@pytest.mark.parametrize(
    "file", [*recorded("daemon-*.stderr"), *recorded("local-*.stderr")]
)
def test_why_a_build_failed_is_heard(file):
    package, reason = FAILURES[file.stem.rpartition("-")[2]]
    listener, _ = listen(file)
    failure = listener.failure()
    assert isinstance(failure, BuildFailed)
    assert failure.message.startswith(f"building {package} failed: ")
    assert failure.drv is not None
    assert failure.drv.endswith(f"-{package}.drv")
    assert reason in failure.reason
    assert "restricted setting" not in failure.message
    if package == "fails-1.0":
        assert failure.log_tail == ("building", "line two")
    assert failure.message.count("line two") == len(failure.log_tail) // 2


@pytest.mark.parametrize("file", recorded("substitute-*.stderr"))
def test_downloads_have_a_total_from_the_start(file):
    _, events = listen(file)
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert (planned.builds, planned.downloads) == (0, 45)
    assert planned.download_size == pytest.approx(163.0 * 2**20, rel=1e-3)
    moved = [event for event in events if isinstance(event, Transferred)]
    for one in moved:
        assert one.expected == pytest.approx(planned.download_size, rel=0.03)
    assert [one.done for one in moved] == sorted(one.done for one in moved)
    assert moved[-1].done > 50e6, "most of these lines were left out of the record"
    stopped = [event for event in events if isinstance(event, DownloadStopped)]
    assert len(stopped) == 45
    kinds = {event.kind for event in events if isinstance(event, Totals)}
    assert kinds == {"downloads"}, "nothing is built, though Nix counts a derivation"


@pytest.mark.parametrize("file", recorded("cache-*.stderr"))
def test_a_cache_that_fails_is_named(file):
    listener, _ = listen(file)
    failure = listener.failure()
    assert isinstance(failure, CacheFailed)
    assert failure.cache.startswith("http://127.0.0.1:")
    assert failure.is_transient
    assert "setting" not in failure.message
    assert "read-log" not in failure.message


@pytest.mark.parametrize("file", recorded("realise-dry-run.txt"))
def test_a_plan_is_read(file):
    listener, _ = listen(file)
    assert (listener.planned.builds, listener.planned.downloads) == (0, 45)
    assert listener.planned.download_size == pytest.approx(170_950_000, rel=1e-3)


@pytest.mark.parametrize("file", recorded("db-schema.sql"))
def test_the_database_is_read(file, tmp_path):
    database = tmp_path / "db" / "db.sqlite"
    database.parent.mkdir()
    (database.parent / "schema").write_text("10")
    statements = re.split(r"(?m)^(?=CREATE )", file.read_text())
    with closing(sqlite3.connect(database)) as db:
        for statement in statements:
            if "sqlite_sequence" not in statement:
                db.execute(statement or "SELECT 1")
        for number, name in enumerate("ab", 1):
            row = (number, f"/nix/store/{name}", f"sha256:{'0' * 64}", 120)
            db.execute(
                "INSERT INTO ValidPaths (id, path, hash, registrationTime, narSize)"
                " VALUES (?, ?, ?, 0, ?)",
                row,
            )
        db.execute("INSERT INTO Refs VALUES (1, 2)")
        db.commit()
    closure = read_closure(database, ["/nix/store/a"])
    assert closure is not None
    assert closure["/nix/store/a"].references == ("/nix/store/b",)


@pytest.mark.parametrize("file", recorded("path-info-*.json"))
def test_closures_are_read(file):
    if file.stem == "path-info-invalid":
        with pytest.raises(Exception, match="is not in the Nix store"):
            parse_path_info(file.read_bytes())
        return
    closure = parse_path_info(file.read_bytes())
    assert closure
    assert all(info.nar_size and info.nar_hash for info in closure.values())
    assert set(closure) <= {path for path in closure if path.startswith("/nix/store/")}


SOURCE = "/home/me/nixeryd/tests/nix/sets"
PLACED = {
    "asserting": ("assertion '(1 == 2)'", "default.nix:61:15"),
    "mistyped": ("cannot add a string to an integer", "default.nix:63:39"),
    "thrown": ("this one is thrown", ""),
}


@pytest.mark.parametrize("file", recorded("eval-trace-*.txt"))
def test_an_evaluation_error_tells_where(file):
    said, place = PLACED[file.stem.rpartition("-")[2]]
    told = explain(file.read_text().splitlines(), 1, source=SOURCE)
    assert said in told
    assert f"at {SOURCE}/{place}" in told or not place
    assert "resolve.nix" not in told
    assert told.count(" at /") + told.count("\nat /") <= 1


@pytest.mark.parametrize("file", recorded("oom.txt"))
@pytest.mark.parametrize(
    ("memory", "told"), [(2 << 30, "nix.evaluation_memory"), (0, "out of memory")]
)
def test_an_evaluation_without_memory_says_so(file, memory, told):
    lines = file.read_text().splitlines()
    assert told in explain(lines, -signal.SIGABRT, memory=memory)
    assert told in explain(lines, 1, memory=memory)
    assert told in explain([], -signal.SIGKILL, memory=memory)
    assert "SIG" not in explain(["error: no"], 1, memory=memory)


def test_placeholders_are_told_from_store_paths():
    answer = json.loads((RECORDED / "2.26" / "resolve-ca.json").read_text())["ca"]
    package = ResolvedPackage(
        "ca",
        answer["drvPath"],
        tuple(output["path"] for output in answer["outputs"]),
        ("out",),
        "ca-1.0",
        None,
    )
    assert package.is_floating
    assert not replace(package, outputs=("/nix/store/00-ca-1.0",)).is_floating
