"""The upstreams that are mirrored. Opening them connects to nothing."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

from nixeryd.config.networking import Upstream as UpstreamSettings, place
from nixeryd.config.settings import ConfigError, Settings
from nixeryd.upstream import (
    LoginSource,
    Outgoing,
    RetryPolicy,
    Upstream,
    anonymous,
    docker_login,
    file_login,
    helper_login,
    load_contexts,
    open_upstream,
    read_outgoing,
)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Clients by the host's name. `via` is how these upstreams see us."""

    clients: Mapping[str, Upstream]
    via: str


def read_network(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> Outgoing:
    """Say how all of them are asked; `ConfigError` for a variable that is no proxy."""
    try:
        return read_outgoing(settings.network, environ)
    except ValueError as error:
        raise ConfigError(f"the environment: {error}") from error


@asynccontextmanager
async def open_upstreams(
    settings: Settings,
    retry_policy: RetryPolicy | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Upstreams]:
    """Open a client for each upstream.

    Raises:
        ConfigError: an address that is none, or a file that cannot be read.

    """
    async with OpenUpstreams(retry_policy, environ) as opened:
        yield await opened.open(settings)


class OpenUpstreams:
    """The clients that are open; one that is configured as before stays.

    One that is not wanted any more stays open until the end of the block: a
    download may be using it, and it holds no connection for long.
    """

    def __init__(
        self,
        retry_policy: RetryPolicy | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._retry_policy = retry_policy
        self._environ = environ
        # Nobody else's, so that a loop through other mirrors is known for what it is.
        self._via = f"nixeryd-{secrets.token_hex(4)}"
        self._stack = AsyncExitStack()
        self._known: dict[tuple[str, UpstreamSettings], Upstream] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, settings: Settings) -> Upstreams:
        """Return the clients that settings mean; ConfigError, as `open_upstreams`."""
        retry_policy = self._retry_policy or RetryPolicy(
            attempts=1 + settings.network.retries
        )
        outgoing = read_network(settings, self._environ)
        clients = {}
        for name, upstream in settings.all_upstreams.items():
            client = self._known.get((name, upstream))
            if client is None:
                opened = _open(name, upstream, outgoing, retry_policy, self._via)
                try:
                    client = await self._stack.enter_async_context(opened)
                except ValueError as error:
                    raise ConfigError(f"[upstreams.{name!r}]: {error}") from error
                self._known[name, upstream] = client
            clients[name] = client
        return Upstreams(clients, self._via)


@asynccontextmanager
async def _open(
    name: str,
    settings: UpstreamSettings,
    outgoing: Outgoing,
    retry_policy: RetryPolicy,
    via: str,
) -> AsyncIterator[Upstream]:
    contexts = load_contexts(
        ca=place(settings.ca),
        cert=place(settings.cert),
        key=place(settings.key),
        insecure=settings.insecure,
    )
    async with open_upstream(
        name,
        settings.url,
        login=_login(name, settings),
        via=via,
        retry_policy=retry_policy,
        outgoing=outgoing,
        contexts=contexts,
    ) as client:
        yield client


def _login(name: str, settings: UpstreamSettings) -> LoginSource:
    password_file = place(settings.password_file)
    if password_file is not None:
        return file_login(name, settings.username, password_file)
    if settings.credential_helper:
        return helper_login(name, settings.credential_helper)
    return docker_login(name) if settings.credentials == "docker" else anonymous
