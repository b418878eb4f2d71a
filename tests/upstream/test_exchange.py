import logging
import ssl
import traceback
from functools import partial

import pytest
import trio
import trustme

from nixeryd.images.digests import Digest
from nixeryd.upstream import (
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnreachable,
    open_upstream,
)
from nixeryd.upstream.certificates import Contexts
from nixeryd.upstream.credentials import Login
from tests.upstream.faults import FaultServer, HangUp, Reply
from tests.upstream.fixtures import IMAGE
from tests.upstream.registries import PASSWORD, USER

REPOSITORY = IMAGE.repository
LAYER = IMAGE.layers[0]
LAYER_DIGEST = Digest.of(LAYER)
SIGNED = "/storage/blob?X-Signature=hush-hush"


async def pull(upstream) -> bytes:
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST) as stream:
        return b"".join([chunk async for chunk in stream])


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure(authority, registry, nursery) -> FaultServer:
    """The registry by HTTPS, with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = FaultServer(registry.port, tls=context)
    await nursery.start(server.run)
    return server


# -- repeating


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_a_passing_failure_is_repeated(upstream, faults, waits, status):
    faults.on("", Reply(status), times=2)
    assert (await upstream.get_manifest(REPOSITORY, "latest")).body == IMAGE.manifest
    assert faults.count() == 3
    assert waits.seconds == [0.25, 0.5]


async def test_a_lasting_failure_is_reported_after_three_tries(upstream, faults):
    faults.on("", Reply(503))
    with pytest.raises(UpstreamBroken, match=r"^hub\.test: answered 503 for the tags"):
        await upstream.tags(REPOSITORY)
    assert faults.count() == 3


async def test_a_connection_hung_up_on_is_made_again(upstream, faults):
    faults.on("", HangUp(), times=1)
    assert await pull(upstream) == LAYER
    assert faults.connections == 2


async def test_hanging_up_every_time_is_unreachable(upstream, faults):
    faults.on("", HangUp())
    with pytest.raises(UpstreamUnreachable, match=r"^hub\.test: "):
        await pull(upstream)
    assert faults.count() == 3


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_kept_to(upstream, faults, waits, status):
    faults.on("", Reply(status, {"Retry-After": "7"}), times=1)
    await upstream.head_manifest(REPOSITORY, "latest")
    assert waits.seconds == [7.0]


async def test_a_long_retry_after_is_reported_at_once(upstream, faults, waits):
    faults.on("", Reply(429, {"Retry-After": "3600"}))
    with pytest.raises(UpstreamRateLimited) as caught:
        await upstream.get_manifest(REPOSITORY, "latest")
    assert caught.value.retry_after == 3600
    assert (faults.count(), waits.seconds) == (1, [])


async def test_a_limit_without_an_end_is_reported_at_once(upstream, faults):
    faults.on("", Reply(429))
    with pytest.raises(UpstreamRateLimited) as caught:
        await upstream.get_manifest(REPOSITORY, "latest")
    assert caught.value.retry_after is None
    assert faults.count() == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
async def test_an_answer_is_not_asked_for_again(upstream, faults, status):
    faults.on("", Reply(status))
    with pytest.raises((UpstreamBroken, UpstreamDenied, UpstreamNotFound)):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 1


# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_storage_is_followed(upstream, faults, elsewhere, status):
    faults.on("GET .*/blobs/", Reply(status, {"Location": elsewhere.url + SIGNED}))
    elsewhere.on("GET /storage/", Reply(body=LAYER))
    assert await pull(upstream) == LAYER
    assert [str(r) for r in elsewhere.seen] == [f"GET {SIGNED}"]


async def test_a_relative_redirect_stays_at_the_upstream(upstream, faults):
    faults.on("HEAD .*/latest", Reply(307, {"Location": "1.0"}))
    head = await upstream.head_manifest(REPOSITORY, "latest")
    assert str(head.digest) == IMAGE.digest
    assert faults.seen[1].target == f"/v2/{REPOSITORY}/manifests/1.0"


async def test_the_range_goes_along(upstream, faults, elsewhere):
    faults.on("GET .*/blobs/", Reply(307, {"Location": elsewhere.url + SIGNED}))
    partial = {"Content-Range": f"bytes 9-{len(LAYER) - 1}/{len(LAYER)}"}
    elsewhere.on("GET", Reply(206, partial, LAYER[9:]))
    async with upstream.open_blob(REPOSITORY, LAYER_DIGEST, 9) as stream:
        assert stream.start == 9
    assert elsewhere.seen[0].headers["range"] == "bytes=9-"


async def test_authorization_stays_at_the_upstreams_origin(
    private_registry, elsewhere, nursery, retry_policy
):
    proxy = FaultServer(private_registry.port)
    await nursery.start(proxy.run)
    elsewhere.on("GET", Reply(307, {"Location": f"{proxy.url}/v2/back"}))
    proxy.on("GET .*/blobs/", Reply(307, {"Location": elsewhere.url + SIGNED}))
    proxy.on("GET /v2/back", Reply(body=LAYER))

    async def login():
        return Login(USER, PASSWORD)

    async with open_upstream(
        "hub.test", proxy.url, login=login, retry_policy=retry_policy
    ) as upstream:
        await upstream.head_manifest(REPOSITORY, "latest")
        assert await pull(upstream) == LAYER
    assert "authorization" in proxy.asked("GET .*/blobs/")[0].headers
    assert "authorization" not in elsewhere.seen[0].headers
    assert "authorization" in proxy.asked("/v2/back")[0].headers


async def test_redirects_in_a_circle_end(upstream, faults):
    faults.on("", Reply(307, {"Location": f"/v2/{REPOSITORY}/manifests/latest"}))
    with pytest.raises(UpstreamBroken, match="redirects more than 10 times"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 11


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Location": ""},
        {"Location": "ftp://127.0.0.1/x"},
        {"Location": "file:///etc/passwd"},
        {"Location": "http://me:pw@127.0.0.1/x"},
        {"Location": "http://127.0.0.1:99999/"},
    ],
)
async def test_a_redirect_to_no_plain_http_address_is_refused(
    upstream, faults, headers
):
    faults.on("", Reply(302, headers))
    with pytest.raises(UpstreamBroken, match=r"^hub\.test: redirects to where it must"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 1


@pytest.mark.parametrize("location", ["http://[::1", "http://h/x\x01?hush-hush"])
async def test_a_redirect_that_is_no_url_fails_and_is_not_quoted(
    upstream, faults, location
):
    faults.on("", Reply(302, {"Location": location}))
    with pytest.raises(UpstreamError, match=r"^hub\.test: ") as caught:
        await upstream.get_manifest(REPOSITORY, "latest")
    told = "".join(traceback.format_exception(caught.value))
    assert "hush" not in told
    assert "::1" not in told


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("10.1.2.3", "private"),
        ("192.168.1.1:8080", "private"),
        ("169.254.169.254", "link-local"),
        ("[fe80::1]", "link-local"),
        ("[fd00::1]", "private"),
        ("[::ffff:10.1.2.3]", "private"),
    ],
)
async def test_a_redirect_into_another_network_is_refused(upstream, faults, host, kind):
    faults.on("", Reply(302, {"Location": f"http://{host}/latest/meta-data"}))
    with pytest.raises(UpstreamBroken, match=f"sent us to .* is a {kind} address"):
        await upstream.get_manifest(REPOSITORY, "latest")
    assert faults.count() == 1


async def test_a_login_wanted_elsewhere_is_not_given(upstream, faults, elsewhere):
    faults.on("GET", Reply(307, {"Location": elsewhere.url + SIGNED}))
    wanted = f'Bearer realm="{elsewhere.url}/token"'
    elsewhere.on("", Reply(401, {"WWW-Authenticate": wanted}))
    with pytest.raises(UpstreamBroken, match=r"127\.0\.0\.1 answered 401"):
        await pull(upstream)
    assert elsewhere.count() == 1


async def test_what_storage_lacks_is_not_found(upstream, faults, elsewhere):
    faults.on("GET", Reply(307, {"Location": elsewhere.url + SIGNED}))
    with pytest.raises(UpstreamNotFound):
        await pull(upstream)


# -- TLS


async def test_https_with_a_trusted_certificate(secure, authority, retry_policy):
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_upstream(
        "hub.test",
        secure.url,
        retry_policy=retry_policy,
        contexts=Contexts(trusting, trusting),
    ) as upstream:
        assert await pull(upstream) == LAYER


async def test_an_untrusted_certificate_is_named_and_not_asked_again(
    secure, retry_policy
):
    async with open_upstream(
        "hub.test", secure.url, retry_policy=retry_policy
    ) as upstream:
        with pytest.raises(UpstreamUnreachable, match=r"^hub\.test: certificate not"):
            await pull(upstream)
    assert (secure.count(), secure.connections) == (0, 1)


async def test_https_never_goes_back_to_http(secure, authority, faults, retry_policy):
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    secure.on("", Reply(307, {"Location": faults.url + SIGNED}))
    async with open_upstream(
        "hub.test",
        secure.url,
        retry_policy=retry_policy,
        contexts=Contexts(trusting, trusting),
    ) as upstream:
        with pytest.raises(UpstreamBroken, match="from HTTPS back to HTTP"):
            await pull(upstream)
    assert faults.connections == 0


# -- secrets


@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_no_signed_url_is_told_or_logged(
    upstream, faults, elsewhere, caplog, status
):
    caplog.set_level(logging.DEBUG)
    faults.on("GET", Reply(307, {"Location": elsewhere.url + SIGNED}))
    elsewhere.on("", Reply(status))
    with pytest.raises((UpstreamBroken, UpstreamNotFound, UpstreamRateLimited)) as told:
        await pull(upstream)
    assert "hush" not in str(told.value) + repr(told.value)
    assert "hush" not in caplog.text


async def test_what_is_no_http_is_not_quoted(nursery, retry_policy):
    async def speak(stream):
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation : hush\r\n\r\n")

    listeners = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), speak, 0)
    port = listeners[0].socket.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    async with open_upstream("hub.test", url, retry_policy=retry_policy) as upstream:
        with pytest.raises(UpstreamUnreachable, match="spoke no HTTP") as caught:
            await pull(upstream)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


async def test_success_logs_no_signed_url_either(upstream, faults, elsewhere, caplog):
    caplog.set_level(logging.DEBUG)
    faults.on("GET", Reply(307, {"Location": elsewhere.url + SIGNED}))
    elsewhere.on("", Reply(body=LAYER))
    await pull(upstream)
    assert "hush" not in caplog.text
