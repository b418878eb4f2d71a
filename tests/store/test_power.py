"""A power cut: what was said to be safe is there, on a disk that keeps nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index
from tests.e2e.processes import environment
from tests.torture.disk import lossy_disk, why_not

BODIES = [b"%d" % number for number in range(20)]

# Ends as a kill would end it: nothing is closed.
_LIFE = """\
import os, sys
from pathlib import Path
from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import StoredManifest, open_index
from nixeryd.store.names import Kind

with open_data_dir(Path(sys.argv[1])) as places, open_index(places.index) as index:
    blobs = Blobs(places.blobs, places.staging)
    exec(sys.argv[2])
    os._exit(7)
"""


def live(data: Path, script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIFE, data, script],
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        check=False,
    )
    assert done.returncode == 7


@pytest.fixture
def disk(tmp_path):
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with lossy_disk(tmp_path / "disk") as disk:
        yield disk


def test_the_first_blobs_of_a_new_place_are_there_with_their_directories(
    disk, tmp_path
):
    data = tmp_path / "disk" / "data"
    live(
        data,
        f"for body in {BODIES}:\n"
        "    digest = blobs.put(body)\n"
        "    index.add_manifest(StoredManifest(digest, 'type', (), 0))\n"
        "index.sync()",
    )
    disk.cut_power()
    with open_data_dir(data) as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging)
        assert [blobs.read(Digest.of(body)) for body in BODIES] == BODIES
        assert index.manifests() == {str(Digest.of(body)) for body in BODIES}


NAMED = """\
digest = blobs.put(b'kept')
index.add_manifest(StoredManifest(digest, 'type', (), 0))
index.set_tag('image', 'latest', 'image', digest, 1)
"""


def test_what_a_killed_daemon_wrote_is_safe_when_the_next_one_starts(disk, tmp_path):
    data = tmp_path / "disk" / "data"
    live(data, NAMED)
    live(data, "")
    disk.cut_power()
    with open_index(data / "index.sqlite") as index:
        assert [name.image for name in index.names.all()] == ["image"]


def test_a_pin_is_safe_at_once(disk, tmp_path):
    """What eviction forgets is committed by the same means."""
    data = tmp_path / "disk" / "data"
    pin = "index.names.pin(index.names.find(Kind.NIX, 'image', 'latest'))"
    live(data, NAMED + pin)
    disk.cut_power()
    with open_index(data / "index.sqlite") as index:
        assert [name.pinned for name in index.names.all()] == [True]


def test_what_a_repair_removed_does_not_come_back(disk, tmp_path):
    data = tmp_path / "disk" / "data"
    live(data, "blobs.put(b'rotten')")
    live(
        data,
        "import trio\n"
        "from nixeryd.cache.eviction import Evictor\n"
        "from nixeryd.store.uses import Uses\n"
        "uses = Uses(index, blobs.leases)\n"
        "evictor = Evictor(blobs, index, places.index, uses, cap=None)\n"
        "trio.run(evictor.discard, [str(Digest.of(b'rotten'))])",
    )
    disk.cut_power()
    with open_data_dir(data) as places:
        assert Digest.of(b"rotten") not in Blobs(places.blobs, places.staging)
