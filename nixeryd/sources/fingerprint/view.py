"""The two ways to know a tree's contents: by events, and by stamps.

Law: when `is_current` says yes, `value` is of the contents at a moment after the
question was asked. `refresh` is what may take time, for a worker thread; all
else takes microseconds. Both ways give the same values for the same contents.
Used by one task or thread at a time; must not know of trio.
"""

import hashlib
from typing import Protocol

from nixeryd.sources.fingerprint.head import read_head
from nixeryd.sources.fingerprint.mounts import MountTable
from nixeryd.sources.fingerprint.scope import Scope
from nixeryd.sources.fingerprint.tree import FORMAT, Checkpoint, Tree
from nixeryd.sources.fingerprint.watch import Watch


class View(Protocol):
    """A way to know what a checkout holds."""

    scope: Scope
    tree: Tree
    fresh: int  # the number of the last refresh that was done

    @property
    def queue(self) -> int | None:
        """The file descriptor to read before it overflows, if there is one."""

    def lost(self) -> str | None:
        """Say why this must be opened anew, if so."""

    def is_current(self, ticket: int) -> bool:
        """Return whether a refresh from this number on is not needed any more."""

    def refresh(self, checkpoint: Checkpoint) -> None:
        """Read what may have changed.

        Raises `MovingError`, `InotifyUnavailableError`.
        """

    def value(self) -> str:
        """Return the fingerprint."""

    def describe(self) -> str:
        """Say how this knows, for a status line."""

    def close(self) -> None:
        """Return back what the system lent."""


def _value(scope: Scope, tree: Tree) -> str:
    hasher = hashlib.blake2b(digest_size=20)
    for part in (b"%d" % FORMAT, read_head(scope.root)):
        hasher.update(b"%d:%b" % (len(part), part))
    hasher.update(tree.total.to_bytes(32))
    return hasher.hexdigest()


class WatchedView:
    """Knows by events: what no event told of has not changed."""

    def __init__(
        self, scope: Scope, tree: Tree, mounts: MountTable, watch: Watch
    ) -> None:
        self.scope, self.tree, self.fresh = scope, tree, 0
        self.watch = watch
        self._mounts = mounts

    @property
    def queue(self) -> int | None:
        """Where events come from."""
        return self.watch.inotify.fd

    def lost(self) -> str | None:
        """Say why this must be opened anew, if so."""
        if self.watch.broken is not None:
            return self.watch.broken
        if not self.scope.still_holds():
            return "another directory is there now"
        if self._mounts.has_changed():
            return "something was mounted there"
        return None

    def is_current(self, ticket: int) -> bool:  # noqa: ARG002  the queue knows
        """Drain the queue; tell whether there was nothing in it."""
        return not self.watch.drain()

    def refresh(self, checkpoint: Checkpoint) -> None:
        """Read the directories that events told of."""
        self.watch.reconcile(checkpoint)

    def value(self) -> str:
        """Return the fingerprint."""
        return _value(self.scope, self.tree)

    def describe(self) -> str:
        """Say how many directories are watched."""
        return f"watching {len(self.watch):,} directories"

    def close(self) -> None:
        """Stop watching."""
        self.watch.close()
        self._mounts.close()


class WalkedView:
    """Knows by stamps, all of which it compares each time."""

    def __init__(self, scope: Scope, tree: Tree, reason: str) -> None:
        self.scope, self.tree, self.fresh = scope, tree, 0
        self._reason = reason

    @property
    def queue(self) -> int | None:
        """There are no events."""
        return None

    def lost(self) -> str | None:
        """Say why this must be opened anew, if so."""
        return None if self.scope.still_holds() else "another directory is there now"

    def is_current(self, ticket: int) -> bool:
        """Return whether a walk that began after the question is done."""
        return self.fresh >= ticket

    def refresh(self, checkpoint: Checkpoint) -> None:
        """Compare all stamps; read what differs."""
        self.tree.walk(checkpoint)

    def value(self) -> str:
        """Return the fingerprint."""
        return _value(self.scope, self.tree)

    def describe(self) -> str:
        """Say why it is not watched."""
        return f"reading file times at each pull: {self._reason}"

    def close(self) -> None:
        """Hold nothing, so give back nothing."""
