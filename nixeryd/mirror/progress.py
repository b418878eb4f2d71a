"""What a pull is doing, in words like a build's."""

from typing import TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    pass


class Phase(_Event, frozen=True, tag="phase"):
    """What is done now: resolve (manifests), fetch (blobs)."""

    phase: str


class Warned(_Event, frozen=True, tag="warning"):
    """Something that the user should know and that stops nothing."""

    message: str


class Blob(_Event, frozen=True, tag="blob"):
    """A blob has come so far; sizes in bytes. `cached`: it was here before."""

    digest: str
    done: int
    size: int
    cached: bool = False


class Done(_Event, frozen=True, tag="done"):
    """The image is here, whole; `size` in bytes, `cached`: nothing was fetched."""

    repository: str
    digest: str
    size: int
    cached: bool


class Failed(_Event, frozen=True, tag="failed"):
    """The image is not here, or not all of it."""

    message: str


Event: TypeAlias = Phase | Warned | Blob | Done | Failed
