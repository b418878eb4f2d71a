"""What is inside an image, beyond what a client sees: sharing, causes, history."""

from collections.abc import Mapping

import msgspec


class Branch(msgspec.Struct, frozen=True):
    """A store path and what it brings along; NAR sizes.

    Of `alone` and `paths` (a number) nothing else in the image is the cause, of
    `whole` something else may be. Branches come as a tree: `depth` 0 is a package that
    was asked for, or what several such share.
    """

    path: str
    name: str
    depth: int
    own: int
    alone: int
    whole: int
    paths: int


class Target(msgspec.Struct, frozen=True):
    """What a tag led to, from this moment on."""

    digest: str
    since: float


class Inside(msgspec.Struct, frozen=True):
    """What is inside.

    `others` says for each layer, lowest first, how many other images have it. `sizes`
    are the NAR sizes of the store paths, and `packages` the outputs of those that
    were asked for; both are empty for images that are not ours. `warnings` name the
    files of two packages that wanted the same place.
    """

    manifest: str
    others: tuple[int, ...]
    sizes: Mapping[str, int]
    packages: Mapping[str, tuple[str, ...]]
    branches: tuple[Branch, ...]
    history: tuple[Target, ...]
    warnings: tuple[str, ...] = ()


class Why(msgspec.Struct, frozen=True):
    """Why a path is in an image: the shortest chain of references to it.

    It begins with an output of `package`, and is empty if nothing leads there.
    """

    path: str
    package: str
    chain: tuple[str, ...]
