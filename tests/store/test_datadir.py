import subprocess
import sys

import pytest

from nixeryd.store.datadir import DataDirError, open_data_dir

HOLD = """\
import sys
from pathlib import Path
from nixeryd.store.datadir import open_data_dir

with open_data_dir(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_second_daemon_is_refused_and_told_who_has_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"ready\n"
        with (
            pytest.raises(DataDirError, match=rf"pid {holder.pid}\).*--data-dir"),
            open_data_dir(tmp_path),
        ):
            pass
        holder.kill()
        holder.wait()
        # A killed daemon leaves no lock in the way.
        with open_data_dir(tmp_path):
            pass


def test_what_a_crash_left_in_staging_is_swept(tmp_path):
    with open_data_dir(tmp_path) as places:
        (places.staging / "half").write_bytes(b"half a layer")
    with open_data_dir(tmp_path) as places:
        assert list(places.staging.iterdir()) == []


def test_a_place_that_cannot_be_a_directory_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataDirError, match="give another with --data-dir"),
        open_data_dir(tmp_path / "file"),
    ):
        pass


def test_a_file_in_the_place_of_a_directory_is_a_clear_error(tmp_path):
    (tmp_path / "blobs").write_text("")
    with (
        pytest.raises(DataDirError, match=r"cannot be written \(.*--data-dir"),
        open_data_dir(tmp_path),
    ):
        pass
    (tmp_path / "blobs").unlink()
    with open_data_dir(tmp_path) as places:  # nobody holds the lock
        assert places.blobs.is_dir()


def test_the_data_is_the_users_alone(tmp_path):
    with open_data_dir(tmp_path / "data") as places:
        for place in (places.root, places.blobs / "sha256", places.staging):
            assert place.stat().st_mode & 0o077 == 0
