"""Sending files: every byte once, whatever the client and the disk do."""

import os
import socket
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from nixeryd.web.sendfile import CHUNK, ShortFileError, send_file

DATA = os.urandom(16 * CHUNK + 17)
PATIENT = 3600


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


@asynccontextmanager
async def pair():
    """Two ends of a TCP connection: `sendfile` knows of no other kind here."""
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = trio.socket.socket()
        with client:
            await client.connect(listener.getsockname())
            server, _ = await listener.accept()
            with server:
                yield server, client


async def receive(client, size):
    data = bytearray()
    while len(data) < size and (piece := await client.recv(CHUNK)):
        data += piece
    return bytes(data)


def forget(fd):
    """Take a file out of the page cache, as if it had not been read for long."""
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("is_cached", [True, False])
@pytest.mark.parametrize(
    "part",
    [
        range(len(DATA)),
        range(0),
        range(1),
        range(CHUNK - 1, CHUNK + 1),
        range(CHUNK, 3 * CHUNK),
        range(len(DATA) - 1, len(DATA)),
    ],
)
async def test_a_part_arrives(file, part, is_cached):
    if not is_cached:
        forget(file)
    async with pair() as (server, client), trio.open_nursery() as nursery:
        nursery.start_soon(send_file, server, file, part, PATIENT)
        assert await receive(client, len(part)) == DATA[part.start : part.stop]


async def test_several_clients_have_one_file_at_a_time(file):
    whole = range(len(DATA))
    async with (
        pair() as (server, client),
        pair() as (other, second),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_file, server, file, whole, PATIENT)
        nursery.start_soon(send_file, other, file, whole, PATIENT)
        assert await receive(second, len(DATA)) == DATA
        assert await receive(client, len(DATA)) == DATA


async def test_a_client_that_takes_nothing_is_given_up(file):
    async with pair() as (server, _):
        with pytest.raises(trio.TooSlowError):
            await send_file(server, file, range(len(DATA)), 0.05)


async def test_a_client_that_takes_little_is_given_up(file):
    """A byte now and then is no progress; 256 KiB within the time would be."""
    async with pair() as (server, client), trio.open_nursery() as nursery:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        async def sip():
            while True:
                await client.recv(1)
                await trio.sleep(0.001)

        nursery.start_soon(sip)
        with pytest.raises(trio.TooSlowError):
            await send_file(server, file, range(len(DATA)), 0.2)
        nursery.cancel_scope.cancel()


async def test_a_client_that_leaves_is_a_broken_stream(file):
    async with pair() as (server, client):
        client.close()
        with pytest.raises(trio.BrokenResourceError):
            await send_file(server, file, range(len(DATA)), PATIENT)


async def test_a_socket_closed_meanwhile_ends_the_sending(file):
    async with pair() as (server, _), trio.open_nursery() as nursery:

        async def send():
            with pytest.raises(trio.ClosedResourceError):
                await send_file(server, file, range(len(DATA)), PATIENT)

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        server.close()


async def test_a_closed_socket_is_a_broken_stream(file):
    async with pair() as (server, _):
        server.close()
        with pytest.raises(trio.BrokenResourceError):
            await send_file(server, file, range(1), PATIENT)


async def test_a_short_file_is_noticed(file):
    async with pair() as (server, client), trio.open_nursery() as nursery:
        nursery.start_soon(receive, client, len(DATA))
        with pytest.raises(ShortFileError, match="7 bytes early"):
            await send_file(server, file, range(len(DATA) + 7), PATIENT)
        server.close()
