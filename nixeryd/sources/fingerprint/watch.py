"""An inotify watch on every directory of a tree.

Law: a watch is set before its directory is read, so that whatever happens after
the reading is told. `drain` turns the queue into the set of directories to read
again; `reconcile` reads them. With nothing dirty after a drain, the tree is what
was on the disk when the drain began.

What no event tells: writes through mmap(2), through a hard link outside the
tree, and by the other side of a network file system (`mounts` refuses those).
The kernel pins an inode per watch; one directory, one watch, and none for .git.
"""

from nixeryd.sources.fingerprint.contents import MovingError
from nixeryd.sources.fingerprint.inotify import (
    ATTRIB,
    CREATE,
    DELETE,
    DELETE_SELF,
    IGNORED,
    ISDIR,
    MODIFY,
    MOVE_SELF,
    MOVED_FROM,
    MOVED_TO,
    OVERFLOW,
    UNMOUNT,
    Inotify,
    InotifyUnavailableError,
)
from nixeryd.sources.fingerprint.tree import Checkpoint, Tree, join

_MASK = MODIFY | ATTRIB | CREATE | DELETE | MOVED_FROM | MOVED_TO
_SELF = DELETE_SELF | MOVE_SELF
_PLACED = CREATE | DELETE | MOVED_FROM | MOVED_TO
_MANY = 256  # names of one directory to tell apart: then all are read
_DRAIN_EVERY = 256  # directories; the queue holds 16,384 events


class Watch:
    """Keeps a tree up to date; used by one task or thread at a time."""

    def __init__(self, tree: Tree, limit: int | None = None) -> None:
        """Watch at most `limit` directories. Raises `InotifyUnavailableError`."""
        self.tree = tree
        self.broken: str | None = None  # why all must be watched anew
        self.inotify = Inotify()
        self._limit = limit
        self._path_of: dict[int, bytes] = {}
        self._wd_of: dict[bytes, int] = {}
        self._dirty: dict[bytes, set[bytes] | None] = {}  # None: all its files
        self._replaced: set[bytes] = set()  # directories that came or went

    def __len__(self) -> int:
        return len(self._wd_of)

    def close(self) -> None:
        """Stop watching."""
        self.inotify.close()

    def build(self, checkpoint: Checkpoint) -> None:
        """Watch and read everything. Raises `InotifyUnavailableError`."""
        self.tree.start_over()
        self._add(b"", checkpoint)
        if b"" not in self.tree:
            self.broken = "it is gone"
        self.tree.forget_remembered()

    def drain(self) -> bool:
        """Note all events so far; tell whether there is something to read."""
        for event in self.inotify.drain():
            if event.mask & OVERFLOW:
                self.broken = "more happened at once than the kernel tells"
                continue
            path = self._path_of.get(event.wd)
            if path is None:
                continue  # forgotten before: its parent is dirty, or was
            if not path and event.mask & (_SELF | IGNORED | UNMOUNT):
                self.broken = "it was moved or deleted"
            elif not event.mask & IGNORED:
                self._note(path, event.mask, event.name)
        return bool(self._dirty) or self.broken is not None

    def _note(self, path: bytes, mask: int, name: bytes) -> None:
        self.tree.changes += 1
        if mask & ISDIR and mask & _PLACED:
            self._replaced.add(join(path, name))
        names = self._dirty.setdefault(path, set())
        if names is not None:
            names.add(name)
            if len(names) > _MANY:
                self._dirty[path] = None

    def reconcile(self, checkpoint: Checkpoint) -> None:
        """Read what is dirty again. Raises `InotifyUnavailableError`."""
        dirty, self._dirty = self._dirty, {}
        replaced, self._replaced = self._replaced, set()
        added: list[bytes] = []
        # All that went is forgotten before anything is added: a directory that
        # was moved keeps its watch's number, and must not lose it afterwards.
        for path in sorted(dirty):
            checkpoint()
            added += self._reread(path, dirty[path], replaced)
        for path in added:
            if not self._has(path):
                self._add(path, checkpoint)

    def _has(self, path: bytes) -> bool:
        return path in self.tree and path in self._wd_of

    def _reread(
        self, path: bytes, changed: set[bytes] | None, replaced: set[bytes]
    ) -> list[bytes]:
        known = self.tree.get(path)
        if known is None:
            return []
        if changed is None:
            changed = {file.name for file in known.files}
        try:
            _, new = self.tree.read(path, frozenset(changed))
        except MovingError:
            # The event that tells of it comes, or is queued: with the parent
            # if the directory went, else here. Not to depend on that:
            if path:
                self._forget(path)
            self._dirty.setdefault(path.rpartition(b"/")[0], set())
            return []
        now = {join(path, name) for name in new.subdirectories}
        before = {join(path, name) for name in known.subdirectories}
        for below in before & (replaced | (before - now)):
            self._forget(below)
        # Also what is not watched: it could not be read, or was not there.
        return [below for below in now if not self._has(below)]

    def _forget(self, path: bytes) -> None:
        for gone in self.tree.forget(path):
            self._unwatch(gone)

    def _unwatch(self, path: bytes) -> None:
        wd = self._wd_of.pop(path, -1)
        if self._path_of.get(wd) == path:
            del self._path_of[wd]
            self.inotify.remove(wd)

    def _add(self, path: bytes, checkpoint: Checkpoint) -> None:
        pending = [path]
        while pending:
            path = pending.pop()
            checkpoint()
            try:
                self._watch(path)
                _, new = self.tree.read(path)
            except (OSError, MovingError):
                # It went at once, or its files do: look again from above.
                self._unwatch(path)
                self._dirty.setdefault(path.rpartition(b"/")[0], set())
                continue
            pending += [join(path, name) for name in new.subdirectories]
            if len(self._wd_of) % _DRAIN_EVERY == 0:
                self.drain()

    def _watch(self, path: bytes) -> None:
        if self._limit is not None and len(self._wd_of) >= self._limit:
            raise InotifyUnavailableError(
                f"it has more than {self._limit:,} directories"
            )
        mask = _MASK if path else _MASK | _SELF
        try:
            wd = self.inotify.add(self.tree.absolute(path), mask)
        except PermissionError:
            return  # unreadable; its parent tells when that changes
        # A directory moved a moment ago has the number of its old path still; it
        # is the new one's from here, and `_unwatch` of the old one leaves it.
        self._path_of[wd] = path
        self._wd_of[path] = wd
