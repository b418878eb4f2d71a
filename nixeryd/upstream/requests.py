"""One question to an upstream, until there is an answer: login, redirects, retries.

Law: our own redirect loop, at most ten hops; `Authorization` goes to the upstream's
own origin and nowhere else; a 401 is answered once, and only the upstream's own;
every status but the wanted ones becomes an `UpstreamError`. Only GET and HEAD are
sent, so that everything may be repeated.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import trio

from nixeryd.upstream.bodies import GOODBYE, discard
from nixeryd.upstream.challenges import parse_challenges
from nixeryd.upstream.errors import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamNotFound,
    UpstreamRateLimited,
)
from nixeryd.upstream.network import transport_errors
from nixeryd.upstream.ratelimit import RateLimit, parse_rate_limit
from nixeryd.upstream.retry_policy import RetryPolicy, parse_retry_after
from nixeryd.upstream.tokens import Authorizer
from nixeryd.upstream.trust import redirect_allowed, same_origin

MAX_HOPS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({408, 500, 502, 503, 504})
_GOOD = frozenset({200, 206})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `what` says it in an error's words, without any secret."""

    method: str
    url: str
    repository: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Exchange:
    """Asks questions of the upstream at one origin."""

    def __init__(
        self,
        upstream: str,
        client: httpx.AsyncClient,
        authorizer: Authorizer,
        retry_policy: RetryPolicy,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._authorizer = authorizer
        self._retry_policy = retry_policy
        self.rate_limit: RateLimit | None = None

    @asynccontextmanager
    async def ask(self, question: Request) -> AsyncIterator[httpx.Response]:
        """Ask, and give the answer (200 or 206) with its body still to be read.

        Raises:
            UpstreamError: whatever else came of it.

        """
        response = await self._retry_policy.retry(lambda: self._attempt(question))
        try:
            yield response
        finally:
            with trio.move_on_after(GOODBYE, shield=True):
                await response.aclose()

    async def _attempt(self, question: Request) -> httpx.Response:
        header = await self._authorizer.header(question.repository)
        response = await self._follow(question, header)
        own = same_origin(question.url, str(response.url))
        if response.status_code == httpx.codes.UNAUTHORIZED and own:
            wanted = response.headers.get_list("WWW-Authenticate")
            await discard(response)
            header = await self._authorizer.renew(
                parse_challenges(wanted), question.repository, rejected=header
            )
            response = await self._follow(question, header)
        if response.status_code not in _GOOD:
            await discard(response)
            raise self._error(question, response)
        if question.method == "HEAD":
            # There is no body, but its end has to be read before the next request.
            await discard(response)
        return response

    async def _follow(
        self, question: Request, authorization: str | None
    ) -> httpx.Response:
        url = question.url
        for _ in range(MAX_HOPS + 1):
            headers = dict(question.headers)
            own = same_origin(url, question.url)
            if own and authorization is not None:
                headers["Authorization"] = authorization
            with transport_errors(self._upstream, f"asking for {question.what}"):
                request = self._client.build_request(
                    question.method, url, headers=headers
                )
                response = await self._client.send(request, stream=True)
            if own:
                self._note(response)
            if response.status_code not in _REDIRECTS:
                return response
            location = response.headers.get("Location", "")
            await discard(response)
            url = self._target(url, location)
        raise UpstreamBroken(
            self._upstream, f"redirects more than {MAX_HOPS} times for {question.what}"
        )

    def _target(self, url: str, location: str) -> str:
        with transport_errors(self._upstream, "following a redirect"):
            target = str(httpx.URL(url).join(location))
        if not location or not redirect_allowed(url, target):
            raise UpstreamBroken(
                self._upstream,
                "redirects to where it must not (no HTTP address, or from HTTPS "
                "back to HTTP); not followed",
            )
        return target

    def _note(self, response: httpx.Response) -> None:
        seen = parse_rate_limit(response.headers, self._retry_policy.clock())
        self.rate_limit = seen or self.rate_limit

    def _error(self, question: Request, response: httpx.Response) -> UpstreamError:
        status = response.status_code
        host = response.url.host
        elsewhere = not same_origin(question.url, str(response.url))
        said = f"{f'{host} ' if elsewhere else ''}answered {status}"
        text = f"{said} for {question.what}"
        if status in (404, 410):
            return UpstreamNotFound(self._upstream, text)
        # What a store behind the registry refuses says nothing about the image.
        if status in (401, 403) and not elsewhere:
            return UpstreamDenied(self._upstream, f"{text}: private, or not there")
        retry_after = parse_retry_after(
            response.headers.get("Retry-After"), self._retry_policy.clock()
        )
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return UpstreamRateLimited(
                self._upstream,
                f"{text}: too many requests",
                transient=retry_after is not None,
                retry_after=retry_after,
            )
        return UpstreamBroken(
            self._upstream,
            text,
            transient=status in _TRANSIENT,
            retry_after=retry_after,
        )
