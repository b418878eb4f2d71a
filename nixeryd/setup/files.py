"""Read and write configuration files, keep backups, and undo.

A file is replaced in one step, with its mode, owner and attributes, and through
a symbolic link. Beside it stay the old bytes (`NAME.before-nixeryd`; nothing
when there was no file) and a record (`NAME.nixeryd-undo`) of what was written,
so that undo knows whether somebody edited the file since. Neither has an ending
that an engine reads. A later set-up on top of ours keeps the first backup.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nixeryd.setup.errors import EditedSinceError, NeedsRootError, SetupError

_BACKUP = ".before-nixeryd"
_RECORD = ".nixeryd-undo"
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Edit:
    """A file's bytes before and after; None means that there is no file."""

    path: Path
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class _Record:
    written: str  # sha256 of the bytes that set-up wrote
    backup: str | None  # the name of the file beside; None: there was no file
    made: list[str]  # the directories made for it, the innermost last


def read(path: Path) -> bytes | None:
    """Read a file, following links; None if there is none. Raises `SetupError`."""
    with _explained(path):
        try:
            return _real(path).read_bytes()
        except FileNotFoundError:
            return None


def recorded_below(directory: Path) -> list[Path]:
    """Find the files one level down that a set-up wrote."""
    found = sorted(directory.glob(f"*/*{_RECORD}"))
    return [path.with_name(path.name.removesuffix(_RECORD)) for path in found]


def check_writable(edits: Sequence[Edit]) -> None:
    """Raise `NeedsRootError` or `SetupError` before anybody is asked anything."""
    for edit in edits:
        directory = _real(edit.path).parent
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        if not directory.is_dir():
            raise SetupError(f"{directory} is not a directory")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise _denied(edit.path)


def apply(edits: Sequence[Edit]) -> None:
    """Write all files or none; raises `SetupError`.

    A file that is no longer as it was read is not written.
    """
    done: list[tuple[Edit, _Record | None]] = []
    try:
        for edit in edits:
            known = _load(edit.path)
            _expect(edit)
            _set_up(edit, known)
            done.append((edit, known))
    except BaseException:
        for edit, known in reversed(done):
            with suppress(SetupError):
                _take_back(edit, known)
        raise


def plan_undo(paths: Sequence[Path], *, force: bool = False) -> list[Edit]:
    """Find what to put back among these files; raises `EditedSinceError`."""
    edits: list[Edit] = []
    for path in paths:
        record = _load(path)
        if record is None:
            continue
        now = read(path)
        if not force and (now is None or _sha256(now) != record.written):
            raise EditedSinceError(path)
        old = None
        if record.backup is not None:
            old = read(_real(path).with_name(record.backup))
            if old is None:
                raise SetupError(f"the backup {record.backup} beside {path} is gone")
        edits.append(Edit(path, now, old))
    return edits


def undo(edits: Sequence[Edit]) -> None:
    """Put the old bytes back and take away backup, record and made directories."""
    # Directories are made by the first edit that needs them: go back from the last.
    for edit in reversed(edits):
        record = _load(edit.path)
        _expect(edit)
        if record is None:
            raise SetupError(f"the record beside {edit.path} is gone; undo by hand")
        real = _real(edit.path)
        with _explained(edit.path):
            if edit.after is None:
                real.unlink(missing_ok=True)
            else:
                _replace(real, edit.after)
            if record.backup is not None:
                real.with_name(record.backup).unlink()
            real.with_name(real.name + _RECORD).unlink()
            for directory in reversed(record.made):
                with suppress(OSError):  # Somebody uses it by now.
                    Path(directory).rmdir()


def _expect(edit: Edit) -> None:
    if read(edit.path) != edit.before:
        raise SetupError(f"{edit.path} was changed meanwhile; run this again")


def _set_up(edit: Edit, known: _Record | None) -> None:
    real, after = _real(edit.path), edit.after or b""
    with _explained(edit.path):
        made = _make_directories(real.parent)
        if known and edit.before and _sha256(edit.before) == known.written:
            # Ours on top of ours: the way back stays the way to before both.
            record = _Record(_sha256(after), known.backup, known.made)
        else:
            record = _Record(_sha256(after), _back_up(real, edit.before), made)
        # The record first: should we die between the two, undo sees an edited
        # file and says so, where the other order would forget the backup.
        _replace(real.with_name(real.name + _RECORD), _dump(record))
        _replace(real, after)


def _take_back(edit: Edit, known: _Record | None) -> None:
    """Undo one edit of a set-up that did not get to its end."""
    if known is None or edit.before is None:
        undo(plan_undo([edit.path], force=True))
        return
    real = _real(edit.path)
    with _explained(edit.path):
        _replace(real, edit.before)
        _replace(real.with_name(real.name + _RECORD), _dump(known))


def _back_up(real: Path, old: bytes | None) -> str | None:
    """Keep the old bytes under a name that is free, with the file's own mode."""
    if old is None:
        return None
    name, count = real.name + _BACKUP, 1
    while os.path.lexists(real.with_name(name)):
        name, count = f"{real.name}{_BACKUP}.{count}", count + 1
    _replace(real.with_name(name), old, like=real)
    return name


def _replace(path: Path, data: bytes, like: Path | None = None) -> None:
    like = like or path
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if like.exists():
                status = like.stat()
                if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                shutil.copystat(like, temporary)  # mode and security attributes
                os.utime(file.fileno())
            else:
                os.fchmod(file.fileno(), _MODE)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_directories(directory: Path) -> list[str]:
    missing = [directory, *directory.parents]
    made = [one for one in reversed(missing) if not one.exists()]
    for one in made:
        one.mkdir(mode=0o755)
    return [str(one) for one in made]


def _load(path: Path) -> _Record | None:
    real = _real(path)
    text = read(real.with_name(real.name + _RECORD))
    if text is None:
        return None
    try:
        data = json.loads(text)
        return _Record(data["written"], data["backup"], data["made"])
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{real}{_RECORD} is damaged; undo by hand") from error


def _dump(record: _Record) -> bytes:
    data = {"written": record.written, "backup": record.backup, "made": record.made}
    return json.dumps(data, indent=2).encode() + b"\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise _denied(path) from error
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}") from error


def _denied(path: Path) -> SetupError:
    directory = _real(path).parent
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    with suppress(OSError):
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            return SetupError(f"{path} is on a read-only file system")
    if os.geteuid() in (0, directory.stat().st_uid):
        return SetupError(f"{path} cannot be read or written; see `ls -la {directory}`")
    return NeedsRootError(path)
