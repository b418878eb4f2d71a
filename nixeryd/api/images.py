"""Images that are in the cache: which, how large, what is in them, what went."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal["nix", "mirrored"]


class Image(msgspec.Struct, frozen=True):
    """A name, and the image that it leads to.

    `unique` is what its removal frees; `missing` counts the blobs that come when
    they are asked for. `since` is when it was built or last asked for upstream. What
    is streamed counts as what it keeps in the Nix store.
    """

    kind: Kind
    repository: str
    tag: str
    digest: str
    size: int
    unique: int
    missing: int
    used: float
    since: float
    pinned: bool

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


class Unnamed(msgspec.Struct, frozen=True):
    """Earlier builds and the like, which are found by digest only; `size` for them."""

    manifests: int
    size: int


class ImageList(msgspec.Struct, frozen=True):
    """All that is in the cache, last used first. `size` is that of all blobs."""

    images: tuple[Image, ...]
    unnamed: Unnamed
    size: int
    cap: int | None


class Layer(msgspec.Struct, frozen=True):
    """A layer from the lowest up; `paths` are the store paths in it, if it has any."""

    digest: str
    size: int
    here: bool
    created_by: str
    paths: tuple[str, ...]


class Variant(msgspec.Struct, frozen=True):
    """An image that an index names; `here` tells whether anything of it is."""

    platform: str
    digest: str
    here: bool


class Moved(msgspec.Struct, frozen=True):
    """What a tag pointed at, and since when."""

    digest: str
    since: float


class TagBuild(msgspec.Struct, frozen=True):
    """A build of a tag: what it gave, where it came from, and when.

    `revision` is the source's commit, empty for one without commits; `dirty` tells
    whether its files differed from that commit. `built` is in seconds since the epoch.
    """

    digest: str
    source: str
    revision: str
    dirty: bool
    built: float


class ImageDetails(msgspec.Struct, frozen=True):
    """An image, and what is in it: of an index, in the one for this machine.

    `left_out` counts the layers that are not told, as there are too many; `problem`
    says why its config cannot be.
    """

    image: Image
    media_type: str
    platform: str
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]
    variants: tuple[Variant, ...] = ()
    history: tuple[Moved, ...] = ()  # the last first
    builds: tuple[TagBuild, ...] = ()  # of this tag, the last first
    left_out: int = 0
    problem: str = ""

    @property
    def origin(self) -> TagBuild | None:
        """The last build that gave this image; None for one that was not built here."""
        builds = (one for one in self.builds if one.digest == self.image.digest)
        return next(builds, None)


class Evicted(msgspec.Struct, frozen=True):
    """What went; or would, if it was `dry_run`."""

    freed: int
    left: int
    manifests: int
    blobs: int
    images: tuple[str, ...]
    dry_run: bool = False


class Broken(msgspec.Struct, frozen=True):
    """A blob that is not what it should be, and the images that need it.

    `removed` tells whether a repair has taken it away; what may not be read stays.
    """

    digest: str
    why: str
    images: tuple[str, ...]
    removed: bool = False


class Checking(msgspec.Struct, frozen=True, tag="checking", tag_field="type"):
    """So many bytes of all that have to be read are read."""

    done: int
    total: int


class Checked(msgspec.Struct, frozen=True, tag="checked", tag_field="type"):
    """All blobs were read. `repaired`: a repair has left nothing that is broken."""

    blobs: int
    size: int
    broken: tuple[Broken, ...]
    repaired: bool
