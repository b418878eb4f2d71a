"""Which users of this machine are answered.

A connection's user is told by the kernel, once, when it was accepted; nothing that
a client sends counts. It is looked up for each request whether that user may ask,
so that a changed setting counts at once.

Whoever the kernel does not tell is answered: other machines, which `allow_remote`
let in, and everybody on macOS. A program that forwards connections (a proxy, `ssh
-L`, slirp4netns) asks as the user that it runs as.

Measured on a busy machine: 16 to 35 µs for a connection, when it is accepted, and 0.2
µs for each of its requests (`python -m benchmarks.peers`).
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

import trio

from nixeryd.config.ownership import user_name
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.runtime.sockdiag import SockDiag, Socket, unix_peer_uid
from nixeryd.web.asgi import App, Receive, Scope, Send
from nixeryd.web.errors import deny
from nixeryd.web.ports import ListenerKind

_log = logging.getLogger(__name__)

_MOST = 1000  # users whose refusal is remembered, so that it is logged once
_naming = trio.CapacityLimiter(1)  # the user database may be on another machine


class Peers:
    """Tells who connects, and whether they are answered.

    `users`: the uids that are, besides our own and root's; None: everybody.
    """

    def __init__(self, users: frozenset[int] | None, kernel: SockDiag | None) -> None:
        self.users = users
        self._own = {0, os.geteuid()}
        self._kernel = kernel
        self._refused: dict[int, str] = {}
        self.tells = kernel is not None  # of all listeners that were asked about

    def can_tell(self, listener: Socket) -> bool:
        """Return whether the kernel says who connects to a listener."""
        if listener.family == socket.AF_UNIX:
            return True
        told = self._kernel is not None and self._kernel.sees(listener)
        self.tells = self.tells and told
        if self.users is not None and not told and sys.platform == "linux":
            _log.warning(
                "the kernel does not tell who connects to %s: every user of this"
                " machine is answered there",
                listener.getsockname(),
            )
        return told

    def uid(self, sock: Socket) -> int | None:
        """Return the user at the other end of a connection, None if not told.

        `can_tell` was asked of its listener. Raises PeerGoneError.
        """
        if sock.family == socket.AF_UNIX:
            return unix_peer_uid(sock)
        return None if self._kernel is None else self._kernel.peer_uid(sock)

    async def refusal(self, uid: int | None) -> str | None:
        """Return why a user is not answered; None: they are."""
        if self.users is None or uid is None or uid in self.users or uid in self._own:
            return None
        reason = self._refused.get(uid)
        if reason is None:
            # Users' names may be kept by a server that is slow to answer.
            name = await trio.to_thread.run_sync(
                user_name, uid, abandon_on_cancel=True, limiter=_naming
            )
            listed = name if name.isdecimal() else f'"{name}"'
            reason = (
                f"this daemon does not answer the user {name}: let its owner put"
                f" users = [{listed}] into config.toml"
            )
            if len(self._refused) >= _MOST:
                self._refused.clear()
            if self._refused.setdefault(uid, reason) is reason:
                _log.warning("%s (uid %s asked for something)", reason, uid)
        return reason

    def check(self, app: App, uid: int | None) -> App:
        """Wrap the app of one connection: it answers its user, or refuses them."""

        async def checked(scope: Scope, receive: Receive, send: Send) -> None:
            reason = await self.refusal(uid)
            if reason is None:
                await app(scope, receive, send)
            else:
                await deny(send, RegistryError(ErrorCode.DENIED, reason))

        return checked


@contextmanager
def open_peers(users: frozenset[int] | None) -> Iterator[Mapping[ListenerKind, Peers]]:
    """Return the peers of each kind of listener; clients share one.

    The admin socket is for our own user and root, whatever `users` says.
    """
    with ExitStack() as stack:
        kernel = None
        with suppress(OSError):  # no such thing here
            kernel = stack.enter_context(SockDiag())
        clients = Peers(users, kernel)
        owner = Peers(frozenset(), kernel)
        yield {
            ListenerKind.MAIN: clients,
            ListenerKind.MIRROR: clients,
            ListenerKind.ADMIN: owner,
        }
