"""Which file systems tell their changes, as /proc/self/mountinfo (proc(5)) has them.

Law: a watch is believed only on file systems of the local kernel, named here;
a network or FUSE file system changes from elsewhere without an event, and an
unknown one is taken for such. A mount inside the tree (bind mounts show one
inode at two paths, and come without an event) is refused as well; poll(2) on
mountinfo tells in a microsecond that the table has not changed.
"""
# Paths are bytes here, as names need not be text; pathlib has no such thing.
# ruff: noqa: PTH123

import os
import select
from dataclasses import dataclass

MOUNTINFO = "/proc/self/mountinfo"
_LOCAL = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs"}
    | {"overlay", "ramfs", "reiserfs", "tmpfs", "xfs", "zfs"}
)


@dataclass(frozen=True, slots=True)
class Mounts:
    """The mount a directory is on, and those inside it."""

    file_system: str
    inside: tuple[bytes, ...]

    def why_not(self) -> str | None:
        """Say why a watch here would miss changes, if so."""
        if self.file_system not in _LOCAL:
            return f"its file system ({self.file_system}) does not tell changes"
        if self.inside:
            return f"{os.fsdecode(self.inside[0])} is mounted inside it"
        return None


def parse_mounts(table: bytes, root: bytes) -> Mounts:
    """Find a directory (an absolute real path) in a mountinfo table."""
    best, file_system = b"", "unknown"
    inside = []
    for line in table.splitlines():
        fields, _, rest = line.partition(b" - ")
        point = _unescape(fields.split()[4])
        prefix = point.rstrip(b"/") + b"/"
        if point == root or root.startswith(prefix):
            # The later of two on one point is the one that is seen.
            if len(point) >= len(best):
                best, file_system = point, rest.split()[0].decode()
        elif point.startswith(root.rstrip(b"/") + b"/"):
            inside.append(point)
    return Mounts(file_system, tuple(sorted(inside)))


def _unescape(point: bytes) -> bytes:
    for escape, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
        point = point.replace(escape, byte)
    return point.replace(b"\\134", b"\\")


class MountTable:
    """The mounts at and below a directory, and whether they have changed."""

    def __init__(self, root: bytes) -> None:
        """Raise `OSError` where there is no such table."""
        self._root = root
        self._file = open(MOUNTINFO, "rb", buffering=0)  # noqa: SIM115  closed below
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)
        self.mounts = self._read()

    def close(self) -> None:
        """Close the table."""
        self._file.close()

    def has_changed(self) -> bool:
        """Return whether anything was mounted here or unmounted since the start."""
        return bool(self._poll.poll(0)) and self._read() != self.mounts

    def _read(self) -> Mounts:
        self._file.seek(0)
        return parse_mounts(self._file.readall(), self._root)
