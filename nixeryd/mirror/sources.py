"""The upstreams that are mirrored. Opening them connects to nothing."""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from nixeryd.config import ConfigError, Settings
from nixeryd.networking import Upstream as UpstreamSettings, place
from nixeryd.upstream import (
    LoginSource,
    Outgoing,
    Pace,
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
    pace: Pace | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Upstreams]:
    """Open a client for each upstream.

    Raises:
        ConfigError: an address that is none, or a file that cannot be read.

    """
    # Nobody else's, so that a loop through other mirrors is known for what it is.
    via = f"nixeryd-{secrets.token_hex(4)}"
    pace = pace or Pace(attempts=1 + settings.network.retries)
    outgoing = read_network(settings, environ)
    async with AsyncExitStack() as stack:
        clients = {}
        for name, upstream in settings.all_upstreams.items():
            try:
                contexts = load_contexts(
                    ca=place(upstream.ca),
                    cert=place(upstream.cert),
                    key=place(upstream.key),
                    insecure=upstream.insecure,
                )
                opened = open_upstream(
                    name,
                    upstream.url,
                    login=_login(name, upstream),
                    via=via,
                    pace=pace,
                    outgoing=outgoing,
                    contexts=contexts,
                )
                clients[name] = await stack.enter_async_context(opened)
            except ValueError as error:
                raise ConfigError(f"[upstreams.{name!r}]: {error}") from error
        yield Upstreams(clients, via)


def _login(name: str, settings: UpstreamSettings) -> LoginSource:
    password_file = place(settings.password_file)
    if password_file is not None:
        return file_login(name, settings.username, password_file)
    if settings.credential_helper:
        return helper_login(name, settings.credential_helper)
    return docker_login(name) if settings.credentials == "docker" else anonymous
