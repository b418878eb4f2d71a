"""The data directory: its layout, and that only one daemon has it.

- blobs/sha256/ab/abcd…: whole blobs under their digests; abcd….recipe makes one
- staging/: being written; swept at start
- index.sqlite: what the blobs are
- checked.json: when the blobs were last read through, and how far it is now
- reserve: space for making room on a full disk
- gcroots/: Nix's roots for what we hold
- logs/: the log of each image's last build
- failures/: the last builds that failed
- lock: flock()ed by the daemon that owns all this
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nixeryd.config.ownership import whose
from nixeryd.images.errors import NixerydError
from nixeryd.store.durable import make_directories


class DataDirError(NixerydError):
    """The data directory cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """The places inside a data directory."""

    root: Path

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"

    @property
    def checked(self) -> Path:
        return self.root / "checked.json"

    @property
    def gcroots(self) -> Path:
        return self.root / "gcroots"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def failures(self) -> Path:
        return self.root / "failures"


@contextmanager
def open_data_dir(root: Path) -> Iterator[DataDir]:
    """Make the layout if need be, lock it, sweep what a crash left in staging.

    Raises `DataDirError` if it cannot be written or another daemon has it. The
    lock goes with the process, so no stale lock can stand in the way.
    """
    places = DataDir(root)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        make_directories((root,))
        _check_ours(places)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DataDirError(
            f"the data directory {root} cannot be used ({error.strerror}): "
            "give another with --data-dir or NIXERYD_DATA_DIR"
        ) from error
    try:
        _lock(lock, root)
        try:
            _lay_out(places)
        except OSError as error:
            raise DataDirError(
                f"the data directory {root} cannot be written ({error.strerror}): "
                "mend its permissions or give another with --data-dir"
            ) from error
        yield places
    finally:
        os.close(lock)


def _check_ours(places: DataDir) -> None:
    if (strange := whose(places.root)) is not None:
        raise DataDirError(
            f"the data directory {places.root} {strange}: what is in there cannot be"
            " trusted; give another with --data-dir"
        )
    for place in (places.blobs, places.staging):
        if place.is_symlink():
            raise DataDirError(
                f"{place} is a link: files are removed and renamed in there. To have"
                " the data elsewhere, give the whole directory with --data-dir"
            )


def _lock(lock: int, root: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        raise DataDirError(
            f"another nixeryd{f' (pid {holder})' if holder else ''} "
            f"has the data directory {root}: "
            "stop it, or give this one its own with --data-dir"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _lay_out(places: DataDir) -> None:
    make_directories(
        (
            places.blobs,
            places.blobs / "sha256",
            places.staging,
            places.gcroots,
            places.logs,
            places.failures,
        )
    )
    for left_over in places.staging.iterdir():
        left_over.unlink()
