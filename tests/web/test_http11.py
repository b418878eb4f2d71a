"""Rude and mistaken clients: each costs its own connection at most."""

import contextlib
import logging
import ssl

import pytest
import trio


async def hello(scope, receive, send):
    body = scope["raw_path"]
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


UPGRADES = {
    "websocket": "connection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    "h2c": "connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    "http2-settings: !not base64!\r\n",
    "unknown": "connection: upgrade\r\nupgrade: irc/6.9\r\n",
}


@pytest.mark.parametrize("fields", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("extra", ["", "\0"])
async def test_an_upgrade_request_is_a_request(serving, fields, extra):
    async with serving(hello) as server:
        async with await server.connect() as client:
            await client.send(
                f"GET /up HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{extra}"
            )
            await client.stream.send_eof() if not extra else None
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"/up")
        assert (await server.get("/still")).body == b"/still"


RUBBISH = {
    "control characters": b"\0\1\2\3\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "bad length": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
    b"\r\nx\r\n",
    "endless header": b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"x" * 1_000_000,
    "endless path": b"GET /" + b"x" * 1_000_000,
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
async def test_rubbish_is_answered_in_http_and_closed(serving, rubbish, caplog):
    async with serving(hello) as server:
        async with await server.connect() as client, trio.open_nursery() as nursery:

            async def push():
                with contextlib.suppress(trio.BrokenResourceError):
                    await client.stream.send_all(rubbish)

            nursery.start_soon(push)
            assert (await client.rest()).startswith(b"HTTP/1.1 ")
        assert (await server.get("/still")).status == 200
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_a_tls_hello_gets_an_answer_that_says_http(serving):
    """dockerd and containerd try https on localhost, and look for these bytes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    async with serving(hello) as server, await server.connect() as client:
        await client.stream.send_all(outgoing.read())
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_a_request_body_nobody_reads_blocks_nothing(serving):
    async with serving(hello) as server, await server.connect() as client:

        async def push():
            with contextlib.suppress(trio.BrokenResourceError):
                for _ in range(1000):
                    await client.stream.send_all(b"x" * 10_000)

        await client.send(
            "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n"
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            assert (await client.rest()).endswith(b"/p")
