"""What goes into `Authorization`, and how a Bearer token is come by.

Law: one token per scope, one fetch of it however many wait (a failure is shared as
well); a password goes only to a realm that `images.trust` allows; the scope asked for
is always `pull`. Tokens live in memory only.

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
"""

import copy
import json
from dataclasses import dataclass, field

import httpx
import trio

from nixeryd.images.challenges import Basic, Bearer, Challenge, choose
from nixeryd.images.trust import realm_allowed
from nixeryd.upstream.bodies import read_body
from nixeryd.upstream.credentials import Login, LoginSource
from nixeryd.upstream.errors import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamRateLimited,
)
from nixeryd.upstream.network import transport_errors
from nixeryd.upstream.pace import Pace, parse_retry_after

# Bytes; real ones have two or three thousand.
MAX_TOKEN_REPLY = 1 << 20
# Seconds. "If omitted, this defaults to 60 seconds."
DEFAULT_LIFE = 60.0
# Seconds before its end at which a token is no longer used.
MARGIN = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when (seconds since the epoch) it is no longer to be used."""

    value: str = field(repr=False)
    good_until: float


@dataclass(slots=True)
class _Slot:
    """One scope's token. Whoever holds the lock fetches; the others look again."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    token: Token | None = None
    fetches: int = 0
    failure: UpstreamError | None = None


class Authorizer:
    """Knows how to log in at one upstream, as far as the upstream has told.

    Before the first challenge it knows nothing and requests go out bare; from then on
    it fetches tokens ahead, also for repositories that have not been asked for yet.
    """

    def __init__(
        self,
        upstream: str,
        url: str,
        client: httpx.AsyncClient,
        login: LoginSource,
        pace: Pace,
    ) -> None:
        self._upstream = upstream
        self._url = url
        self._client = client
        self._login = login
        self._pace = pace
        self._basic: str | None = None
        self._bearer: Bearer | None = None
        self._slots: dict[str, _Slot] = {}

    async def header(self, repository: str) -> str | None:
        """Give the header for requests about `repository`; None: none is known."""
        if self._bearer is not None:
            return await self._bearer_header(self._bearer, repository, None)
        return self._basic

    async def renew(
        self,
        challenges: tuple[Challenge, ...],
        repository: str,
        rejected: str | None,
    ) -> str:
        """Give a header that answers the challenges and is not the `rejected` one.

        Raises:
            UpstreamDenied: we have no login, or the realm takes ours for wrong.
            UpstreamBroken: a realm that must not have it, or an answer without token.

        """
        match choose(challenges):
            case Bearer() as bearer:
                self._bearer = bearer
                return await self._bearer_header(bearer, repository, rejected)
            case Basic():
                self._bearer = None
                return await self._basic_header(rejected)
            case None:
                raise UpstreamDenied(
                    self._upstream, "wants a login, but in no way that is known here"
                )

    async def _basic_header(self, rejected: str | None) -> str:
        login = await self._login()
        header = None if login is None else login.basic
        if header is None:
            raise UpstreamDenied(
                self._upstream, "wants a user name and a password; none is configured"
            )
        if header == rejected:
            raise UpstreamDenied(self._upstream, "does not accept the stored password")
        self._basic = header
        return header

    async def _bearer_header(
        self, bearer: Bearer, repository: str, rejected: str | None
    ) -> str:
        scope = _scope(bearer, repository)
        slot = self._slots.setdefault(scope, _Slot())
        fetches = slot.fetches
        async with slot.lock:
            if slot.token is not None and self._usable(slot.token, rejected):
                return f"Bearer {slot.token.value}"
            if slot.fetches != fetches and slot.failure is not None:
                # It failed while we waited for it: no queue of further tries. A copy,
                # since a traceback belongs to one task.
                raise copy.copy(slot.failure)
            slot.fetches += 1
            slot.token = slot.failure = None
            try:
                slot.token = await self._pace.persist(lambda: self._ask(bearer, scope))
            except UpstreamError as error:
                slot.failure = error
                raise
            return f"Bearer {slot.token.value}"

    def _usable(self, token: Token, rejected: str | None) -> bool:
        return (
            f"Bearer {token.value}" != rejected
            and self._pace.clock() < token.good_until
        )

    async def _ask(self, bearer: Bearer, scope: str) -> Token:
        with transport_errors(self._upstream, "asking its token service"):
            realm = httpx.URL(bearer.realm)
        if not realm_allowed(str(realm), self._url):
            raise UpstreamBroken(
                self._upstream,
                f"wants a token of {realm.host or 'nowhere'}, which does not belong to "
                "it; nothing was sent there",
            )
        request = self._request(realm, bearer.service, scope, await self._login())
        started = self._pace.clock()
        with transport_errors(self._upstream, "asking its token service"):
            response = await self._client.send(request, stream=True)
            body = await read_body(response, MAX_TOKEN_REPLY)
        self._raise_for(response, started)
        return self._read(body, started)

    def _request(
        self, realm: httpx.URL, service: str | None, scope: str, login: Login | None
    ) -> httpx.Request:
        asked = {"scope": scope} | ({"service": service} if service else {})
        if login is not None and login.identity_token:
            form = asked | {
                "grant_type": "refresh_token",
                "client_id": "nixeryd",
                "refresh_token": login.identity_token,
            }
            return self._client.build_request("POST", realm, data=form)
        # Added to what the realm's own query may hold.
        url = realm.copy_merge_params(asked)
        basic = None if login is None else login.basic
        headers = {} if basic is None else {"Authorization": basic}
        return self._client.build_request("GET", url, headers=headers)

    def _raise_for(self, response: httpx.Response, now: float) -> None:
        status = response.status_code
        said = f"its token service answered {status}"
        if status in (401, 403):
            raise UpstreamDenied(self._upstream, f"{said}: the login is not accepted")
        retry_after = parse_retry_after(response.headers.get("Retry-After"), now)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise UpstreamRateLimited(
                self._upstream,
                said,
                transient=retry_after is not None,
                retry_after=retry_after,
            )
        if status != httpx.codes.OK:
            raise UpstreamBroken(
                self._upstream,
                said,
                transient=status >= httpx.codes.INTERNAL_SERVER_ERROR,
                retry_after=retry_after,
            )

    def _read(self, body: bytes | None, started: float) -> Token:
        try:
            reply = json.loads(body or b"")
            token = reply.get("token") or reply.get("access_token")
            life = float(reply.get("expires_in") or DEFAULT_LIFE)
        except (ValueError, RecursionError, AttributeError, TypeError):
            token, life = None, 0.0
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise UpstreamBroken(
                self._upstream, "its token service answered without a token"
            )
        return Token(token, started + life - MARGIN)


def _scope(bearer: Bearer, repository: str) -> str:
    """Choose the scope: ours, unless the registry has no repositories in its scopes.

    (Amazon's public registry asks for `aws`.)
    """
    if bearer.scope and not bearer.scope.startswith("repository:"):
        return bearer.scope
    return f"repository:{repository}:pull"
