"""Configuration: config.toml, NIXERYD_… variables and flags, in rising order.

Every value is typed; an unknown key or a wrong value is an error that names
where it was written. Nixery's own variables keep working.
"""

import difflib
import os
import re
import sys
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from nixeryd.config import paths
from nixeryd.config.networking import Network, Upstream
from nixeryd.config.ownership import anyone_can_write, user_ids
from nixeryd.images.errors import NixerydError
from nixeryd.images.logins import refuse_login
from nixeryd.images.sizes import SizeError, parse_size

Compression = Literal["none", "gzip", "zstd"]
Layers = Literal["pack", "stream"]  # a copy, or a recipe: made from the store as read
LogLevel = Literal["debug", "info", "warning", "error"]
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
ENVIRONMENT = "the environment"
AUTO = "auto"
COMMAND_LINE = "the command line"
SOURCE_KINDS = ("path", "git", "channel", "flake")
SourceName = Annotated[str, msgspec.Meta(pattern=_NAME)]
# Such as refs/pull/*; what `git for-each-ref` and `git ls-remote` both understand.
RefPattern = Annotated[str, msgspec.Meta(pattern=r"^refs/[A-Za-z0-9._*/-]+$")]
# A host, as it stands before an image's name and in `ns`.
UpstreamName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]+)?$")]

# Nixery's names for what we call otherwise (its README, "Configuration").
_NIXERY = {
    "NIXERY_PKGS_PATH": ("sources", "nixpkgs", "path"),
    "NIXERY_PKGS_REPO": ("sources", "nixpkgs", "git"),
    "NIXERY_CHANNEL": ("sources", "nixpkgs", "channel"),
    "NIX_TIMEOUT": ("nix", "timeout"),
    "NIX_POPULARITY_URL": ("nix", "popularity"),
}


class ConfigError(NixerydError):
    """A setting is wrong; the message says which, where and how to mend it."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Source(_Table, frozen=True):
    """Where a package set comes from: exactly one of the four, `ref` with `git`."""

    path: str = ""
    git: str = ""  # a URL
    ref: str = ""  # a branch, tag or commit; "": what the repository calls HEAD
    refs: tuple[RefPattern, ...] = ()  # more that tags may name; evaluated restricted
    channel: str = ""  # its name, a commit of nixpkgs, or the URL of a tarball
    flake: str = ""  # a directory or a flake's URL
    config: dict[str, Any] = {}  # of nixpkgs, such as allowUnfree
    overlays: tuple[str, ...] = ()  # files or directories
    watch: tuple[str, ...] = ()  # more that it depends on, which nobody can see

    @property
    def watched(self) -> tuple[str, ...]:
        """The absolute paths of `watch`."""
        return tuple(os.path.abspath(os.path.expanduser(one)) for one in self.watch)  # noqa: PTH100, PTH111  text

    def __post_init__(self) -> None:
        kinds = [kind for kind in SOURCE_KINDS if getattr(self, kind)]
        if len(kinds) != 1:
            said = f"not {' and '.join(kinds)}" if kinds else "and it has none"
            raise ValueError(f"a source has one of path, git, channel, flake, {said}")
        refuse_login(self.git or self.channel or self.flake)
        if self.ref and not self.git:
            raise ValueError("ref goes with git; a tag names the ref of a checkout")
        if self.refs and not (self.path or self.git):
            raise ValueError("refs goes with path and git")
        if self.flake and (self.config or self.overlays):
            raise ValueError(
                "a flake configures its nixpkgs itself: config and overlays go with"
                " path, git and channel"
            )


# Mirrored without being configured.
_READY_UPSTREAMS = (
    "docker.io",
    "ghcr.io",
    "quay.io",
    "gcr.io",
    "registry.k8s.io",
    "mcr.microsoft.com",
    "public.ecr.aws",
)
# Where a registry is, if not at https:// and its name.
_ADDRESSES = {"docker.io": "https://registry-1.docker.io"}


# Bytes, as a person writes them.
_SIZES = (("cache", "max_size"), ("nix", "evaluation_memory"))


class Cache(_Table, frozen=True):
    max_size: str | int = "20GB"  # 0: no cap
    ttl: Annotated[int, msgspec.Meta(ge=0)] = 60  # seconds that a mirrored tag is fresh
    compression: Compression = "none"
    layers: Layers = "pack"

    def __post_init__(self) -> None:
        if self.layers == "stream" and self.compression != "none":
            raise ValueError('layers = "stream" goes with compression = "none" only')

    @property
    def cap(self) -> int | None:
        """What the blobs may take together, in bytes; None for no cap."""
        return parse_size(str(self.max_size)) or None


class Nix(_Table, frozen=True):
    timeout: Annotated[int, msgspec.Meta(ge=0)] = 0  # seconds per builder, 0: none
    popularity: str = ""  # a file or URL with Nixery's popularity data
    max_builds: Annotated[int, msgspec.Meta(ge=1)] = 8  # at once; the others wait
    evaluation_timeout: Annotated[int, msgspec.Meta(ge=0)] = 300  # seconds, 0: none
    # Address space of an evaluation, 0 for any; "auto": half of the machine's memory.
    evaluation_memory: str | int = AUTO
    cache_timeout: Annotated[int, msgspec.Meta(ge=0)] = 60  # seconds without a byte
    build_limit: Annotated[int, msgspec.Meta(ge=0)] = 0  # derivations, 0: any number
    fetch_timeout: Annotated[int, msgspec.Meta(ge=0)] = 900  # seconds per source, or 0
    keep_roots: bool = True  # let no collection take what a cached image is made of

    @property
    def limits(self) -> tuple[int, int, int, int, int]:
        """What `nix.limits.Limits` is made of: see there. 0 for no limit."""
        memory = (
            _half_of_memory()
            if self.evaluation_memory == AUTO
            else parse_size(str(self.evaluation_memory))
        )
        return (
            self.evaluation_timeout,
            memory,
            self.cache_timeout,
            self.build_limit,
            self.fetch_timeout,
        )


def _half_of_memory() -> int:
    """Return half of this machine's memory, and 4 GiB at least, in bytes.

    Evaluating packages of nixpkgs takes some 500 MB, and search more; what is reserved
    and not used counts too. 0 where address space has no limit (macOS).
    """
    if sys.platform != "linux":
        return 0
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(memory // 2, 4 * 2**30)


class Settings(_Table, frozen=True):
    """All settings of a daemon; the defaults need no file at all."""

    listen: tuple[str, ...] = ("127.0.0.1:5000",)
    mirror_listen: tuple[str, ...] = ("127.0.0.1:5001",)
    allow_remote: bool = False
    hosts: tuple[str, ...] = ()  # more names that this machine is asked by
    # Who is answered besides the daemon's own user and root; names or uids.
    users: tuple[str | int, ...] | Literal["all"] = ()
    hold: Annotated[float, msgspec.Meta(gt=0)] = 25.0  # seconds: see web.waiting
    source: str = ""  # "": the first of sources, or what is found
    sources: dict[SourceName, Source] = {}
    upstreams: dict[UpstreamName, Upstream] = {}
    shell_packages: tuple[str, ...] = (
        "bashInteractive",
        "coreutils",
        "moreutils",
        "nano",
    )
    nix_prefixes: tuple[str, ...] = ("shell", "nix")
    network: Network = Network()
    cache: Cache = Cache()
    nix: Nix = Nix()
    data_dir: str = ""  # "": the user's data directory
    idle_exit: Annotated[int, msgspec.Meta(ge=0)] = 0  # seconds of nothing to do, or 0
    finish_builds: bool = False  # before ending; else they are stopped
    offline: bool = False
    engine: str = ""  # that `run` calls, such as "podman"; "": what is there
    log_format: Literal["text", "json"] = "text"
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        for name in self.sources:
            if name == "latest" or ".." in name:
                raise ValueError(f"no tag can name a source called {name!r}")

    @property
    def user_ids(self) -> frozenset[int] | None:
        """The uids of `users`; None for all."""
        return None if self.users == "all" else user_ids(self.users)

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data_dir).expanduser() if self.data_dir else paths.data_dir()

    @property
    def all_upstreams(self) -> dict[str, Upstream]:
        """The registries that are mirrored: the ready ones and the user's."""
        found = dict.fromkeys(_READY_UPSTREAMS, Upstream()) | self.upstreams
        return {
            name: msgspec.structs.replace(
                upstream,
                url=upstream.url or _ADDRESSES.get(name, f"https://{name}"),
            )
            for name, upstream in found.items()
        }


def load_settings(
    file: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Put the settings together; raises `ConfigError`.

    `file` None means the user's config.toml, if there is one; a file that was
    named must be there. `flags` has the shape of the file.
    """
    merged: dict[str, Any] = {}
    for origin, layer in read_layers(file, environ, flags):
        _check(layer, origin)
        _merge(merged, layer)
    # Each layer was checked; not strict, since variables are text.
    settings = msgspec.convert(merged, Settings, strict=False)
    if settings.source and settings.source not in settings.sources:
        known = ", ".join(settings.sources) or "none"
        raise ConfigError(
            f"source = {settings.source!r} names no [sources.…] (known: {known})"
        )
    try:
        _ = settings.user_ids
    except LookupError as error:
        raise ConfigError(f"users: this machine has no user {error}") from error
    return settings


def read_layers(
    file: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, Any] | None,
) -> list[tuple[str, dict[str, Any]]]:
    """Read what is set where, the later wins; unchecked, in the file's shape."""
    environment: dict[str, Any] = {}
    for _, where, value in from_environment(environ):
        _put(environment, where, value)
    return [
        _read(file),
        (ENVIRONMENT, environment),
        (COMMAND_LINE, dict(flags or {})),
    ]


def _read(file: Path | None) -> tuple[str, dict[str, Any]]:
    path = file or paths.config_file()
    try:
        if anyone_can_write(path):
            raise ConfigError(f"{path} can be written by anyone: chmod go-w {path}")
        return str(path), tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        if file is None:
            return str(path), {}
        raise ConfigError(f"there is no configuration file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def from_environment(
    environ: Mapping[str, str],
) -> list[tuple[str, tuple[str, ...], object]]:
    """Return each variable that is set, the setting that it means, and its value."""
    found: list[tuple[str, tuple[str, ...], object]] = []
    for variable, where in _NIXERY.items():
        if value := environ.get(variable):
            found.append((variable, where, value))
    for where, kind in _options(Settings):
        variable = "NIXERYD_" + "_".join(where).upper()
        if value := environ.get(variable):
            is_list = any(
                typing.get_origin(one) is tuple
                for one in (kind, *typing.get_args(kind))
            )
            is_list = is_list and value != "all"  # of users
            found.append(
                (variable, where, re.split(r"[,\s]+", value) if is_list else value)
            )
    return found


def _options(
    table: type[msgspec.Struct], above: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], object]]:
    """Return every plain setting with its type; tables of many have no variable."""
    found: list[tuple[tuple[str, ...], object]] = []
    for field in msgspec.structs.fields(table):
        where = (*above, field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += _options(field.type, where)
        elif typing.get_origin(field.type) is not dict:
            found.append((where, field.type))
    return found


def _put(layer: dict[str, Any], where: tuple[str, ...], value: object) -> None:
    for name in where[:-1]:
        layer = layer.setdefault(name, {})
    layer[where[-1]] = value


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for name, value in layer.items():
        if name == "sources" and isinstance(into.get(name), dict):
            into[name] |= value  # whole ones: half of each would be two places
        elif isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def _check(layer: Mapping[str, Any], origin: str) -> None:
    """Name the origin of a mistake; after the merge nobody knows it any more."""
    try:
        # Environment variables are text: numbers and booleans are read from it.
        msgspec.convert(layer, Settings, strict=origin != ENVIRONMENT)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {_explain(str(error))}") from error
    for table, name in _SIZES:
        try:
            said = str(layer.get(table, {}).get(name, "0"))
            if (table, name, said) != ("nix", "evaluation_memory", AUTO):
                parse_size(said)
        except SizeError as error:
            raise ConfigError(f"{origin}: {table}.{name}: {error}") from error


def _explain(message: str) -> str:
    unknown = re.search(r"unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", message)
    if unknown is None:
        return message.replace("$.", "").replace("`$`", "the top level")
    name, table = unknown.group(1), unknown.group(2) or ""
    known = sorted({part for where, _ in _options(Settings) for part in where})
    known += [*SOURCE_KINDS, "ref", "watch", "refs", "sources", "upstreams"]
    known += Upstream.__struct_fields__
    near = difflib.get_close_matches(name, known, n=1)
    where = f" in [{table}]" if table else ""
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown setting {name!r}{where}{hint}"
