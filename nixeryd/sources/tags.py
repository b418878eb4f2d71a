"""Tags: which source a tag means, and which state of it.

`latest` is the default source as it is now, a source's name that one; `source..ref`
is a ref or commit of a source, and anything else one of the default source.
Two dots are in no ref's name: https://git-scm.com/docs/git-check-ref-format
"""

from collections.abc import Collection
from dataclasses import dataclass

from nixeryd.images.errors import ErrorCode, RegistryError

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class TagMeaning:
    """A source, and a ref or commit of it; None: as the source is now."""

    source: str
    ref: str | None


def read_tag(tag: str, *, sources: Collection[str], default: str) -> TagMeaning:
    """Say what a tag means; MANIFEST_UNKNOWN if it names a source that is none."""
    source, dots, ref = tag.partition("..")
    if not dots:
        if tag == LATEST:
            return TagMeaning(default, None)
        if tag in sources:
            return TagMeaning(tag, None)
        return TagMeaning(default, tag)
    if source not in sources:
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"there is no source {source!r} for the tag {tag!r}: the configured ones"
            f" are {', '.join(sources)}",
        )
    if not ref or ".." in ref:
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"the tag {tag!r} names no ref: say {source}..REF, as in {source}..main",
        )
    return TagMeaning(source, None if ref == LATEST else ref)
