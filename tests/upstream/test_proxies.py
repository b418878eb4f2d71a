"""Through a proxy, as companies have them: real sockets, TLS inside the tunnel."""

import ssl

import pytest
import trustme

from nixeryd.config.proxies import Proxies, parse_exceptions, parse_proxy
from nixeryd.images.digests import Digest
from nixeryd.upstream import (
    Contexts,
    Outgoing,
    UpstreamBroken,
    UpstreamUnreachable,
    open_upstream,
)
from nixeryd.upstream.document import fetch_document
from tests.upstream.faults import FaultServer, Reply
from tests.upstream.fixtures import IMAGE, logged_in
from tests.upstream.proxy import ProxyServer
from tests.upstream.test_network import resolve
from tests.upstream.tokenrealm import TokenRealm

REPOSITORY = IMAGE.repository
LOGIN = ("me", "p@ss:hush")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def contexts(authority) -> Contexts:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Contexts(context, context)


@pytest.fixture
async def secure(authority, registry, nursery) -> FaultServer:
    """The registry behind TLS, as hub.test."""
    server = FaultServer(registry.port, server_context(authority, "hub.test"))
    await nursery.start(server.run)
    return server


@pytest.fixture
async def proxy(secure, faults, nursery) -> ProxyServer:
    """Knows hub.test: port 443 with TLS, port 80 without."""
    server = ProxyServer({"hub.test:443": secure.port, "hub.test:80": faults.port})
    await nursery.start(server.run)
    return server


def through(url: str, no_proxy: str = "") -> Outgoing:
    proxy = parse_proxy(url)
    return Outgoing(Proxies(proxy, proxy, parse_exceptions([no_proxy])))


@pytest.fixture
def open_hub(contexts, retry_policy):
    """Open hub.test, trusting the authority, through the proxy at a URL."""

    def open_it(url: str, home: str = "https://hub.test", *, no_proxy="", **options):
        return open_upstream(
            "hub.test",
            home,
            retry_policy=retry_policy,
            contexts=contexts,
            outgoing=through(url, no_proxy),
            **options,
        )

    return open_it


async def pull(upstream) -> None:
    manifest = await upstream.get_manifest(REPOSITORY, "latest")
    assert str(manifest.digest) == IMAGE.digest
    digest = Digest.of(IMAGE.layers[0])
    async with upstream.open_blob(REPOSITORY, digest) as blob:
        assert b"".join([chunk async for chunk in blob]) == IMAGE.layers[0]


async def test_https_goes_through_a_tunnel(proxy, open_hub):
    async with open_hub(proxy.url) as upstream:
        await pull(upstream)
    assert proxy.asked == ["CONNECT hub.test:443"]
    assert "proxy-authorization" not in proxy.seen[0]


async def test_plain_http_is_forwarded(proxy, open_hub):
    async with open_hub(proxy.url, "http://hub.test") as upstream:
        await pull(upstream)
    assert proxy.asked[0] == f"GET http://hub.test/v2/{REPOSITORY}/manifests/latest"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxys_login_is_for_the_proxy_alone(
    secure, faults, open_hub, nursery, scheme
):
    proxy = ProxyServer(
        {"hub.test:443": secure.port, "hub.test:80": faults.port}, login=LOGIN
    )
    await nursery.start(proxy.run)
    async with open_hub(
        proxy.url_for("me", "p%40ss%3Ahush"), f"{scheme}://hub.test"
    ) as upstream:
        await pull(upstream)
    seen = [*secure.seen, *faults.seen]
    assert seen
    assert not any("proxy-authorization" in request.headers for request in seen)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("user", "said"),
    [("", "wants a user name and a password"), ("me:hush@", "does not accept")],
)
async def test_a_refused_login_is_told_without_the_password(
    open_hub, nursery, scheme, user, said
):
    proxy = ProxyServer(login=LOGIN)
    await nursery.start(proxy.run)
    async with open_hub(
        proxy.url.replace("//", f"//{user}"), f"{scheme}://hub.test"
    ) as upstream:
        with pytest.raises(UpstreamUnreachable, match=said) as caught:
            await upstream.head_manifest(REPOSITORY, "latest")
    assert f"the proxy {proxy.url} " in str(caught.value)
    assert "hush" not in repr(caught.value)
    assert len(proxy.asked) == 1


async def test_a_proxy_that_cannot_connect_is_asked_again(
    open_hub, retry_policy, waits, nursery
):
    proxy = ProxyServer()
    await nursery.start(proxy.run)
    async with open_hub(proxy.url) as upstream:
        with pytest.raises(
            UpstreamUnreachable, match=r"does not let us through \(it answers 502\)"
        ):
            await upstream.head_manifest(REPOSITORY, "latest")
    assert len(waits.seconds) == retry_policy.attempts - 1


async def test_a_proxy_that_is_not_there_is_named(open_hub):
    async with open_hub("http://me:hush@127.0.0.1:1") as upstream:
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.head_manifest(REPOSITORY, "latest")
    assert caught.value.reason == "the proxy http://127.0.0.1:1 cannot be reached"


async def test_no_proxy_and_this_machine_are_asked_directly(
    faults, secure, open_hub, proxy
):
    async with open_hub(proxy.url, faults.url) as upstream:
        await pull(upstream)
    resolve(hub="127.0.0.1")
    home = f"https://hub.test:{secure.port}"
    async with open_hub(proxy.url, home, no_proxy=".corp,hub.test") as upstream:
        await pull(upstream)
    assert proxy.asked == []


async def test_a_proxy_may_be_asked_by_tls(authority, open_hub, secure, nursery):
    proxy = ProxyServer(
        {"hub.test:443": secure.port}, tls=server_context(authority, "127.0.0.1")
    )
    await nursery.start(proxy.run)
    async with open_hub(proxy.url) as upstream:
        await pull(upstream)
    assert proxy.asked == ["CONNECT hub.test:443"]


async def test_the_token_service_and_storage_are_asked_through_it_too(
    authority, secure, proxy, open_hub, nursery
):
    realm = TokenRealm(
        LOGIN,
        FaultServer(tls=server_context(authority, "auth.hub.test")),
        "https://auth.hub.test/token",
    )
    await nursery.start(realm.server.run)
    storage = FaultServer(tls=server_context(authority, "cdn.test"))
    storage.on("", Reply(body=IMAGE.layers[0]))
    await nursery.start(storage.run)
    proxy.targets |= {
        "auth.hub.test:443": realm.server.port,
        "cdn.test:443": storage.port,
    }
    secure.on("GET .*/blobs/", Reply(307, {"Location": "https://cdn.test/x"}))
    secure.on("/v2/", realm.gate)
    async with open_hub(proxy.url, login=logged_in(*LOGIN)) as upstream:
        await pull(upstream)
    assert set(proxy.asked) == {
        "CONNECT hub.test:443",
        "CONNECT auth.hub.test:443",
        "CONNECT cdn.test:443",
    }


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("https://10.0.0.1/", "private"),
        ("https://169.254.169.254/latest/", "link-local"),
        ("https://[fd00::1]/", "private"),
        ("https://intranet/", "private"),
        ("https://vault.internal/", "private"),
        ("https://printer.local/", "private"),
        ("https://127.0.0.1:1/", "loopback"),
        ("https://localhost:1/", "loopback"),
    ],
)
async def test_nobody_out_there_makes_the_proxy_ask_inside(
    secure, proxy, open_hub, target, kind
):
    secure.on("GET", Reply(307, {"Location": target}))
    async with open_hub(proxy.url) as upstream:
        with pytest.raises(UpstreamBroken, match=f"which is a {kind} address; refused"):
            await pull(upstream)
    assert proxy.asked == ["CONNECT hub.test:443"]


async def test_a_document_comes_through_it(proxy, faults):
    faults.on("/popularity.json", Reply(body=b"{}"))
    body = await fetch_document(
        "http://hub.test/popularity.json", limit=10, outgoing=through(proxy.url)
    )
    assert body == b"{}"
    assert proxy.asked == ["GET http://hub.test/popularity.json"]


async def test_what_fails_inside_a_tunnel_leaves_no_connection(
    proxy, retry_policy, monkeypatch
):
    """Tunnels that were never finished would fill the pool, and all would wait."""
    monkeypatch.setattr("nixeryd.upstream.transport.CONNECTIONS", 2)
    async with open_upstream(
        "hub.test",
        "https://hub.test",
        retry_policy=retry_policy,
        outgoing=through(proxy.url),
    ) as upstream:
        for _ in range(4):
            with pytest.raises(UpstreamUnreachable, match="certificate not trusted"):
                await upstream.head_manifest(REPOSITORY, "latest")
    assert len(proxy.asked) == 4
