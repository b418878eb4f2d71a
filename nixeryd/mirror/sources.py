"""The upstreams that are mirrored. Opening them connects to nothing."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from nixeryd.config import ConfigError, Settings
from nixeryd.upstream import Pace, Upstream, anonymous, docker_login, open_upstream


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Clients by the host's name. `via` is how these upstreams see us."""

    clients: Mapping[str, Upstream]
    via: str


@asynccontextmanager
async def open_upstreams(
    settings: Settings, pace: Pace | None = None
) -> AsyncIterator[Upstreams]:
    """Open a client for each upstream; `ConfigError` for an address that is none."""
    # Nobody else's, so that a loop through other mirrors is known for what it is.
    via = f"nixeryd-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        clients = {}
        for name, upstream in settings.all_upstreams.items():
            login = (
                docker_login(name) if upstream.credentials == "docker" else anonymous
            )
            try:
                clients[name] = await stack.enter_async_context(
                    open_upstream(name, upstream.url, login=login, via=via, pace=pace)
                )
            except ValueError as error:
                raise ConfigError(f"[upstreams.{name!r}]: {error}") from error
        yield Upstreams(clients, via)
