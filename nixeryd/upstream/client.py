"""The client of one upstream registry: the read side of the OCI distribution API.

Law: opening it asks nothing; everything it raises is an `UpstreamError`; nothing that
a client of ours sent (its `Authorization` least of all) is an argument here. What to
keep, and for how long, is not known here.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote, urlencode

import httpx
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import INDEX_TYPE
from nixeryd.upstream.blobs import BlobStream, read_extent
from nixeryd.upstream.bodies import open_body, read_body
from nixeryd.upstream.certificates import Contexts
from nixeryd.upstream.credentials import LoginSource, anonymous
from nixeryd.upstream.errors import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamUnreachable,
)
from nixeryd.upstream.manifests import (
    ACCEPT,
    MAX_MANIFEST,
    FetchedManifest,
    ManifestHead,
    check_head_digest,
    check_manifest,
    check_media_type,
)
from nixeryd.upstream.network import transport_errors
from nixeryd.upstream.outgoing import DIRECT, Outgoing, open_client
from nixeryd.upstream.ratelimit import RateLimit
from nixeryd.upstream.referrers import (
    MAX_PAGES,
    MAX_REFERRERS,
    next_page,
    read_page,
)
from nixeryd.upstream.requests import Exchange, Request
from nixeryd.upstream.retry_policy import RetryPolicy
from nixeryd.upstream.tags import MAX_TAGS, TagsPage, read_tags
from nixeryd.upstream.tokens import Authorizer
from nixeryd.upstream.trust import same_origin
from nixeryd.upstream.via import render_via

# Seconds for all of an answer that is no blob, with its logins, redirects and repeats:
# each piece in its time (Outgoing.read_timeout) could go on for ever.
WHOLE = 300


class Upstream:
    """One upstream registry. Any number of tasks may ask at the same time."""

    def __init__(
        self,
        name: str,
        url: str,
        exchange: Exchange,
        via: tuple[str, ...],
        *,
        is_anonymous: bool = True,
    ) -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._is_anonymous = is_anonymous
        self._exchange = exchange
        self._via = via

    def behind(self, via: tuple[str, ...]) -> "Upstream":
        """Return the same client, for what other nixeryds asked us for."""
        if not via:
            return self
        return Upstream(
            self.name,
            self.url,
            self._exchange,
            (*via, *self._via),
            is_anonymous=self._is_anonymous,
        )

    def __repr__(self) -> str:
        return f"<Upstream {self.name}>"

    @property
    def rate_limit(self) -> RateLimit | None:
        """What the upstream last said about our quota, if it ever did."""
        return self._exchange.rate_limit

    async def check(self) -> bool:
        """Ask whether it is a registry (GET /v2/), and tell whether it lets us in.

        False: it wants a login, and none is configured.

        https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#determining-support

        Raises:
            UpstreamError: it is none, it cannot be reached, or it refuses our login.

        """
        request = Request("GET", f"{self.url}/v2/", "", "/v2/", self._headers())
        try:
            async with self._ask_in_time(request):
                return True
        except UpstreamDenied as error:
            if self._is_anonymous:
                return False
            raise UpstreamDenied(
                self.name, f"does not let us in with the login for it: {error.reason}"
            ) from error

    async def head_manifest(
        self, repository: str, reference: Digest | str
    ) -> ManifestHead:
        """Ask what a tag is at (HEAD: free of Docker Hub's quota)."""
        request = self._manifest("HEAD", repository, reference)
        async with self._ask_in_time(request) as response:
            headers = response.headers
            length = headers.get("Content-Length", "")
            return ManifestHead(
                check_head_digest(
                    self.name, headers.get("Docker-Content-Digest"), reference
                ),
                check_media_type(self.name, headers.get("Content-Type")),
                int(length) if length.isdigit() else None,
                self.rate_limit,
            )

    async def get_manifest(
        self, repository: str, reference: Digest | str
    ) -> FetchedManifest:
        """Fetch a manifest or an index, checked; UpstreamBroken if it is none."""
        request = self._manifest("GET", repository, reference)
        async with self._ask_in_time(request) as response:
            body = await self._read(response, MAX_MANIFEST, request.what)
            return check_manifest(
                self.name,
                body,
                response.headers.get("Content-Type"),
                response.headers.get("Docker-Content-Digest"),
                reference,
            )

    async def head_blob(self, repository: str, digest: Digest) -> int | None:
        """Ask for a blob's size in bytes; None if the upstream does not say."""
        request = Request(
            "HEAD",
            self._path(repository, "blobs", str(digest)),
            repository,
            f"a blob of {repository}",
            self._headers(),
        )
        async with self._ask_in_time(request) as response:
            size, _ = read_extent(self.name, response, 0)
            return size

    @asynccontextmanager
    async def open_blob(
        self, repository: str, digest: Digest, offset: int = 0
    ) -> AsyncIterator[BlobStream]:
        """Open a blob, from byte `offset` on if the upstream can (see BlobStream).

        Not checked against its digest: whoever stores it does that while storing.
        """
        request = Request(
            "GET",
            self._path(repository, "blobs", str(digest)),
            repository,
            f"a blob of {repository}",
            self._headers({"Range": f"bytes={offset}-"} if offset else {}),
        )
        async with self._exchange.ask(request) as response:
            size, start = read_extent(self.name, response, offset)
            async with open_body(response) as chunks:
                yield BlobStream(self.name, chunks, size, start)

    async def tags(
        self, repository: str, n: int | None = None, last: str | None = None
    ) -> TagsPage:
        """Fetch one page of tags: at most `n`, those after `last`."""
        asked = {"n": n, "last": last}
        query = urlencode({key: v for key, v in asked.items() if v is not None})
        url = self._path(repository, "tags", "list") + (f"?{query}" if query else "")
        request = Request(
            "GET", url, repository, f"the tags of {repository}", self._headers()
        )
        async with self._ask_in_time(request) as response:
            body = await self._read(response, MAX_TAGS, request.what)
            return read_tags(self.name, body, response.headers.get("Link"))

    async def referrers(self, repository: str, digest: Digest) -> tuple[bytes, ...]:
        """Fetch all that refers to a manifest: descriptors, each as JSON.

        Raises `UpstreamNotFound` if the registry has no such API.
        """
        url: str | None = self._path(repository, "referrers", str(digest))
        items: dict[bytes, None] = {}
        room = MAX_REFERRERS
        for _ in range(MAX_PAGES):
            if url is None:
                return tuple(items)
            request = Request(
                "GET",
                url,
                repository,
                f"the referrers of {digest}",
                self._headers({"Accept": INDEX_TYPE}),
            )
            async with self._ask_in_time(request) as response:
                body = await self._read(response, room, request.what)
                items |= dict.fromkeys(read_page(self.name, body))
                room -= len(body or b"")
                url = next_page(url, response.headers.get("Link"))
        raise UpstreamBroken(
            self.name, f"has more than {MAX_PAGES} pages of referrers of {digest}"
        )

    @asynccontextmanager
    async def _ask_in_time(self, request: Request) -> AsyncIterator[httpx.Response]:
        """Ask for something small: all of it has to come before long."""
        try:
            with trio.fail_after(WHOLE):
                async with self._exchange.ask(request) as response:
                    yield response
        except trio.TooSlowError as error:
            raise UpstreamUnreachable(
                self.name, f"took more than {WHOLE} s for {request.what}"
            ) from error

    def _manifest(
        self, method: str, repository: str, reference: Digest | str
    ) -> Request:
        return Request(
            method,
            self._path(repository, "manifests", str(reference)),
            repository,
            f"the manifest of {repository}",
            self._headers({"Accept": ACCEPT}),
        )

    def _headers(self, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        return {"Via": render_via(self._via), **(headers or {})}

    def _path(self, repository: str, *rest: str) -> str:
        parts = (*repository.split("/"), *rest)
        return f"{self.url}/v2/" + "/".join(quote(part, safe=":") for part in parts)

    async def _read(
        self, response: httpx.Response, limit: int, what: str
    ) -> bytes | None:
        with transport_errors(self.name, f"reading {what}"):
            return await read_body(response, limit)


def _registry_url(name: str, url: str) -> str:
    try:
        normal = str(httpx.URL(url))
    except httpx.InvalidURL:
        normal = ""
    if not same_origin(normal, normal):
        raise ValueError(f"{name}: its url must be http(s)://host[:port]")
    return normal


@asynccontextmanager
async def open_upstream(  # noqa: PLR0913  by keyword, with defaults
    name: str,
    url: str,
    *,
    login: LoginSource = anonymous,
    via: str = "nixeryd",
    retry_policy: RetryPolicy | None = None,
    outgoing: Outgoing = DIRECT,
    contexts: Contexts | None = None,
) -> AsyncIterator[Upstream]:
    """Open the upstream called `name` (`docker.io`) at `url`. Connects to nothing.

    `via` should be unique to this daemon: its own requests are known by it.
    `contexts`: whom to trust; by default, whom the system trusts.

    Raises:
        ValueError: `url` is no `http(s)://host[:port]`, or holds a user name.

    """
    retry_policy = retry_policy or RetryPolicy()
    url = _registry_url(name, url)
    async with open_client(
        name, url, via=via, outgoing=outgoing, contexts=contexts
    ) as client:
        authorizer = Authorizer(name, url, client, login, retry_policy)
        yield Upstream(
            name,
            url,
            Exchange(name, client, authorizer, retry_policy),
            (via,),
            is_anonymous=login is anonymous,
        )
