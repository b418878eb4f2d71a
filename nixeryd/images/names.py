"""Names: what a repository name and a reference say about an image.

The name is the package list: order and the always-added packages make no
difference, so equal images have equal keys. The grammar is the OCI
distribution spec's; which registry answers a name is decided in `routes`, and
whether a package exists (case, digits) in Nix, not here.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError

# Spec: "<name> MUST match the following regular expression:
# `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`".
# One component of it; the quantifiers are possessive, so matching never backtracks.
_COMPONENT = re.compile(r"[a-z0-9]++(?:(?:\.|__?+|-++)[a-z0-9]++)*+")
# Spec: "<reference> as a tag MUST be at most 128 characters in length and MUST
# match the following regular expression: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`".
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
# "Many clients impose a limit of 255 characters on the length of the
# concatenation of the registry hostname, `/`, and <name>".
_MAX_LENGTH: Final = 255
# Nix's base 32 has no e, o, u and t.
_STORE_HASH = re.compile(r"[0-9a-df-np-sv-z]{32}(?:-|$)")

ARCHITECTURES: Final = {"x86_64-linux": "amd64", "aarch64-linux": "arm64"}
_SYSTEMS: Final = {meta: system for system, meta in ARCHITECTURES.items()}
THIN: Final = "thin"
META_PACKAGES: Final = frozenset({"shell", THIN, *_SYSTEMS})
# Says only who is asked, as in `docker pull nix/git` by a mirror; a package else.
PREFIX: Final = "nix"


def parse_repository(text: str) -> tuple[str, ...]:
    """Split a repository name into its components; NAME_INVALID if it is none."""
    if len(text) > _MAX_LENGTH:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"the repository name has {len(text)} characters,"
            f" {_MAX_LENGTH} are the most",
        )
    components = tuple(text.split("/"))
    for component in components:
        if _COMPONENT.fullmatch(component) is None:
            raise RegistryError(
                ErrorCode.NAME_INVALID,
                f"{component!r} is no part of a repository name: lower-case letters"
                " and digits, with single '.', '_', '__' or dashes between them",
            )
    return components


def parse_reference(text: str) -> Digest | str:
    """Read a tag or a digest; NAME_INVALID or DIGEST_INVALID if it is neither."""
    if ":" in text:
        return Digest.parse(text)
    if _TAG.fullmatch(text) is None:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{text[:140]!r} is no tag: up to 128 letters, digits, '_', '.' and '-',"
            " the first of them no '.' or '-'",
        )
    return text


def spells_component(text: str) -> bool:
    """Return whether this can be a component of a repository name."""
    return _COMPONENT.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class NamePolicy:
    """What a name leaves open: the default system, and the packages to add."""

    default_system: str
    shell_packages: tuple[str, ...] = (
        "bashInteractive",
        "coreutils",
        "moreutils",
        "nano",
    )
    always: tuple[str, ...] = ("cacert", "iana-etc")

    def __post_init__(self) -> None:
        if self.default_system not in ARCHITECTURES:
            raise ValueError(
                f"no images for {self.default_system!r}: one of {[*ARCHITECTURES]}"
            )


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image as its name describes it.

    `packages` is all that goes in and `requested` what the user named, both
    sorted and without duplicates; `system` is Nix's name of the platform. Of
    `optional` a source that is no nixpkgs need not have any. `flake` is the source
    that the name asks for, and `store_paths` are paths in the store, by their hashes.
    What `is_thin` has mount points where others have store paths.
    """

    repository: str
    packages: tuple[str, ...]
    requested: tuple[str, ...]
    system: str
    is_shell: bool
    optional: tuple[str, ...] = ()
    flake: str | None = None
    store_paths: tuple[str, ...] = ()
    is_thin: bool = False

    @property
    def is_store(self) -> bool:
        """Whether the image is made of store paths alone."""
        return bool(self.store_paths) and not self.packages

    @property
    def title(self) -> str:
        """What a person would call it."""
        named = [THIN] if self.is_thin else []
        if self.is_shell and not self.requested:
            named.append("shell")
        if self.flake:
            named += ["flake", self.flake]
        named += self.requested
        if self.store_paths:
            named += ["store", *self.store_paths]
        return "/".join(named)

    @property
    def architecture(self) -> str:
        """OCI's (Go's) name of the system's architecture."""
        return ARCHITECTURES[self.system]

    @property
    def key(self) -> str:
        """What makes this image, as canonical JSON; equal for any order.

        `requested` is part of it, since the default command depends on it:
        `git` starts git, `git/cacert` has the same packages and starts nothing.
        """
        return _key(self)


@lru_cache(maxsize=1000)  # one name is asked for again and again
def _key(image: ImageName) -> str:
    parts: dict[str, object] = {
        "packages": image.packages,
        "requested": image.requested,
        "shell": image.is_shell,
        "system": image.system,
    }
    if image.flake is not None:
        parts["flake"] = image.flake
    if image.is_store:
        parts |= {"packages": image.store_paths, "requested": image.store_paths}
        parts["store"] = True
    elif image.store_paths:
        parts["store"] = image.store_paths
    if image.is_thin:
        parts["thin"] = True
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=1000)
def parse_image(components: tuple[str, ...], policy: NamePolicy) -> ImageName:
    """Read an image name: leading meta-packages, then packages.

    After the meta-packages may come `flake/SOURCE`, then packages of that flake, its
    default one without any. Last may come `store`, then hashes of paths in the store.
    MANIFEST_UNKNOWN if a component is repeated, as in `grafana/grafana`: that
    is somebody's repository and no package list. NAME_INVALID if it names no
    package, or two architectures.
    """
    repository = "/".join(components)
    start, end = _metas(components)
    metas, requested = components[start:end], components[end:]
    requested, store_paths = _split_store(requested)
    _check_hashes(repository, store_paths)
    flake = None
    match requested:
        case ["flake", name, *rest]:
            flake, requested = name, (*rest,) if rest else ("default",)
    _refuse_repeats(repository, (*metas, *requested, *store_paths))

    systems = [_SYSTEMS[meta] for meta in metas if meta in _SYSTEMS]
    if len(systems) > 1:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{repository} asks for amd64 and arm64: an image has one architecture",
        )
    is_shell = "shell" in metas
    if not requested and not store_paths and not is_shell:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{repository} names no package: 'shell', 'thin', 'arm64' and 'amd64' come"
            " before the packages, as in arm64/git",
        )
    always = policy.always if requested or is_shell else ()
    added = always + (policy.shell_packages if is_shell else ())
    return ImageName(
        repository=repository,
        packages=tuple(sorted({*requested, *added})),
        requested=tuple(sorted(requested)),
        system=systems[0] if systems else policy.default_system,
        is_shell=is_shell,
        optional=tuple(sorted({*always} - {*requested})),
        flake=flake,
        store_paths=tuple(sorted(store_paths)),
        is_thin=THIN in metas,
    )


def _split_store(
    components: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split packages from the store paths behind them.

    A package may be called store as well: after other packages it is one, unless a
    hash follows.
    """
    for index, (component, following) in enumerate(pairwise(components)):
        is_hash = _STORE_HASH.match(following) is not None
        if component == "store" and (index == 0 or is_hash):
            return components[:index], components[index + 1 :]
    return components, ()


def thinned(components: tuple[str, ...]) -> tuple[str, ...]:
    """Name the thin image of the same packages."""
    start, end = _metas(components)
    if THIN in components[start:end]:
        return components
    return (*components[:start], THIN, *components[start:])


def is_thin(repository: str) -> bool:
    """Return whether this names a thin image."""
    components = tuple(repository.split("/"))
    return thinned(components) == components


def unthinned(components: tuple[str, ...]) -> tuple[str, ...]:
    """Name the ordinary image of the same packages."""
    start, end = _metas(components)
    kept = (meta for meta in components[start:end] if meta != THIN)
    return (*components[:start], *kept, *components[end:])


def _metas(components: tuple[str, ...]) -> tuple[int, int]:
    """Say where the meta-packages of a name begin and end."""
    start = end = 1 if len(components) > 1 and components[0] == PREFIX else 0
    while end < len(components) and components[end] in META_PACKAGES:
        end += 1
    return start, end


def _refuse_repeats(repository: str, components: tuple[str, ...]) -> None:
    twice = [c for c in components if components.count(c) > 1]
    if twice:
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"{repository} is no image name, as it has {twice[0]} twice. A name lists"
            f" packages: try {'/'.join(dict.fromkeys(components))}. If it is meant for"
            " another registry, put that registry's host before it.",
        )


def _check_hashes(repository: str, hashes: tuple[str, ...]) -> None:
    for component in hashes:
        if _STORE_HASH.match(component) is None:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"{repository}: {component} is no hash of a store path, the 32"
                " characters after /nix/store/; the rest of the name may follow",
            )
