"""An upgrade that is killed, or loses its power, anywhere: names and pins are kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from nixeryd.store.migrations import newest, version_of
from tests.e2e.processes import environment
from tests.store.released import make_data_dir
from tests.torture.disk import lossy_disk, why_not

# Opens each data directory in a process of its own, which is killed before so many
# statements of SQL; says which of them ended by themselves.
_UPGRADES = """\
import os, signal, sys
from pathlib import Path
from nixeryd.store import index
from nixeryd.store.datadir import open_data_dir

def connect(path, then=index.connect):
    def count(_):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
    connection = then(path)
    connection.set_trace_callback(count)
    return connection

index.connect = connect
for data, left in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    if not (child := os.fork()):
        with open_data_dir(Path(data)) as places, index.open_index(places.index):
            os._exit(0)
    _, status = os.waitpid(child, 0)
    said = data if status == 0 else f"killed by {os.WTERMSIG(status)}"
    print(said, flush=True)  # or the next child has it, too, and says it again
"""


def upgrade(data: dict[Path, int]) -> list[str]:
    """Upgrade each of these as far as so many statements."""
    words = [str(word) for pair in data.items() for word in pair]
    done = subprocess.run(
        [sys.executable, "-c", _UPGRADES, *words],
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        check=True,
        capture_output=True,
        text=True,
    )
    return [line for line in done.stdout.splitlines() if "index migrated" not in line]


def check(data: Path) -> None:
    """See that all is there, whatever happened before."""
    with open_data_dir(data) as places, open_index(places.index) as index:
        assert not places.index.with_name("index.sqlite.broken").exists()
        assert version_of(index.names._db) == newest()
        assert {(str(name), name.pinned) for name in index.names.all()} == {
            ("docker.io/library/nginx:1", True),
            ("git:latest", True),
            ("hello:latest", False),
        }
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        for name in index.names.all():
            manifest = index.manifest(name.manifest)
            assert manifest is not None
            here = [blobs.holds(digest) for digest in (name.manifest, *manifest.blobs)]
            assert here.count(False) == (name.image == "docker.io/library/nginx")
        (verdict,) = index.names._db.execute("PRAGMA integrity_check").fetchone()
        assert verdict == "ok"


def test_an_upgrade_that_is_killed_anywhere_keeps_all(tmp_path):
    # Each statement of the steps, some of what is done at each start, and none.
    kills = {tmp_path / f"{left}": left for left in (*range(1, 32), 45, 999)}
    for data in kills:
        make_data_dir(data)
    said = upgrade(kills)
    killed = said.count("killed by 9")
    assert killed > 20  # each step, and the tables that are only added
    assert said[killed:] == [str(data) for data in list(kills)[killed:]] != []
    for data in kills:
        check(data)


@pytest.mark.parametrize("seed", [None, 1])
def test_an_upgrade_that_loses_its_power_anywhere_keeps_all(tmp_path, seed):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    kills = {tmp_path / "disk" / f"{left}": left for left in range(1, 32, 2)}
    with lossy_disk(tmp_path / "disk", seed) as disk:
        for data in kills:
            make_data_dir(data)
            make_safe(data)
        make_safe(tmp_path / "disk")
        assert upgrade(kills).count("killed by 9") > 10
        disk.cut_power()
        for data in kills:
            check(data)


def make_safe(place: Path) -> None:
    """Have all that is below on the disk."""
    for above, _, names in os.walk(place):
        for path in (above, *(f"{above}/{name}" for name in names)):
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
