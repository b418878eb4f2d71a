"""The recipes of a data directory, beside its blobs: `abcd….recipe`.

The law: a recipe that was found to make other bytes than its blob's, or none, is not
here, until it is written or found right again. That is not remembered on the disk:
who finds it after a restart, finds it again.
"""

import os
from pathlib import Path
from typing import Final

import structlog

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.layers.recipe_format import UnreadableRecipe
from nixeryd.store.recipe import Recipe, find_recipe
from nixeryd.store.retention import Blob

ENDING: Final = ".recipe"

log = structlog.get_logger()


class Recipes:
    """Finds recipes, and knows which are lost."""

    def __init__(self, directory: Path) -> None:
        self._prefix = f"{directory}/"
        self._lost: set[Digest] = set()
        # When the files of a recipe were last found to be as they were, in
        # nanoseconds since the epoch; else it is what the recipe says.
        self._seals: dict[Digest, int] = {}

    def path(self, digest: Digest) -> Path:
        """Return the place of a recipe, there or not."""
        return Path(self._name(digest))

    def __contains__(self, digest: Digest) -> bool:
        """Return whether a recipe is here."""
        return os.access(self._name(digest), os.F_OK) and digest not in self._lost

    def find(self, digest: Digest) -> Recipe | None:
        """Find a recipe."""
        if digest in self._lost:
            return None
        try:
            return find_recipe(self.path(digest), digest)
        except UnreadableRecipe as error:
            self.lose(digest, error)
            return None

    def sealed(self, recipe: Recipe) -> int:
        """Return when its files were known to be right, in nanoseconds."""
        return self._seals.get(recipe.digest, recipe.sealed)

    def seal(self, digest: Digest, sealed: int) -> None:
        """Take it that what was read from `sealed` on was right."""
        self._seals[digest] = sealed
        self._lost.discard(digest)

    def lose(self, digest: Digest, why: NixerydError) -> None:
        """Count on this recipe no longer."""
        if digest not in self._lost:
            self._lost.add(digest)
            log.warning(
                "a streamed layer is lost; the next pull by a tag makes it anew",
                blob=str(digest),
                why=str(why),
            )

    def forget(self, digest: Digest) -> None:
        """Know nothing of a recipe that was written, or removed."""
        self._lost.discard(digest)
        self._seals.pop(digest, None)

    def _name(self, digest: Digest) -> str:
        return f"{self._prefix}{digest.hex[:2]}/{digest.hex}{ENDING}"


def weigh(place: str, size: int) -> int:
    """Return the bytes of the blob that is kept in a file of `size` bytes.

    A recipe weighs what it keeps in the Nix store.
    """
    if not place.endswith(ENDING):
        return size
    try:
        recipe = find_recipe(Path(place), Digest.of(b""))
    except UnreadableRecipe:
        return size
    return size if recipe is None else recipe.size


def look(file: "os.DirEntry[str]") -> Blob | None:
    """Look at a file that `Blobs.scan` found; None if it is gone."""
    try:
        status = file.stat()
        return Blob(weigh(file.path, status.st_size), status.st_mtime)
    except FileNotFoundError:
        return None
