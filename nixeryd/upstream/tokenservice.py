"""Ask a token service for a Bearer token.

Law: a password goes only to a realm that `images.trust` allows; a redirect is not
followed (nobody needs it, and it would carry the login along).

https://distribution.github.io/distribution/spec/auth/token/
https://distribution.github.io/distribution/spec/auth/oauth/
"""

import json
from dataclasses import dataclass, field

import httpx

from nixeryd.upstream.bodies import read_body
from nixeryd.upstream.challenges import Bearer
from nixeryd.upstream.credentials import Login
from nixeryd.upstream.errors import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamRateLimited,
)
from nixeryd.upstream.network import transport_errors
from nixeryd.upstream.retry_policy import parse_retry_after
from nixeryd.upstream.trust import realm_allowed

# Bytes; real ones have two or three thousand.
MAX_REPLY = 1 << 20
# Seconds. "If omitted, this defaults to 60 seconds."
DEFAULT_LIFE = 60.0
# Seconds before its end at which a token is no longer used.
MARGIN = 10.0

_DOING = "asking its token service"

# OverflowError: a number of hundreds of digits.
_UNREADABLE = (ValueError, RecursionError, AttributeError, TypeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when (seconds since the epoch) it is no longer to be used."""

    value: str = field(repr=False)
    good_until: float


class TokenService:
    """The token services of the upstream at `url`; each challenge names its own."""

    def __init__(self, upstream: str, url: str, client: httpx.AsyncClient) -> None:
        self._upstream = upstream
        self._url = url
        self._client = client

    async def fetch(
        self, bearer: Bearer, scope: str, login: Login | None, now: float
    ) -> Token:
        """Ask once. `now`: seconds since the epoch, from which the token's life counts.

        Raises:
            UpstreamDenied: the login is not accepted.
            UpstreamBroken: a realm that must not see it, or an answer without token.
            UpstreamError: others, some of them transient.

        """
        with transport_errors(self._upstream, _DOING):
            realm = httpx.URL(bearer.realm)
        if not realm_allowed(str(realm), self._url):
            raise UpstreamBroken(
                self._upstream,
                f"wants a token of {realm.host or 'nowhere'}, which does not belong to "
                "it; nothing was sent there",
            )
        request = self._request(realm, bearer.service, scope, login)
        with transport_errors(self._upstream, _DOING):
            response = await self._client.send(request, stream=True)
            body = await read_body(response, MAX_REPLY)
        self._check_status(response, now)
        return self._read(body, now)

    def _request(
        self, realm: httpx.URL, service: str | None, scope: str, login: Login | None
    ) -> httpx.Request:
        asked = {"scope": scope, "service": service or ""}
        asked = {name: value for name, value in asked.items() if value}
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

    def _check_status(self, response: httpx.Response, now: float) -> None:
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

    def _read(self, body: bytes | None, now: float) -> Token:
        try:
            reply = json.loads(body or b"")
            token = reply.get("token") or reply.get("access_token")
            life = float(reply.get("expires_in") or DEFAULT_LIFE)
        except _UNREADABLE:
            token, life = None, 0.0
        if not isinstance(token, str) or not (token.isascii() and token.isprintable()):
            raise UpstreamBroken(
                self._upstream, "its token service answered without a token"
            )
        return Token(token, now + life - MARGIN)
