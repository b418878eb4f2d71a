"""What goes on now, for the page and the API: the builder's board and history."""

from nixeryd.api.builds import Build, Failure
from nixeryd.builder.board import Board
from nixeryd.builder.history import History
from nixeryd.builder.watched import Watched
from nixeryd.changes import Changes


class Live:
    """Implements the port of the same name in `web.ports`."""

    def __init__(self, changes: Changes, board: Board, history: History) -> None:
        self.changes = changes
        self._board = board
        self._history = history

    def builds(self) -> list[Build]:
        """List the builds that run, then those that ended lately."""
        found = [*self._board.running(), *self._board.ended()]
        return [build.told() for build in found]

    def build(self, build: str) -> Watched | None:
        """Find a build by its id, while it is known."""
        return self._board.find(build)

    def failures(self) -> list[Failure]:
        """List the last builds that failed, the last one first."""
        return self._history.all()

    def failure(self, build: str) -> Failure | None:
        """Find one of them."""
        return self._history.find(build)

    def failure_log(self, build: str) -> list[str]:
        """Give the end of its log."""
        return self._history.log(build)
