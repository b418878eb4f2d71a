"""Hold GC roots while a build needs them, and of kept images for longer.

Nix follows symlinks in its own gcroots/auto to a symlink anywhere (an indirect
root); deleting ours drops the root. So a build's roots are one directory, and
removing it is all there is to do. Roots must not be renamed or moved: those that
are kept stay where they are, and a file beside them says for which image.

Kept roots spare downloads and builds when an image is made again; what is in the
cache already needs none. But for a thin image, or one with streamed layers, which
live in the store: their roots belong to the manifest, and are kept whatever is
configured.

Nix manual, `nix-store --add-root`.
"""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from nixeryd.images.errors import NixerydError
from nixeryd.runtime.directories import list_names

_PREFIX: Final = "build-"
_OWNER: Final = "image.json"
_NO_TAG: Final = ""

Owner: TypeAlias = tuple[str, str]
"""An image's key (`ImageName.key`) and a tag; or a manifest (`of_manifest`)."""


def of_manifest(digest: str) -> Owner:
    """Name a manifest as an owner of roots."""
    return digest, _NO_TAG


class Roots:
    """The roots in a directory; `wanted` is who has kept ones that shall stay.

    All others are swept: a crash left them, or their image is gone. Hence made at
    start, while no build runs.
    """

    def __init__(
        self, directory: Path, wanted: Collection[Owner] = (), *, keep: bool = True
    ) -> None:
        self._directory = directory
        self._keep = keep
        self._kept: dict[Owner, Path] = {}
        for name in _list(directory):
            roots = directory / name
            owner = _owner(roots)
            if (
                owner
                and self._is_lasting(owner)
                and owner in wanted
                and owner not in self._kept
            ):
                self._kept[owner] = roots
            else:
                _remove(roots)

    @asynccontextmanager
    async def of_build(self) -> AsyncIterator[Path]:
        """Return a fresh directory for the roots of one build.

        It is removed at the end unless it is kept by then. A few symlinks at most:
        not worth a thread, and sync cleanup can't be cancelled.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        roots = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._directory))
        try:
            yield roots
        finally:
            if roots not in self._kept.values():
                _remove(roots)

    def keep(self, owner: Owner, roots: Path) -> None:
        """Keep a build's roots for an image, instead of those it had.

        Those that are kept for its manifest already stay that one's.
        """
        if self._is_lasting(owner) and roots not in self._kept.values():
            self.release(owner)
            # A full disk: they are only not kept, and the image is here.
            with suppress(OSError):
                (roots / _OWNER).write_text(json.dumps(owner))
                self._kept[owner] = roots

    def holds(self, owner: Owner, name: str) -> bool:
        """Return whether an owner has a kept root, and the store what it leads to."""
        roots = self._kept.get(owner)
        return roots is not None and (roots / name).exists()

    def holds_all(self, owner: Owner) -> bool:
        """Return whether the store has all that an owner's kept roots lead to."""
        roots = self._kept.get(owner)
        return (
            roots is not None
            and roots.exists()
            and all(
                os.path.exists(root.path)  # noqa: PTH110  asked at every pull
                for root in os.scandir(roots)
            )
        )

    def _is_lasting(self, owner: Owner) -> bool:
        return self._keep or owner[1] == _NO_TAG

    def release(self, owner: Owner) -> None:
        """Let Nix collect what was kept for an image, if anything was."""
        if roots := self._kept.pop(owner, None):
            _remove(roots)


def _list(directory: Path) -> list[str]:
    try:
        found = list_names(directory)
    except OSError as error:
        # Taken for empty, all that is cached would lose its protection.
        raise NixerydError(
            f"{directory} cannot be read: {error.strerror}; mend its permissions"
        ) from error
    return [name for name in found if name.startswith(_PREFIX)]


def _owner(roots: Path) -> Owner | None:
    try:
        image, tag = json.loads((roots / _OWNER).read_text())
    except (OSError, ValueError, TypeError):
        return None
    return image, tag


def _remove(roots: Path) -> None:
    shutil.rmtree(roots, ignore_errors=True)
