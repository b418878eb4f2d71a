"""The index's connection: what SQLite cannot do becomes an error that says what to do.

A full or read-only disk is the user's to mend, and may be so at any moment: the
daemon goes on with what it has. Misuse of SQL stays the defect that it is.

https://www.sqlite.org/rescode.html
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from nixeryd.images.errors import NixerydError
from nixeryd.store.blobs import StoreFullError

PATIENCE = 5.0  # seconds to wait for a lock
_PRIMARY = 0xFF  # of an extended code, this is the kind
TRANSIENT = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Kinds of errors that say nothing against the file itself."""


class IndexUnusableError(NixerydError):
    """The index cannot be read or written now, though it may be whole."""

    is_transient = True


def kind_of(error: sqlite3.Error) -> int:
    """Return the kind of an error; 0 if it is none of SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Raise `StoreFullError` or `IndexUnusableError` for what may pass."""
    try:
        yield
    except sqlite3.Error as error:
        kind = kind_of(error)
        if kind == sqlite3.SQLITE_FULL:
            raise StoreFullError(
                f"no space left for the index {path}: make room on that disk"
                " (nixeryd gc --max-size 5GB), or move it with --data-dir"
            ) from error
        if kind in TRANSIENT:
            raise IndexUnusableError(
                f"the index {path} cannot be used ({error}): see to its disk and"
                " permissions, or give another place with --data-dir"
            ) from error
        raise


class Connection(sqlite3.Connection):
    """A connection whose statements and commits raise what `explained` does."""

    def __init__(self, database: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(database, *args, **kwargs)
        self._path = database

    def execute(self, *args: Any) -> sqlite3.Cursor:
        with explained(self._path):
            return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        with explained(self._path):
            return super().executemany(*args)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        with explained(self._path):
            return super().__exit__(kind, error, traceback)


@contextmanager
def durably(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit a transaction so that a power cut cannot take it, nor any before it."""
    connection.execute("PRAGMA synchronous = FULL")
    try:
        with connection:
            yield
    finally:
        connection.execute("PRAGMA synchronous = NORMAL")


def connect(path: Path, *, check_same_thread: bool = True) -> Connection:
    """Open the index in `path`; in other threads too unless that is checked."""
    with explained(path):
        return sqlite3.connect(
            str(path),
            timeout=PATIENCE,
            check_same_thread=check_same_thread,
            factory=Connection,
        )
