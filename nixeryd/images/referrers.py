"""Referrers: the signatures, SBOMs and other artifacts that refer to a manifest.

Descriptors pass through as another registry gave them; only what decides here, their
type, is read. One that cannot be read makes the whole list unreadable.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError, RegistryError
from nixeryd.images.manifests import INDEX_TYPE


class UnreadableReferrers(NixerydError):  # noqa: N818  a state
    """An answer that is no list of referrers."""


@dataclass(frozen=True, slots=True)
class Referrers:
    """Descriptors, each as JSON; `warning` tells the user why they may not be all."""

    items: tuple[bytes, ...] = ()
    warning: str | None = None


class _Page(msgspec.Struct):
    manifests: list[msgspec.Raw]


class _Descriptor(msgspec.Struct):
    mediaType: str  # noqa: N815  the spec's names
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    artifactType: str | None = None  # noqa: N815


def read_referrers(body: bytes) -> tuple[bytes, ...]:
    """Read the descriptors of an index; raises `UnreadableReferrers`."""
    try:
        items = tuple(
            bytes(item) for item in msgspec.json.decode(body, type=_Page).manifests
        )
        for item in items:
            Digest.parse(_read(item).digest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableReferrers(f"no list of referrers: {error}") from error
    except RegistryError as error:
        raise UnreadableReferrers(f"a list of referrers with {error}") from error
    return items


def of_type(items: Iterable[bytes], artifact_type: str) -> tuple[bytes, ...]:
    """Choose those of one type."""
    return tuple(item for item in items if _read(item).artifactType == artifact_type)


def render_referrers(items: Iterable[bytes]) -> bytes:
    """Render the index that lists these descriptors; an empty one for none."""
    return b'{"manifests":[%s],"mediaType":"%s","schemaVersion":2}' % (
        b",".join(items),
        INDEX_TYPE.encode(),
    )


def _read(item: bytes) -> _Descriptor:
    return msgspec.json.decode(item, type=_Descriptor)
