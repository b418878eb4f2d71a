"""Blob bodies: what is sent is what was asked for, and nothing stays open."""

import os
import socket
import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import h11
import pytest
import trio
import trio.testing

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from nixeryd.images.served_manifests import BlobFile
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.streaming import StreamedBlob
from nixeryd.web.bodies import DamagedBlobError, open_body
from nixeryd.web.sendfile import CHUNK
from tests.store.layers import let_clock_tick, make_layer

DATA = os.urandom(2 * CHUNK + 17)


def files_open_on(path):
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the directory's own
            found += link.readlink() == path
    return found


async def is_closed(path):
    """Wait until nobody has it open: a client has the last byte a moment before."""
    with trio.fail_after(20):
        while files_open_on(path):
            await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def blob(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    return BlobFile(path, len(DATA), Digest.of(DATA))


@pytest.mark.parametrize(
    "part",
    [
        range(len(DATA)),
        range(1),
        range(CHUNK),
        range(CHUNK - 1, CHUNK + 1),
        range(len(DATA) - 1, len(DATA)),
    ],
)
async def test_a_part_of_a_file_is_sent(main, registry, part):
    digest = registry.add_blob(DATA)
    wanted = f"bytes={part.start}-{part.stop - 1}"
    answer = await main.get(f"/v2/git/blobs/{digest}", range=wanted)
    assert answer.status == 206
    assert answer.body == DATA[part.start : part.stop]
    await is_closed(registry.directory / digest.hex)


async def test_an_empty_file_is_sent(main, registry):
    digest = registry.add_blob(b"")
    answer = await main.get(f"/v2/git/blobs/{digest}")
    assert (answer.status, answer.body) == (200, b"")


async def test_a_file_that_is_gone_is_an_unknown_blob(blob):
    blob.path.unlink()
    with pytest.raises(RegistryError) as caught:
        open_body(blob, range(1))
    assert caught.value.code == "BLOB_UNKNOWN"


@pytest.mark.parametrize("size", [0, len(DATA) - 1, len(DATA) + 1])
async def test_a_file_of_another_size_is_damaged(blob, size):
    os.truncate(blob.path, size)
    with pytest.raises(DamagedBlobError, match="damaged"):
        open_body(blob, range(1))
    assert files_open_on(blob.path) == 0


async def test_a_file_that_is_removed_is_sent_to_its_end(main, registry):
    data = os.urandom(16 * CHUNK)
    digest = registry.add_blob(data)
    async with await main.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}")
        await client.head()
        (registry.directory / digest.hex).unlink()
        received = []
        while not isinstance(event := await client.event(), h11.EndOfMessage):
            received.append(bytes(event.data))
    assert b"".join(received) == data


async def test_a_body_that_is_never_sent_is_closed(blob):
    body = open_body(blob, range(blob.size))
    assert files_open_on(blob.path) == 1
    del body
    assert files_open_on(blob.path) == 0


async def test_a_client_that_leaves_frees_the_file(serving, main, registry):
    digest = registry.add_blob(bytes(64 * CHUNK))
    path = registry.directory / digest.hex
    async with await main.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}")
        await client.head()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert files_open_on(path) == 1
    await is_closed(path)


async def test_a_damaged_blob_is_an_error_and_no_short_body(main, registry):
    digest = registry.add_blob(b"0123456789")
    os.truncate(registry.directory / digest.hex, 5)
    answer = await main.get(f"/v2/git/blobs/{digest}")
    assert (answer.status, answer.code) == (500, "UNKNOWN")


async def test_a_blob_that_breaks_off_cuts_the_connection(main, registry):
    digest = registry.add_blob(bytes(64 * CHUNK))
    async with await main.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}")
        await client.head()
        os.truncate(registry.directory / digest.hex, 0)
        assert len(await client.rest()) < 64 * CHUNK


@dataclass
class Arriving:
    """A blob whose bytes come when the test says so."""

    made_from = "upstream"

    size: int
    digest: Digest
    send: trio.MemorySendChannel = field(init=False)
    opened: list = field(default_factory=list)
    is_open: bool = False

    def __post_init__(self):
        self.send, self._receive = trio.open_memory_channel(100)

    @asynccontextmanager
    async def open(self, part):
        self.opened.append(part)
        self.is_open = True
        with tempfile.TemporaryFile() as file:
            self.fd = file.fileno()
            try:
                yield self
            finally:
                self.is_open = False

    async def arrive(self):
        try:
            piece = await self._receive.receive()
        except trio.EndOfChannel:
            return range(0)
        start = os.fstat(self.fd).st_size
        os.pwrite(self.fd, piece, start)
        return range(start, start + len(piece))


async def test_a_blob_is_sent_while_it_arrives(main, registry):
    digest = Digest.of(b"live")
    live = registry.blobs[digest] = Arriving(10, digest)
    async with await main.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}", range="bytes=2-")
        response = await client.head()
        assert response.status_code == 206
        for piece in (b"234", b"56789"):
            await live.send.send(piece)
            assert bytes((await client.event()).data) == piece
        assert live.opened == [range(2, 10)]
        await client.event()
    assert not live.is_open


@pytest.mark.parametrize("pieces", [[b"0123"], [b"0123456789", b"x"], [b"x" * 11]])
async def test_a_blob_of_the_wrong_length_is_cut(main, registry, pieces):
    digest = Digest.of(b"live")
    live = registry.blobs[digest] = Arriving(10, digest)
    for piece in pieces:
        await live.send.send(piece)
    await live.send.aclose()
    async with await main.connect() as client:
        await client.ask("GET", f"/v2/git/blobs/{digest}", connection="close")
        body = (await client.rest()).partition(b"\r\n\r\n")[2]
    assert len(body) < 10 or body == b"0123456789"
    assert not live.is_open


@pytest.fixture
def streamed(registry, tmp_path):
    """A streamed blob that the registry has, and the layer that it is."""
    layer = make_layer(tmp_path / "store" / "abc-package")
    with open_data_dir(tmp_path / "data") as places:
        blobs = Blobs(places.blobs, places.staging)
        digest = layer.record(blobs)
        registry.blobs[digest] = StreamedBlob(blobs.recipes, blobs.find(digest))
        yield layer


async def test_a_streamed_blob_is_sent_whole_and_in_parts(main, streamed):
    path = f"/v2/git/blobs/{streamed.packed.digest}"
    async with await main.connect() as client:
        assert (await client.request("GET", path)).body == streamed.whole
        for part in (range(1), range(1000, 2_000_000), range(len(streamed.whole))):
            wanted = f"bytes={part.start}-{part.stop - 1}"
            answer = await client.request("GET", path, range=wanted)
            assert answer.status == 206
            assert answer.body == streamed.whole[part.start : part.stop]


@pytest.mark.parametrize("which", ["small", "large"])
async def test_a_streamed_blob_of_other_bytes_is_cut(main, streamed, which):
    let_clock_tick()
    streamed.rot(streamed.root / which)
    path = f"/v2/git/blobs/{streamed.packed.digest}"
    async with await main.connect() as client:
        await client.ask("GET", path)
        head = await client.head()
        assert head.status_code == 200
        assert len(await client.rest()) < len(streamed.whole)


async def test_a_client_that_leaves_frees_the_store_path(main, streamed):
    async with await main.connect() as client:
        client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await client.ask("GET", f"/v2/git/blobs/{streamed.packed.digest}")
        await client.head()
    await is_closed(streamed.large)
