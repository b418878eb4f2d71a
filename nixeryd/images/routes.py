"""Routes: what a request asks for, and who answers it. Nothing is tried out.

`route` reads the path: repository names have slashes and may hold any of the
API's own words, so it is the last segments that tell. `decide` reads the name:
no name that Nix should answer is ever looked up in somebody else's registry,
nor the other way round.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#endpoints
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import parse_reference, parse_repository

DOCKER_HUB: Final = "docker.io"
_LIBRARY: Final = "library"
# The other algorithms that the image spec registers.
_OTHER_DIGEST = re.compile(r"sha512:[0-9a-f]{128}|blake3:[0-9a-f]{64}", re.ASCII)
_LIMIT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class ApiVersion:
    """`/v2/`: whether this is a registry."""


@dataclass(frozen=True, slots=True)
class ManifestRoute:
    """`/v2/<name>/manifests/<reference>`."""

    repository: tuple[str, ...]
    reference: Digest | str


@dataclass(frozen=True, slots=True)
class BlobRoute:
    """`/v2/<name>/blobs/<digest>`."""

    repository: tuple[str, ...]
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagsRoute:
    """`/v2/<name>/tags/list?n=<limit>&last=<tag>`: so many tags after that one."""

    repository: tuple[str, ...]
    limit: int | None
    last: str | None


@dataclass(frozen=True, slots=True)
class ReferrersRoute:
    """`/v2/<name>/referrers/<digest>?artifactType=<type>`: all, or those of a type."""

    repository: tuple[str, ...]
    digest: Digest
    artifact_type: str | None = None


Route = ApiVersion | ManifestRoute | BlobRoute | TagsRoute | ReferrersRoute


@dataclass(frozen=True, slots=True)
class Nix:
    """To be built; `components` are the image name's."""

    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """To be had from another registry, under that repository name of its own.

    `via`: the nixeryds that were asked before us (see `via`).
    """

    host: str
    repository: str
    via: tuple[str, ...] = ()


Destination = Nix | Upstream


def route(path: str, query: Mapping[str, str]) -> Route:
    """Read a raw (undecoded) path and a decoded query; other keys are ignored.

    Raises RegistryError: NAME_INVALID, DIGEST_INVALID, UNSUPPORTED for parts of
    the API that are not here, NAME_UNKNOWN for what is no part of it.
    """
    if path in {"/v2", "/v2/"}:
        return ApiVersion()
    if not path.startswith("/v2/"):
        raise _unknown(path)
    if "%" in path:
        # Nothing in the grammar needs it: a way of writing one name as another.
        raise RegistryError(
            ErrorCode.NAME_INVALID, "a percent sign is no part of a name, tag or digest"
        )
    match path.removeprefix("/v2/").split("/"):
        case [*name, "manifests", reference]:
            _require_sha256(reference, ErrorCode.MANIFEST_UNKNOWN)
            return ManifestRoute(_repository(name), parse_reference(reference))
        case [*name, "tags", "list"]:
            limit = _limit(query.get("n"))
            return TagsRoute(_repository(name), limit, query.get("last") or None)
        case [*name, "referrers", digest]:
            _require_sha256(digest, ErrorCode.MANIFEST_UNKNOWN)
            wanted = query.get("artifactType") or None
            return ReferrersRoute(_repository(name), Digest.parse(digest), wanted)
        case [*_, "blobs", "uploads"] | [*_, "blobs", "uploads", _]:
            raise RegistryError(
                ErrorCode.UNSUPPORTED,
                "this registry cannot be pushed to: images are built when pulled",
            )
        case [*name, "blobs", digest]:
            _require_sha256(digest, ErrorCode.BLOB_UNKNOWN)
            return BlobRoute(_repository(name), Digest.parse(digest))
        case ["_catalog"]:
            raise RegistryError(
                ErrorCode.UNSUPPORTED,
                "there is no catalog: any list of packages is an image",
            )
        case _:
            raise _unknown(path)


def decide(  # noqa: PLR0913  the settings the table needs
    repository: tuple[str, ...],
    *,
    ns: str | None,
    mirror: bool,
    upstreams: Collection[str],
    own_hosts: Collection[str],
    nix_prefixes: Collection[str] = ("shell", "nix"),
) -> Destination:
    """Say who answers for a repository.

    `ns` is the registry the client meant (containerd's query parameter), `mirror`
    whether it asked on the mirror listener; `upstreams` are the configured
    registries' hosts and `own_hosts` our own addresses. NAME_UNKNOWN (404, so that
    clients go on to the real registry) if nobody here does.
    """
    if ns is None and mirror:
        # dockerd asks the mirror of Docker Hub without saying so; a host before
        # the name is podman's, and no organisation there has a dot in its name.
        if repository[0] in upstreams:
            return _upstream(repository[0], repository[1:], upstreams)
        ns = DOCKER_HUB
    if mirror and ns in own_hosts:
        # Meant for us and no mirrored name: not to be looked up anywhere.
        raise RegistryError(
            ErrorCode.NAME_UNKNOWN,
            f"{ns} is this daemon itself; this listener mirrors other registries",
        )
    if ns is not None and ns not in own_hosts:
        if ns == DOCKER_HUB and repository[0] in nix_prefixes:
            return Nix(repository)
        return _upstream(ns, repository, upstreams)
    if repository[0] in upstreams:
        return _upstream(repository[0], repository[1:], upstreams)
    if repository[0] == _LIBRARY and len(repository) > 1:
        return _upstream(DOCKER_HUB, repository, upstreams)
    return Nix(repository)


def _upstream(
    host: str, components: tuple[str, ...], upstreams: Collection[str]
) -> Upstream:
    if host not in upstreams:
        raise RegistryError(
            ErrorCode.NAME_UNKNOWN,
            f"{host[:255]} is no configured upstream: add [upstreams.{host[:255]!r}]"
            " to the configuration to mirror it",
        )
    if not components:
        raise RegistryError(
            ErrorCode.NAME_UNKNOWN, f"{host} is a registry: which repository of it?"
        )
    if host == DOCKER_HUB and len(components) == 1:
        # `docker.io/nginx` is short for it, in Docker's clients alone.
        components = (_LIBRARY, *components)
    return Upstream(host, "/".join(components))


def _repository(segments: list[str]) -> tuple[str, ...]:
    return parse_repository("/".join(segments))


def _require_sha256(digest: str, unknown: ErrorCode) -> None:
    """Raise `unknown` (404) for what is a digest, and of an algorithm not kept here."""
    if _OTHER_DIGEST.fullmatch(digest) is not None:
        raise RegistryError(
            unknown, f"{digest[:80]} is not here: what is here has sha256 digests"
        )


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if _LIMIT.fullmatch(text) is None:
        # The spec has no code of its own for this.
        raise RegistryError(
            ErrorCode.NAME_INVALID, f"n={text[:20]!r}: how many tags? A number, please"
        )
    return int(text)


def _unknown(path: str) -> RegistryError:
    return RegistryError(
        ErrorCode.NAME_UNKNOWN, f"{path[:300]!r} is no part of the registry API"
    )
