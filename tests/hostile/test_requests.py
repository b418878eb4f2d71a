"""Requests that nobody should send, to a real daemon over real sockets.

Whatever they are: no 5xx but 501 for a transfer coding we lack, no defect in the log,
no file from outside the data directory, and request 2's answer is request 2's.
"""

import pytest
from hypothesis import given, strategies as st

from tests.hostile.examples import examples
from tests.hostile.wire import PATIENCE, QUIET, Heard, heads, request, say

SECRET = b"a secret that lies beside the data directory"
# What h11 and we answer bad requests with; and 501, RFC 9112, 6.1.
REFUSALS = {400, 403, 404, 405, 413, 416, 431, 501}
FINE = {200, 206, 304, 307}


@pytest.fixture
def hear(target):
    """Say bytes to the daemon; what comes back is checked for what always holds."""

    def hear(data: bytes, *methods: str, quiet: float = PATIENCE) -> Heard:
        heard = say(target.port, data, methods, quiet)
        assert set(heads(heard.raw)) <= REFUSALS | FINE | {100}, heard.raw[:500]
        assert SECRET not in heard.raw
        assert b"Traceback" not in heard.raw
        assert target.is_calm, target.log
        return heard

    return hear


# --- one request or two? ---------------------------------------------------------

CANARY = request("/v2/canary/tags/list")
LAST = request("/v2/canary/tags/list", "GET", "Connection: close")
CHUNKED = "Transfer-Encoding: chunked"


def post(*lines: str, body: bytes = b"") -> bytes:
    return request("/v2/a", "POST", *lines, body=body)


# Each is followed by LAST: it is refused and no more is read, or it is understood
# (as the same request by everybody) and so is LAST.
REFUSED = {
    "two lengths": post("Content-Length: 0", "Content-Length: 45"),
    "two lengths in one": post("Content-Length: 0, 45"),
    "a length and chunks": post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"),
    "chunks and a length": post(CHUNKED, "Content-Length: 45", body=b"0\r\n\r\n"),
    "a signed length": post("Content-Length: +0"),
    "a negative length": post("Content-Length: -1"),
    "a hexadecimal length": post("Content-Length: 0x0"),
    "a length of 5000 digits": post("Content-Length: " + "9" * 5000),
    "a length of no digits": post("Content-Length: "),
    "a space before the colon": post("Content-Length : 45"),
    "a tab before the colon": post("Transfer-Encoding\t: chunked"),
    "chunks by another name": post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "chunks of chunks": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "chunks, then gzip": post("Transfer-Encoding: chunked, gzip"),
    "gzip, then chunks": post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": post(CHUNKED, body=b"0\r\n\r\n").replace(b"/1.1", b"/1.0"),
    "a negative chunk": post(CHUNKED, body=b"-1\r\nabc\r\n0\r\n\r\n"),
    "a chunk of 0x3": post(CHUNKED, body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk beyond 64 bits": post(CHUNKED, body=b"f" * 40 + b"\r\nabc\r\n"),
    "a chunk that goes on": post(CHUNKED, body=b"3\r\nabcX\r\n0\r\n\r\n"),
    "a line feed in a chunk's extension": post(
        CHUNKED, body=b"3;a\nb\r\nabc\r\n0\r\n\r\n"
    ),
    "a carriage return in a value": post("X: a\rContent-Length: 45"),
    "a NUL in a value": post("X: a\0b"),
    "a NUL in a name": post("X\0: a"),
    "a header without a name": post(": a"),
    "a header without a colon": post("Content-Length"),
    "a folded first header": b"GET /v2/ HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /v2/\r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET  /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab for a space": b"GET\t/v2/\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a space in the target": request("/v2/a b"),
    "bytes in the target": request("/v2/\xff"),
    "no target": request(""),
    "a name of a megabyte": request(f"/v2/{'a' * 1_000_000}/manifests/x"),
    "headers of a megabyte": request("/v2/", "GET", *["X: y"] * 200_000),
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100050100000100") + bytes(300),
}
UNDERSTOOD = {
    "a length twice, the same": post("Content-Length: 0", "Content-Length: 0"),
    "chunks": post(CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"),
    "chunks in capitals": post("transfer-encoding: CHUNKED", body=b"0\r\n\r\n"),
    "a chunk's extension": post(CHUNKED, body=b'3;a="b"\r\nabc\r\n0;x\r\n\r\n'),
    "a length in the trailer": post(
        CHUNKED, body=b"0\r\nContent-Length: 45\r\n\r\n"
    ),
    "a host in the trailer": post(CHUNKED, body=b"0\r\nHost: evil.test\r\n\r\n"),
    "a folded header": post("X: y", " Content-Length: 45"),
    "bare line feeds": b"GET /v2/ HTTP/1.1\nHost: localhost\n\n",
    "a request as a body": request(
        "/v2/", "GET", f"Content-Length: {len(CANARY)}", body=CANARY
    ),
    "a method nobody knows": request("/v2/", "BREW"),
    "a method of 20000 letters": request("/v2/", "B" * 20_000),
    "an absolute target": request("http://localhost/v2/"),
    "somebody else's absolute target": request("http://evil.test/v2/"),
    "a target without a slash": request("v2/"),
    "CONNECT": request("localhost:443", "CONNECT"),
    "OPTIONS *": request("*", "OPTIONS"),
    "TRACE": request("/v2/", "TRACE"),
    "thousands of headers": request("/v2/", "GET", *["X: y"] * 3000),
    "a wish for HTTP/2": request(
        "/v2/", "GET", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
        "HTTP2-Settings: !!!",
    ),
    "a wish for a WebSocket": request(
        "/v2/", "GET", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_could_be_read_in_two_ways_ends_the_connection(hear, data):
    heard = hear(data + LAST)
    assert heard.is_closed
    # At most the bad request itself is answered, and never the one behind it.
    assert len(heard.statuses) <= 2
    assert set(heard.statuses) <= REFUSALS
    assert b"canary" not in heard.raw


@pytest.mark.parametrize("data", UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
def test_what_can_be_read_in_one_way_is_answered_and_so_is_the_next(hear, data):
    method = data.partition(b" ")[0].decode()
    heard = hear(data + LAST, method)
    first, *rest = heard.answers
    assert heard.is_closed
    assert b"canary" not in first.body
    # An answer may come before all of the request has, and then it is the last.
    assert rest or b"\r\n\r\n" in data[:-4]
    for second in rest:
        assert (second.status, b"canary" in second.body) == (404, True)


# --- pipelines -------------------------------------------------------------------


def drawn(words: str, *more: str) -> st.SearchStrategy[str]:
    """Draw one of these words."""
    return st.sampled_from([*words.split(), *more])


WORDS = drawn(
    """
    v2 v2 . .. ... a curious latest manifests blobs tags list _catalog uploads
    referrers api v1 builds image images static failures healthz metrics search log
    events %2e%2e %2f ..%2f..%2fsecret %5c..%5c %00 % %zz %ff ~ sha256: md5:x secret
    data index.sqlite etc passwd proc self environ ${x} $(id) `id` ' " ; <script>
    {{7*7}} - --help
    """,
    *["", "sha256:" + "0" * 64, "sha256:" + "F" * 64, "a" * 300, "\\"],
)
QUERIES = drawn(
    """
    ?ns=docker.io ?ns=evil.test ?ns=%0d%0aX-Evil:1 ?ns=..%2f.. ?n=1 ?n=-1 ?last=%00
    ?name=../../secret ?q=a ?name=%ff ?nixeryd-hop=9&nixeryd-ticket=x ?nixeryd-hop=-1
    ?start=-1 ?name=curious&path=/etc/passwd ?=&=&& ?name=curious ?q=x&limit=1e9
    ?q=%24%7bbuiltins.abort%20%22x%22%7d ?
    """,
    *["", "", "?n=" + "9" * 400, "?a" * 2000, "?start=" + "9" * 5000],
)
TARGETS = st.builds(
    lambda words, query: "/" + "/".join(words) + query,
    st.lists(WORDS, max_size=8),
    QUERIES,
)
METHODS = drawn("GET GET GET HEAD POST PUT DELETE OPTIONS PATCH FOO")
LINES = drawn(
    """
    Range:bytes=0-0 Range:bytes=-1 Range:bytes=9-1 Range:bytes=0-,1-2 Range:lines=1
    Range:\xff If-None-Match:"x If-None-Match:* If-Range:x Expect:100-continue
    Expect:200-maybe Via:nixeryd-x Accept:*/*;q=1e999 Accept-Encoding:\xff
    Cookie:a=b;\xff Authorization:Basic User-Agent:\xff Referer:x
    Content-Type:application/json;charset=\xff X-Forwarded-For:127.0.0.1
    X-Forwarded-Host:localhost X-Nixeryd:page Origin:http://evil.test Origin:null
    Sec-Fetch-Site:cross-site
    """,
    *["Range: bytes=" + "9" * 400 + "-", "If-None-Match: " + '"' * 9000],
    *["Accept-Language: " + "a," * 999, "Last-Event-ID: " + "9" * 4000],
)


@st.composite
def strange_requests(draw) -> tuple[str, bytes]:
    """Draw a request that can be read in one way, whatever it asks for."""
    method = draw(METHODS)
    lines = draw(st.lists(LINES, max_size=3))
    body = b"" if method in ("GET", "HEAD") else draw(st.binary(max_size=200))
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return method, request(draw(TARGETS), method, *lines, body=body)


@examples(60)
@given(strange=st.lists(strange_requests(), min_size=1, max_size=6))
def test_in_a_pipeline_every_answer_is_its_own_requests(hear, target, strange):
    data, methods, wanted = b"", [], []
    for method, one in strange:
        blob = target.blobs[len(wanted) % len(target.blobs)]
        data += one + request(blob.path)
        methods += [method, "GET"]
        wanted.append(blob)
    heard = hear(data + LAST, *methods, quiet=QUIET)
    got = heard.answers[1 : 2 * len(wanted) : 2]
    for answer, blob in zip(got, wanted, strict=False):
        assert (answer.status, answer.body) == (200, blob.body)
        assert answer.headers["docker-content-digest"] == blob.digest


PIECES = st.sampled_from(
    [
        b"GET /v2/ HTTP/1.1\r\n",
        b"POST /v2/a HTTP/1.1\r\n",
        b"PUT / HTTP/1.0\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"GET ",
        b"/ ",
        b"HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Host: evil.test\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 99999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\n",
        b"Expect: 100-continue\r\n",
        b"X: y\r\n",
        b": \r\n",
        b"0\r\n",
        b"5\r\nhello\r\n",
        b"hello",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"\xff\xfe",
        CANARY,
    ]
)


@examples(60)
@given(pieces=st.lists(PIECES | st.binary(max_size=20), min_size=1, max_size=25))
def test_bytes_in_any_order_break_nothing(hear, target, pieces):
    # The last one ends the connection, if it is read as a request.
    heard = hear(b"".join(pieces) + LAST, quiet=QUIET)
    assert len(heard.statuses) <= 1 + b"".join(pieces).count(b"HTTP/1.")
    # And the next who comes is served.
    assert hear(LAST).statuses == [404]
