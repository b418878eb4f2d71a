"""Opens the best view of a checkout that this machine allows.

Law: a watch where its events can be believed and there are enough of them; else
stamps, if comparing them all is cheaper than evaluating; else nothing, and the
reason says what a person could do. Runs in a worker thread, start to end.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from nixeryd.sources.fingerprint.contents import MovingError
from nixeryd.sources.fingerprint.inotify import InotifyUnavailableError
from nixeryd.sources.fingerprint.mounts import MountTable
from nixeryd.sources.fingerprint.scope import NoScopeError, Scope, find_scope
from nixeryd.sources.fingerprint.tree import Checkpoint, Tree
from nixeryd.sources.fingerprint.view import View, WalkedView, WatchedView
from nixeryd.sources.fingerprint.watch import Watch

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_WORTH = 2.0  # seconds: a comparison that takes longer is dearer than evaluating
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Opening:
    """What to open, and how.

    `memory` is a file in which a tree's digests outlive the daemon. Not more
    than `watch_limit` directories are watched; None: what the kernel allows.
    """

    source: Path
    home: Path
    memory: Path | None = None
    watch_limit: int | None = None

    def open(self, before: Tree | None, checkpoint: Checkpoint) -> View:
        """Return a view. Raises `NoScopeError`."""
        scope = find_scope(self.source, self.home)
        tree = self._tree(scope, before, checkpoint)
        try:
            view: View = self._watched(scope, tree, checkpoint)
        except (InotifyUnavailableError, OSError) as error:
            log.warning(
                "not watching a checkout: each pull compares its file times",
                source=str(self.source),
                reason=str(error),
            )
            view = WalkedView(scope, tree, str(error))
            _walk(view, checkpoint)
        tree.forget_remembered()
        self._save(tree, checkpoint)
        return view

    def _tree(self, scope: Scope, before: Tree | None, checkpoint: Checkpoint) -> Tree:
        if before is not None and before.root == scope.root:
            before.start_over()
            return before
        tree = Tree(scope.root, 0 if before is None else before.changes + 1)
        if self.memory is not None:
            tree.load(self.memory, checkpoint)
        return tree

    def _watched(self, scope: Scope, tree: Tree, checkpoint: Checkpoint) -> WatchedView:
        mounts = MountTable(scope.root)
        watch: Watch | None = None
        try:
            if reason := mounts.mounts.why_not():
                raise InotifyUnavailableError(reason)  # noqa: TRY301  one way out
            watch = Watch(tree, self.watch_limit)
            watch.build(checkpoint)
            return WatchedView(scope, tree, mounts, watch)
        except BaseException:
            mounts.close()
            if watch is not None:
                watch.close()
            raise

    def _save(self, tree: Tree, checkpoint: Checkpoint) -> None:
        """Write the digests down; without them the next start only reads more."""
        if self.memory is None:
            return
        try:
            tree.save(self.memory, checkpoint)
        except OSError as error:
            log.warning(
                "cannot keep file digests", file=str(self.memory), reason=str(error)
            )


def _walk(view: WalkedView, checkpoint: Checkpoint) -> None:
    """Read all, then see what a comparison costs here."""
    took = 0.0
    for patience in range(_TRIES, 0, -1):
        try:
            view.refresh(checkpoint)
            began = time.monotonic()
            view.refresh(checkpoint)
            took = time.monotonic() - began
            break
        except MovingError as error:
            if patience == 1:
                raise NoScopeError("it changes while it is read") from error
    if took > _WORTH:
        raise NoScopeError(f"comparing its file times takes {took:.0f} s")
