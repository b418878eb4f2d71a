"""What goes into `Authorization`: a password, or a Bearer token that is kept.

Law: one token per scope, one fetch of it however many wait (a failure is shared as
well); the scope asked for is always `pull`. Tokens live in memory only.
"""

import copy
from dataclasses import dataclass, field

import httpx
import trio

from nixeryd.upstream.challenges import Basic, Bearer, Challenge, choose
from nixeryd.upstream.credentials import LoginSource
from nixeryd.upstream.errors import UpstreamDenied, UpstreamError
from nixeryd.upstream.retry_policy import RetryPolicy
from nixeryd.upstream.tokenservice import Token, TokenService


@dataclass(slots=True)
class _Slot:
    """One scope's token. Whoever holds the lock fetches; the others look again."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    token: Token | None = None
    failures: int = 0
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
        retry_policy: RetryPolicy,
    ) -> None:
        self._upstream = upstream
        self._service = TokenService(upstream, url, client)
        self._login = login
        self._retry_policy = retry_policy
        self._basic: str | None = None
        self._bearer: Bearer | None = None
        self._slots: dict[str, _Slot] = {}

    async def header(self, repository: str) -> str | None:
        """Return the header for requests about `repository`; None: none is known."""
        if self._bearer is None:
            return self._basic
        try:
            return await self._bearer_header(self._bearer, repository, None)
        except UpstreamError:
            # Perhaps the realm has moved: let the upstream name it again.
            self._bearer = None
            raise

    async def renew(
        self,
        challenges: tuple[Challenge, ...],
        repository: str,
        rejected: str | None,
    ) -> str:
        """Return a header that answers the challenges and is not the `rejected` one.

        Raises:
            UpstreamDenied: we have no login, or the realm takes ours for wrong.
            UpstreamBroken: a realm that must not have it, or an answer without token.

        """
        match choose(challenges):
            case Bearer() as bearer:
                header = await self._bearer_header(bearer, repository, rejected)
                self._bearer = bearer
                return header
            case Basic():
                header = await self._basic_header(rejected)
                self._bearer = None
                return header
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
        failures = slot.failures
        async with slot.lock:
            if slot.token is not None and self._usable(slot.token, rejected):
                return f"Bearer {slot.token.value}"
            if slot.failures != failures and slot.failure is not None:
                # It failed while we waited for it: no queue of further tries. A copy,
                # since a traceback belongs to one task.
                raise copy.copy(slot.failure)
            slot.token = slot.failure = None
            try:
                slot.token = await self._retry_policy.retry(
                    lambda: self._fetch(bearer, scope)
                )
            except UpstreamError as error:
                slot.failures += 1
                slot.failure = error
                raise
            return f"Bearer {slot.token.value}"

    def _usable(self, token: Token, rejected: str | None) -> bool:
        return (
            f"Bearer {token.value}" != rejected
            and self._retry_policy.clock() < token.good_until
        )

    async def _fetch(self, bearer: Bearer, scope: str) -> Token:
        now = self._retry_policy.clock()
        return await self._service.fetch(bearer, scope, await self._login(), now)


def _scope(bearer: Bearer, repository: str) -> str:
    """Choose the scope: ours, unless the registry has no repositories in its scopes.

    (Amazon's public registry asks for `aws`.) Without a repository there is none, as
    when `docker login` tries a password.
    """
    if not repository:
        return bearer.scope or ""
    if bearer.scope and not bearer.scope.startswith("repository:"):
        return bearer.scope
    return f"repository:{repository}:pull"
