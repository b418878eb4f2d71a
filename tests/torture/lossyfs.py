# ruff: noqa: ARG002  FUSE passes more than is needed here
"""A file system in memory that loses what `lossy` says, as FUSE mounts it.

`python -m tests.torture.lossyfs MOUNTPOINT IMAGE SEED` serves it until it is unmounted,
which is the power cut: IMAGE then holds what is left, for the next mount. The SEED
`merciless` leaves nothing that is not safe.
"""

import errno
import os
import pickle
import random
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mfusepy

from tests.torture.lossy import (
    UNLINKED,
    Directory,
    File,
    Merciless,
    Node,
    Special,
)

_BLOCK = 4096
_BLOCKS = 1 << 20  # of free space, for whoever asks
_FOREVER = 1e6  # seconds: all changes go through this mount


class LossyFS(mfusepy.Operations):
    """Nodes by their paths, and open files by number."""

    use_ns = True

    def __init__(self, root: Directory) -> None:
        self.root = root
        self._open: dict[int, File] = {}

    # -- paths

    def _node(self, path: str) -> Node:
        node: Node = self.root
        for name in filter(None, path.split("/")):
            if not isinstance(node, Directory) or name not in node.names:
                raise mfusepy.FuseOSError(errno.ENOENT)
            node = node.names[name]
        return node

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File)
        return node

    def _directory(self, path: str) -> Directory:
        node = self._node(path)
        assert isinstance(node, Directory)
        return node

    def _place(self, path: str) -> tuple[Directory, str]:
        above, _, name = path.rpartition("/")
        return self._directory(above), name

    def _add(self, path: str, node: Node) -> None:
        directory, name = self._place(path)
        directory.change({name: node})

    def init(self, path: str) -> None:
        print("mounted", flush=True)

    # -- what things are

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        node = self._node(path)
        size = len(node.data) if isinstance(node, File) else 0
        if isinstance(node, Special):
            size = len(node.target.encode())
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), node.mtime)
        owner = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        return {
            "st_mode": node.mode,
            "st_nlink": 1,
            "st_size": size,
            "st_blocks": -(-size // 512),
            **times,
            **owner,
        }

    def statfs(self, path: str) -> dict[str, int]:
        blocks = dict.fromkeys(("f_blocks", "f_bfree", "f_bavail"), _BLOCKS)
        return {"f_bsize": _BLOCK, "f_frsize": _BLOCK, "f_namemax": 255, **blocks}

    def chmod(self, path: str, mode: int) -> None:
        node = self._node(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        node = self._node(path)
        node.touch()
        if times is not None:
            node.mtime = times[1]

    def readlink(self, path: str) -> str:
        node = self._node(path)
        assert isinstance(node, Special)
        return node.target

    # -- names

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        names = (
            name
            for name in self._directory(path).names
            if not name.startswith(UNLINKED)
        )
        yield from (".", "..", *names)

    def mkdir(self, path: str, mode: int) -> None:
        self._add(path, Directory(stat.S_IFDIR | mode))

    def symlink(self, target: str, source: str) -> None:
        self._add(target, Special(stat.S_IFLNK | 0o777, target=source))

    def mknod(self, path: str, mode: int, dev: int) -> None:
        self._add(path, File(mode) if stat.S_ISREG(mode) else Special(mode))

    def link(self, target: str, source: str) -> None:
        self._add(target, self._node(source))

    def unlink(self, path: str) -> None:
        directory, name = self._place(path)
        directory.change({name: None})

    def rmdir(self, path: str) -> None:
        if self._directory(path).names:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        self.unlink(path)

    def rename(self, old: str, new: str) -> None:
        node = self._node(old)
        (source, name), (target, new_name) = self._place(old), self._place(new)
        if source is target:
            source.change({name: None, new_name: node})
        else:
            target.change({new_name: node})
            source.change({name: None})

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        self._directory(path).sync()

    # -- bytes

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._add(path, File(stat.S_IFREG | mode))
        return self.open(path, 0)

    def open(self, path: str, flags: int) -> int:
        file = self._file(path)
        if flags & os.O_TRUNC and file.data:
            file.truncate(0)
        handle = max(self._open, default=0) + 1
        self._open[handle] = file
        return handle

    def release(self, path: str, fh: int) -> None:
        del self._open[fh]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._open[fh].data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._open[fh].write(offset, data)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        self._file(path).truncate(length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self._open[fh].sync()


def main(mountpoint: Path, image: Path, seed: str) -> None:
    try:
        root = pickle.loads(image.read_bytes())
    except FileNotFoundError:
        root = Directory(stat.S_IFDIR | 0o700)
    mfusepy.FUSE(
        LossyFS(root),
        str(mountpoint),
        foreground=True,
        nothreads=True,
        fsname="lossy",
        kernel_cache=True,
        attr_timeout=_FOREVER,
        entry_timeout=_FOREVER,
    )
    rng = Merciless() if seed == "merciless" else random.Random(seed)
    left = root.after_cut(rng, {})
    image.write_bytes(pickle.dumps(left))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
