"""The server, by itself: small ASGI apps, real sockets, rude clients."""

import errno
import logging
import os
import resource
import socket
from contextlib import AsyncExitStack
from functools import partial

import pytest
import trio
import trio.testing

from nixeryd.web.connection import Timeouts
from nixeryd.web.connection_limit import ConnectionLimit
from nixeryd.web.http11 import Http11
from nixeryd.web.listen import open_tcp
from nixeryd.web.serve import Limits, serve

BIG = 64 * 1024 * 1024
SHORT = Limits(grace=0.2, timeouts=Timeouts(keep_alive=0.2, write=0.2, linger=0.2))


async def respond(send, body, *, status=200, length=None):
    length = len(body) if length is None else length
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def hello(scope, receive, send):
    await respond(send, scope["raw_path"])


async def test_a_connection_is_used_again(serving):
    async with serving(hello) as server, await server.connect() as client:
        assert (await client.request("GET", "/1")).body == b"/1"
        assert (await client.request("GET", "/2")).body == b"/2"


async def test_pipelined_requests_are_answered_in_order(serving):
    async with serving(hello) as server, await server.connect() as client:
        one = "GET /{} HTTP/1.1\r\nhost: localhost\r\n{}\r\n"
        await client.send(
            one.format(1, "")
            + one.format(2, "")
            + one.format(3, "connection: close\r\n")
        )
        data = await client.rest()
        assert data.index(b"/1") < data.index(b"/2") < data.index(b"/3")


async def test_connection_close_is_honoured(serving):
    async with serving(hello) as server, await server.connect() as client:
        answer = await client.request("GET", "/", connection="close")
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""


async def test_the_server_does_not_name_itself(serving):
    async with serving(hello) as server:
        assert "server" not in (await server.get("/")).headers


async def test_head_has_the_length_and_no_body(serving):
    async with serving(hello) as server, await server.connect() as client:
        answer = await client.request("HEAD", "/12345")
        assert (answer.headers["content-length"], answer.body) == ("6", b"")
        # and the connection is still in step
        assert (await client.request("GET", "/next")).body == b"/next"


async def test_a_client_that_never_asks_is_let_go(serving):
    async with serving(hello, limits=SHORT) as server:
        async with await server.connect() as client:
            assert await client.rest() == b""
        async with await server.connect() as client:
            await client.send("GET / HT")
            assert await client.rest() == b""
        async with await server.connect() as client:
            await client.request("GET", "/")
            assert await client.rest() == b""


async def test_a_long_wait_for_the_app_is_no_idleness(serving):
    release = trio.Event()

    async def slow(scope, receive, send):
        if scope["path"] == "/slow":
            await release.wait()
        await respond(send, b"done")

    async with (
        serving(slow, limits=SHORT) as server,
        await server.connect() as client,
    ):
        await client.ask("GET", "/slow")
        async with await server.connect() as other:
            await other.rest()  # idle for as long as is allowed
        release.set()
        assert (await client.answer()).body == b"done"


async def send_big(scope, receive, send):
    headers = [(b"content-length", str(BIG).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(64):
        chunk = b"x" * (BIG // 64)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_a_big_body_is_not_cut(serving):
    async with serving(send_big) as server:
        assert len((await server.get("/")).body) == BIG


async def test_a_reader_that_stalls_is_cut(serving, caplog):
    ended = trio.Event()

    async def watched(scope, receive, send):
        try:
            await send_big(scope, receive, send)
        finally:
            ended.set()

    async with (
        serving(watched, limits=SHORT) as server,
        await server.connect() as client,
    ):
        await client.ask("GET", "/")
        with trio.fail_after(20):
            await ended.wait()
        assert len(await client.rest()) < BIG
    assert "took none of its response" in caplog.text


async def test_a_reader_that_stalls_does_not_hold_up_a_stop(serving):
    limits = Limits(grace=0.2)  # and 60 s for each write
    async with (
        serving(send_big, limits=limits) as server,
        await server.connect() as client,
    ):
        await client.ask("GET", "/")
        await client.head()
        server.stop.set()
        with trio.fail_after(20):
            await server.stopped.wait()


async def test_a_stop_lets_a_running_response_finish(serving):
    begun, release = trio.Event(), trio.Event()

    async def slow(scope, receive, send):
        begun.set()
        await release.wait()
        await respond(send, b"whole")

    async with serving(slow) as server, await server.connect() as client:
        await client.ask("GET", "/")
        await begun.wait()
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="connect"):
            await server.connect()
        release.set()
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"whole", "close")
        assert await client.rest() == b""
        await server.stopped.wait()


async def test_a_stop_ends_idle_connections_at_once(serving):
    limits = Limits(grace=3600)
    async with (
        serving(hello, limits=limits) as server,
        await server.connect() as fresh,
        await server.connect() as used,
    ):
        await used.request("GET", "/")
        server.stop.set()
        assert (await fresh.rest(), await used.rest()) == (b"", b"")
        with trio.fail_after(20):
            await server.stopped.wait()


async def test_what_outlasts_the_grace_is_cut(serving):
    async def forever(scope, receive, send):
        await trio.sleep_forever()

    async with (
        serving(forever, limits=SHORT) as server,
        await server.connect() as client,
    ):
        await client.ask("GET", "/")
        await trio.testing.wait_all_tasks_blocked()
        server.stop.set()
        assert await client.rest() == b""


async def test_an_app_that_fails_costs_its_own_connection_only(serving, caplog):
    async def failing(scope, receive, send):
        if scope["path"] == "/early":
            raise ValueError("early")
        if scope["path"] == "/late":
            await respond(send, b"half", length=8)
        await respond(send, b"fine")

    async with serving(failing) as server:
        assert (await server.get("/early")).status == 500
        async with await server.connect() as client:
            await client.ask("GET", "/late")
            assert (await client.rest()).endswith(b"half")
        assert (await server.get("/")).body == b"fine"
    # Not in the text: tracebacks quote source lines, and from 3.13 on more of them.
    failed = [one for one in caplog.messages if one.startswith("a request failed")]
    assert len(failed) == 2


async def test_an_app_is_told_when_its_client_leaves(serving):
    told = trio.Event()

    async def listening(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with serving(listening) as server:
        async with await server.connect() as client:
            await client.ask("GET", "/")
        with trio.fail_after(20):
            await told.wait()


async def test_an_app_that_does_not_listen_is_cancelled_when_its_client_leaves(serving):
    begun, cancelled = trio.Event(), trio.Event()

    async def deaf(scope, receive, send):
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with serving(deaf) as server:
        async with await server.connect() as client:
            await client.ask("GET", "/")
            await begun.wait()
        with trio.fail_after(20):
            await cancelled.wait()


async def test_more_requests_than_there_is_room_for_wait_their_turn(serving):
    go_on = trio.Event()

    async def slow(scope, receive, send):
        if scope["path"] == "/slow":
            await go_on.wait()
        await hello(scope, receive, send)

    room = ConnectionLimit(2, patience=0)
    async with serving(slow, room=room) as server:
        first, second = await server.connect(), await server.connect()
        await first.ask("GET", "/slow")
        await second.ask("GET", "/slow")
        async with await server.connect() as third:
            await third.ask("GET", "/3")
            await trio.testing.wait_all_tasks_blocked()
            assert len(room) == 2
            go_on.set()
            assert (await first.answer()).body == b"/slow"
            assert (await second.answer()).body == b"/slow"
            assert (await third.answer()).body == b"/3"
        await first.aclose()
        await second.aclose()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("", id="nothing"),
        pytest.param("GET / HTT", id="half a request line"),
        pytest.param("GET / HTTP/1.1\r\nhost: a\r\nx: ", id="half its headers"),
        pytest.param("GET / HTTP/1.1\r\nhost: a\r\n\r\n", id="a whole request"),
    ],
)
async def test_who_only_holds_a_connection_makes_room_for_who_asks(serving, said):
    room = ConnectionLimit(10, patience=0.2)
    async with serving(hello, room=room) as server, AsyncExitStack() as stack:
        holders = []
        for _ in range(15):
            client = await server.connect()
            stack.push_async_callback(client.aclose)
            await client.send(said)
            holders.append(client)
        for number in range(3):
            assert (await server.get(f"/{number}")).status == 200
        # The first was idle for longest.
        await holders[0].rest()
        assert len(room) <= 10


async def test_all_listeners_share_the_limit(serving):
    room = ConnectionLimit(2, patience=0)
    async with serving(hello, room=room) as main, serving(hello, room=room) as other:
        first, second = await main.connect(), await other.connect()
        await first.request("GET", "/")
        await second.request("GET", "/")
        assert len(room) == 2
        assert (await other.get("/3")).status == 200
        assert await first.rest() == b""
        await first.aclose()
        await second.aclose()
    assert len(room) == 0


async def test_hundreds_of_connections_are_served(serving):
    async with serving(hello) as server, trio.open_nursery() as nursery:

        async def ask(number):
            answer = await server.get(f"/{number}")
            assert answer.body == f"/{number}".encode()

        for number in range(300):
            nursery.start_soon(ask, number)


async def test_running_out_of_files_is_waited_out(serving, caplog):
    complained = trio.Event()

    logger = logging.getLogger("nixeryd.web.serve")
    handler = logging.Handler()
    handler.emit = lambda _: complained.set()
    async with serving(hello) as server:
        with socket.socket() as sock:
            limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.dup(sock.fileno())
            os.close(lowest)
            logger.addHandler(handler)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                sock.connect(("127.0.0.1", server.port))
                with trio.fail_after(20):
                    await complained.wait()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                logger.removeHandler(handler)
        assert (await server.get("/again")).body == b"/again"
    assert os.strerror(errno.EMFILE) in caplog.text


async def test_a_defect_in_a_connection_stays_in_it(serving, caplog, monkeypatch):
    handle = Http11.handle

    async def defective(self, event):
        if b"/defect" in getattr(event, "data", b""):
            raise RuntimeError("a defect")
        await handle(self, event)

    monkeypatch.setattr(Http11, "handle", defective)
    async with serving(hello) as server, await server.connect() as other:
        await other.request("GET", "/1")
        async with await server.connect() as client:
            await client.ask("GET", "/defect")
            assert await client.rest() == b""
        assert (await other.request("GET", "/2")).body == b"/2"
    assert caplog.text.count("a connection failed") == 1


async def test_a_cancelled_server_is_gone_at_once():
    (listener,) = open_tcp(["127.0.0.1:0"])
    port = listener.socket.getsockname()[1]
    limits = Limits(grace=3600)
    run = partial(serve, send_big, [listener], stop=trio.Event(), limits=limits)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                await client.send_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                await client.receive_some(1)  # and no more
                nursery.cancel_scope.cancel()


async def test_a_broken_listener_ends_the_server():
    (listener,) = open_tcp(["127.0.0.1:0"])
    listener.socket.shutdown(socket.SHUT_RDWR)  # accept() is EINVAL from now on
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        await serve(hello, [listener], stop=trio.Event())
