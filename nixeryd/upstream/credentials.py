"""Whose name we pull under: nobody's, what `docker login` stored, or one of our own.

Law: nothing is read before an upstream asks for it. With what `docker login` stored, a
helper that is missing or fails is logged and means "anonymous"; a login that was
configured for this upstream and cannot be read is an error. Secrets have no repr.

https://docs.docker.com/reference/cli/docker/login/#credential-stores
https://github.com/docker/docker-credential-helpers#development
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from nixeryd.upstream.errors import UpstreamDenied

if TYPE_CHECKING:
    import subprocess

# docker login writes Docker Hub's entry under its address of 2014.
HUB_KEY = "https://index.docker.io/v1/"
_HUB_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")

# Seconds. A key ring may ask its owner to unlock it, but nobody waits longer.
HELPER_PATIENCE = 30
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
# What a helper calls the user of an identity token.
_TOKEN_USER = "<token>"  # noqa: S105  a marker, no password

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and a password, or an OAuth2 refresh token instead of both."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str | None:
        """The value of an `Authorization: Basic` header, if there is a password."""
        if not self.password:
            return None
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


# Called whenever the upstream wants to know; None: anonymous.
LoginSource = Callable[[], Awaitable[Login | None]]


async def anonymous() -> Login | None:
    """Be nobody."""
    await trio.lowlevel.checkpoint()
    return None


def docker_login(registry: str) -> LoginSource:
    """Look `registry` (a host, with its port) up where `docker login` put it."""

    async def look_up() -> Login | None:
        config = await _read_config(_config_file(), registry)
        helper = _helper_for(config, registry)
        if helper is None:
            return _stored(config, registry)
        return await _ask(helper, registry)

    return look_up


def file_login(registry: str, username: str, password_file: Path) -> LoginSource:
    """Log in with a password that lies in a file; a line break after it is no part.

    The file is read each time, so that a new password needs no restart.
    """

    async def read() -> Login:
        try:
            password = await trio.Path(password_file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text in UTF-8"
            raise UpstreamDenied(
                registry, f"its password_file {password_file} cannot be read: {reason}"
            ) from error
        password = password.rstrip("\r\n")
        if not password:
            raise UpstreamDenied(
                registry, f"its password_file {password_file} is empty"
            )
        return Login(username, password)

    return read


def helper_login(registry: str, helper: str) -> LoginSource:
    """Ask `docker-credential-HELPER`, whatever Docker's configuration says."""

    async def ask() -> Login:
        login = await _ask(helper, registry)
        if login is None:
            raise UpstreamDenied(
                registry,
                f"docker-credential-{helper} gives no login for it (the log says why)",
            )
        return login

    return ask


def _config_file() -> Path:
    directory = os.environ.get("DOCKER_CONFIG")
    return Path(directory or Path.home() / ".docker") / "config.json"


async def _read_config(file: Path, registry: str) -> dict[str, object]:
    try:
        config = json.loads(await trio.Path(file).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        # Not the text: a JSON error says where it is, an OSError what it is.
        kind = type(error).__name__
        log.warning("unreadable docker config", upstream=registry, error=kind)
        return {}
    return config if isinstance(config, dict) else {}


def _keys(registry: str) -> tuple[str, ...]:
    if registry in _HUB_HOSTS:
        return (HUB_KEY, *_HUB_HOSTS)
    return (registry,)


def _host(key: str) -> str:
    """Reduce `https://ghcr.io/v2/` to `ghcr.io`, as Docker does."""
    return key.removeprefix("https://").removeprefix("http://").split("/")[0]


def _section(config: dict[str, object], name: str) -> dict[str, object]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _helper_for(config: dict[str, object], registry: str) -> str | None:
    helpers = _section(config, "credHelpers")
    named = next((helpers[key] for key in _keys(registry) if key in helpers), None)
    chosen = named or config.get("credsStore")
    return chosen if isinstance(chosen, str) and chosen else None


def _stored(config: dict[str, object], registry: str) -> Login | None:
    hosts = {_host(key) for key in _keys(registry)}
    entry = next(
        (e for key, e in _section(config, "auths").items() if _host(key) in hosts), None
    )
    if not isinstance(entry, dict):
        return None
    text = {key: value for key, value in entry.items() if isinstance(value, str)}
    if token := text.get("identitytoken"):
        return Login(identity_token=token)
    username, password = text.get("username", ""), text.get("password", "")
    if encoded := text.get("auth"):
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            log.warning("unreadable auth in the docker config", upstream=registry)
            return None
        username, _, password = decoded.partition(":")
    return Login(username, password) if password else None


async def _ask(helper: str, registry: str) -> Login | None:
    """Run `docker-credential-HELPER get`; its answer is JSON on standard output."""
    noted = log.bind(upstream=registry, helper=helper)
    if _HELPER.fullmatch(helper) is None:
        noted.warning("no name of a credential helper; going on as nobody")
        return None
    server = _keys(registry)[0]
    done: subprocess.CompletedProcess[bytes] | None = None
    try:
        with trio.move_on_after(HELPER_PATIENCE):
            done = await trio.run_process(
                [f"docker-credential-{helper}", "get"],
                stdin=server.encode(),
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    except OSError as error:
        noted.warning("cannot run the credential helper", error=error.strerror)
        return None
    if done is None:
        noted.warning("the credential helper did not answer", seconds=HELPER_PATIENCE)
        return None
    if done.returncode != 0:
        # Its output may quote a secret: only the code is logged.
        noted.warning("the credential helper failed", exit_code=done.returncode)
        return None
    return _answer(done.stdout, noted)


def _answer(output: bytes, noted: structlog.stdlib.BoundLogger) -> Login | None:
    try:
        answer = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, RecursionError, KeyError, TypeError):
        noted.warning("the credential helper's answer is no JSON of the expected form")
        return None
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    if username == _TOKEN_USER:
        return Login(identity_token=secret)
    return Login(username, secret)
