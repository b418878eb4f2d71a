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

ARCHITECTURES: Final = {"x86_64-linux": "amd64", "aarch64-linux": "arm64"}
_SYSTEMS: Final = {meta: system for system, meta in ARCHITECTURES.items()}
META_PACKAGES: Final = frozenset({"shell", *_SYSTEMS})
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
    sorted and without duplicates; `system` is Nix's name of the platform.
    """

    repository: str
    packages: tuple[str, ...]
    requested: tuple[str, ...]
    system: str
    is_shell: bool

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
    return json.dumps(
        {
            "packages": image.packages,
            "requested": image.requested,
            "shell": image.is_shell,
            "system": image.system,
        },
        sort_keys=True,
        separators=(",", ":"),
    )


@lru_cache(maxsize=1000)
def parse_image(components: tuple[str, ...], policy: NamePolicy) -> ImageName:
    """Read an image name: leading meta-packages, then packages.

    MANIFEST_UNKNOWN if a component is repeated, as in `grafana/grafana`: that
    is somebody's repository and no package list. NAME_INVALID if it names no
    package, or two architectures.
    """
    repository = "/".join(components)
    if len(set(components)) < len(components):
        twice = next(c for c in components if components.count(c) > 1)
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"{repository} is no image name, as it has {twice} twice. A name lists"
            f" packages: try {'/'.join(dict.fromkeys(components))}. If it is meant for"
            " another registry, put that registry's host before it.",
        )

    leading = start = 1 if len(components) > 1 and components[0] == PREFIX else 0
    while leading < len(components) and components[leading] in META_PACKAGES:
        leading += 1
    metas, requested = components[start:leading], components[leading:]

    systems = [_SYSTEMS[meta] for meta in metas if meta in _SYSTEMS]
    if len(systems) > 1:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{repository} asks for amd64 and arm64: an image has one architecture",
        )
    is_shell = "shell" in metas
    if not requested and not is_shell:
        raise RegistryError(
            ErrorCode.NAME_INVALID,
            f"{repository} names no package: 'shell', 'arm64' and 'amd64' come before"
            " the packages, as in arm64/git",
        )

    added = policy.always + (policy.shell_packages if is_shell else ())
    return ImageName(
        repository=repository,
        packages=tuple(sorted({*requested, *added})),
        requested=tuple(sorted(requested)),
        system=systems[0] if systems else policy.default_system,
        is_shell=is_shell,
    )
