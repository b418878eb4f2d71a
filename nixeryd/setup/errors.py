"""What can go wrong in a set-up; every message fits one line and says what to do."""

from pathlib import Path

from nixeryd.images.errors import NixerydError


class SetupError(NixerydError):
    """Nothing was written; the message says why and what to do."""


class NeedsRootError(SetupError):
    """The file belongs to root; the command line says the sudo command."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} can only be changed by root")
        self.path = path


class ParseError(SetupError):
    """A file is not what its name says; line and column count from 1."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {what}")


class EditedSinceError(SetupError):
    """Undo would throw away what somebody changed after the set-up."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} was changed after nixeryd set it up; --undo --force puts the"
            " old file back and loses that change"
        )
