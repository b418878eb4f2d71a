"""An upstream that answers anything: a client is never misled, and nothing breaks."""

import gzip
import tempfile
from pathlib import Path

import structlog
import trio
from hypothesis import given, strategies as st

from tests.hostile.conftest import IMAGE, KEPT, Got, Site, no_defect, open_site
from tests.hostile.examples import examples
from tests.hostile.upstream import Act, index_of, manifest_of
from tests.upstream.registries import INDEX, MANIFEST, digest_of

LAYER = IMAGE.layers[0]
BLOB = f"/v2/library/new/blobs/{digest_of(LAYER)}"
ZEROS = "sha256:" + "0" * 64

_STATUSES = """
    200 200 200 200 206 206 201 202 204 205 299 300 301 302 303 304 307 308 400 401 402
    403 404 405 408 410 416 418 429 451 500 501 502 503 504 599 600 999
"""
STATUSES = st.sampled_from(_STATUSES.split())
REASONS = st.sampled_from(["", " OK", " \xff", " " + "x" * 5000])
PLACES = st.sampled_from(
    [
        "",
        "/v2/library/new/manifests/latest",
        BLOB,
        "{url}/elsewhere",
        "//127.0.0.1:1/x",
        "http://127.0.0.1:1/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data",
        "http://203.0.113.9/",
        "http://[::1]:1/",
        "http://[fe80::1%25lo]/",
        "http://0.0.0.0:1/",
        "http://2130706433:1/",
        "http://user:pass@127.0.0.1/",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "https://127.0.0.1:1/",
        "file:///etc/passwd",
        "gopher://x",
        "\x7f",
        "?" * 9000,
        "http://xn--/",
        "http:///",
        "http://\xe4\xf6/",
    ]
)
CHALLENGES = st.sampled_from(
    [
        'Bearer realm="{url}/token",service="s",scope="repository:a:pull"',
        'Bearer realm="http://127.0.0.1:1/token"',
        'Bearer realm="http://10.1.2.3/token"',
        'Bearer realm="file:///etc/passwd"',
        'Bearer realm=""',
        'Bearer realm="http://[::1"',
        'bearer realm="{url}/token",realm="http://evil.test/"',
        'Basic realm="x"',
        "Negotiate",
        "Bearer",
        'Bearer realm="' + "\\" * 5000,
        "," * 5000,
        "\xff\xfe",
        "a=b=c=d " * 500,
    ]
)
TYPES = st.sampled_from(
    [
        MANIFEST,
        INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/octet-stream",
        "text/html; charset=\xff",
        "",
    ]
)
NUMBERS = st.sampled_from(["0", "1", "-1", "5", "99999999999999999999", "x", "", "²"])
HEADERS = st.one_of(
    st.tuples(st.just("Location"), PLACES),
    st.tuples(st.just("WWW-Authenticate"), CHALLENGES),
    st.tuples(st.just("Content-Type"), TYPES),
    st.tuples(
        st.just("Docker-Content-Digest"),
        st.sampled_from(
            [IMAGE.digest, KEPT.digest, ZEROS, "sha256:x", "sha512:" + "0" * 128, ""]
        ),
    ),
    st.tuples(
        st.just("Content-Range"),
        st.sampled_from(
            [
                "bytes 0-9/10",
                f"bytes 0-{len(LAYER) - 1}/{len(LAYER)}",
                "bytes 0-9/*",
                "bytes 5-9/10",
                "bytes */10",
                "bytes 0-" + "9" * 18 + "/" + "9" * 18,
                "lines 0-1/2",
            ]
        ),
    ),
    st.tuples(
        st.just("Content-Encoding"), st.sampled_from(["gzip", "identity", "br", ""])
    ),
    st.tuples(
        st.just("Link"),
        st.sampled_from(
            [
                '</v2/x/tags/list?last=a>; rel="next"',
                '</v2/x?last=%0d%0aX-Evil:%201>; rel="next"',
                '<http://[::1>; rel="next"',
                "<" * 2000 + ">; rel=next",
            ]
        ),
    ),
    st.tuples(
        st.sampled_from(
            ["Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "Age", "Expires"]
        ),
        NUMBERS,
    ),
    st.tuples(st.just("Connection"), st.sampled_from(["close", "keep-alive", "x"])),
    st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "gzip", "x"])),
    st.tuples(st.just("Content-Length"), NUMBERS),
    st.tuples(st.sampled_from(["Set-Cookie", "X", "", "a b", "\xff"]), st.just("v")),
    st.tuples(st.just("X-Large"), st.just("z" * 200_000)),
)
BODIES = st.one_of(
    st.none(),
    st.sampled_from(
        [
            b"",
            LAYER,
            LAYER[:-1],
            LAYER[:-1] + b"?",
            LAYER + b"!",
            IMAGE.manifest,
            IMAGE.manifest + b" ",
            KEPT.manifest,
            gzip.compress(LAYER),
            gzip.compress(bytes(1 << 20)),
            manifest_of(1, 2, 3),
            manifest_of(2**63 - 1, 2**63 - 1),
            manifest_of(-1),
            manifest_of(2**200),
            index_of([IMAGE.digest, ZEROS, "sha256:x"]),
            index_of([ZEROS] * 20_000),
            b"[" * 500_000,
            b'{"schemaVersion": 2}',
            b'{"schemaVersion": 2, "config": null, "layers": null}',
            b'{"schemaVersion": 2, "manifests": {}}',
            b"{" + b'"a":{' * 200_000,
            b'{"token": "t"}',
            b'{"token": "\\ud800\\n", "expires_in": 1e999}',
            b'{"token": ["t"], "access_token": 7}',
            b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}",
            b'{"tags": null}',
            b'{"tags": ["a", 1, null, "\\ud800", "../..", "b"]}',
            b'{"tags": {"a": 1}}',
            bytes(1 << 20),
        ]
    ),
)
ACTS = st.builds(
    Act,
    status=st.builds(str.__add__, STATUSES, REASONS),
    headers=st.lists(HEADERS, max_size=4),
    body=BODIES,
    length=st.none() | st.integers(0, 300_000) | st.sampled_from([2**63, 10**25]),
    chunked=st.booleans(),
    repeat=st.sampled_from([1, 1, 1, 2, 8]),
    cut=st.none() | st.integers(0, 300_000),
)
MANIFESTS = ("latest", "1", IMAGE.digest, KEPT.digest, digest_of(manifest_of(1, 2, 3)))


def manifest_is_right(got: Got, reference: str) -> None:
    assert got.status in (200, 403, 404)
    if got.status == 200 and got.is_whole:
        digest = digest_of(got.body)
        assert got.headers["docker-content-digest"] == digest
        assert reference in (digest, "latest", "1")


def blob_is_right(got: Got, blob: bytes, part: slice = slice(None)) -> None:
    assert got.status in (200, 206, 403, 404)
    if got.status in (200, 206) and got.is_whole:
        assert got.body == blob[part]


async def ask_for_all(site: Site) -> None:
    for reference in MANIFESTS:
        path = f"/v2/library/new/manifests/{reference}"
        manifest_is_right(await site.fetch(path), reference)
    blob_is_right(await site.fetch(BLOB), LAYER)
    blob_is_right(await site.fetch(BLOB, range="bytes=7-99"), LAYER, slice(7, 100))
    for blob in (b"tiny", b"", IMAGE.config):
        path = f"/v2/library/new/blobs/{digest_of(blob)}"
        blob_is_right(await site.fetch(path), blob)
    head = await site.listener.request("HEAD", f"/v2/library/new/blobs/{ZEROS}")
    assert head.status in (200, 403, 404)
    tags = await site.fetch("/v2/library/new/tags/list?n=3")
    assert tags.status in (200, 403, 404)
    assert "x-evil" not in tags.headers
    referrers = await site.fetch(f"/v2/library/new/referrers/{IMAGE.digest}")
    assert referrers.status in (200, 403, 404)
    assert "x-evil" not in referrers.headers


async def meet(acts: list[Act], root: Path) -> None:
    with trio.fail_after(120):
        async with open_site(root) as site:
            told = [_at(act, site.registry.url) for act in acts]
            # Again and again, so that every question meets some of them.
            site.registry.acts = told * (1 + 40 // len(told))
            site.registry.images.clear()
            await ask_for_all(site)
            await site.is_well()
            kept = await site.fetch("/v2/library/kept/manifests/1")
            manifest_is_right(kept, "1")
            # And when the upstream is good again, all is well.
            site.registry.acts = []
            site.registry.images["latest"] = IMAGE
            site.setup.mirror.set_offline(offline=False)
            got = await site.fetch(f"/v2/library/new/manifests/{IMAGE.digest}")
            assert got.body == IMAGE.manifest
            assert (await site.fetch(BLOB)).body == LAYER
            await site.is_well()


def _at(act: Act, url: str) -> Act:
    headers = [(name, text.replace("{url}", url)) for name, text in act.headers]
    return Act(
        act.status,
        headers,
        act.body,
        act.length,
        act.chunked,
        act.repeat,
        act.cut,
        act.closes,
    )


@examples(6)
@given(acts=st.lists(ACTS, min_size=1, max_size=5))
def test_whatever_an_upstream_answers_nobody_is_misled(acts, caplog):
    caplog.clear()
    with (
        tempfile.TemporaryDirectory() as root,
        structlog.testing.capture_logs() as told,
    ):
        trio.run(meet, acts, Path(root))
    assert no_defect(caplog)
    assert not [entry for entry in told if entry.get("exc_info")]
