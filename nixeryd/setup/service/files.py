"""Write an installation's files, and remove what was written; nobody else's."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from nixeryd.images.errors import NixerydError
from nixeryd.setup.service.plan import MARK


class ServiceError(NixerydError):
    """The service cannot be installed or removed; the message says why."""


def write(files: Mapping[Path, str]) -> None:
    """Write the files, none of them if one in the way is not ours."""
    for path in files:
        if path.exists() and not _is_ours(path):
            raise ServiceError(
                f"{path} was not written by nixeryd: move it away, or edit it yourself"
            )
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged = path.with_name(f".{path.name}.new")
            staged.touch(mode=0o600)  # proxies' passwords may be in the environment
            staged.write_text(text)
            staged.replace(path)
        except OSError as error:
            raise ServiceError(f"cannot write {path}: {error.strerror}") from error


def remove(files: Iterable[Path]) -> list[Path]:
    """Remove those that are there and ours; give them."""
    removed = []
    for path in files:
        if path.exists() and _is_ours(path):
            try:
                path.unlink()
            except OSError as error:
                raise ServiceError(f"cannot remove {path}: {error.strerror}") from error
            removed.append(path)
            if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
                path.parent.rmdir()
    return removed


def _is_ours(path: Path) -> bool:
    try:
        return MARK in path.read_text(errors="replace")
    except OSError as error:
        raise ServiceError(f"cannot read {path}: {error.strerror}") from error
