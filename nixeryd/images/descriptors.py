"""What a manifest names: the blobs of an image, or the manifests of an index.

Law: only sha256 digests; a manifest of which any part cannot be read is none, and one
that could be read as an image and as an index is none either (CVE-2021-41190). The
bytes themselves are never changed. Knows nothing of where anything is.

https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md
https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError, RegistryError

_INDEX_TYPES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


DEEPEST = 3
"""Levels of indexes that are gone into; nobody makes more than two."""


class UnreadableManifest(NixerydError):  # noqa: N818  a state
    """A manifest's parts cannot be told."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An operating system and a processor, in Go's words (`linux`, `amd64`)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob or a manifest as others name it; `size` in bytes."""

    digest: Digest
    size: int
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """The blobs of an image: its config first, then its layers."""

    blobs: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageIndex:
    """The manifests that an index names, in its order of preference."""

    manifests: tuple[Descriptor, ...]


# Bytes; also for all of an image together: what counts them has no more bits.
_LARGEST = 2**63 - 1


class _Platform(msgspec.Struct):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct):
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
    platform: _Platform | None = None


class _Image(msgspec.Struct):
    config: _Descriptor
    layers: list[_Descriptor]
    manifests: msgspec.UnsetType = msgspec.UNSET


class _Index(msgspec.Struct):
    manifests: list[_Descriptor]
    config: msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.UnsetType = msgspec.UNSET


class _Typed(msgspec.Struct):
    mediaType: str | None = None  # noqa: N815  the spec's name


def read_descriptors(body: bytes, media_type: str) -> Image | ImageIndex:
    """Read what a manifest names; UnreadableManifest if that cannot be told."""
    try:
        if media_type in _INDEX_TYPES:
            index = msgspec.json.decode(body, type=_Index)
            return ImageIndex(_descriptors(index.manifests))
        image = msgspec.json.decode(body, type=_Image)
        return Image(_descriptors((image.config, *image.layers)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableManifest(f"a manifest that names no image: {error}") from error
    except RegistryError as error:
        raise UnreadableManifest(f"a manifest with {error}") from error


def stated_type(body: bytes) -> str | None:
    """Read the type that a manifest itself states; None if it does not."""
    try:
        return msgspec.json.decode(body, type=_Typed).mediaType
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def choose_manifest(index: ImageIndex, platform: Platform) -> Descriptor | None:
    """Choose what a machine of this platform runs: the first that fits, or nothing."""
    fitting = (
        manifest
        for manifest in index.manifests
        if manifest.platform is not None and _fits(manifest.platform, platform)
    )
    return next(fitting, None)


def _fits(theirs: Platform, ours: Platform) -> bool:
    # A variant counts only if both name one: `linux/arm64` is `linux/arm64/v8`.
    variants = {theirs.variant, ours.variant} - {""}
    return (theirs.os, theirs.architecture) == (ours.os, ours.architecture) and len(
        variants
    ) < 2  # noqa: PLR2004


def _descriptors(found: Iterable[_Descriptor]) -> tuple[Descriptor, ...]:
    parts = tuple(map(_descriptor, found))
    if sum(part.size for part in parts) > _LARGEST:
        raise UnreadableManifest("a manifest of more bytes than there can be")
    return parts


def _descriptor(found: _Descriptor) -> Descriptor:
    theirs = found.platform
    platform = (
        None
        if theirs is None
        else Platform(theirs.os, theirs.architecture, theirs.variant)
    )
    return Descriptor(Digest.parse(found.digest), found.size, platform)
