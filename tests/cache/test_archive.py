"""Archives read from the store: whole, or broken off."""

import pytest

from nixeryd.cache.archive import Archive, BrokenBlob
from nixeryd.images.descriptors import Descriptor
from nixeryd.images.digests import Digest

BODY = bytes(range(256)) * 10_000


async def read(archive, came=None):
    came = [] if came is None else came
    async with archive.read() as chunks:
        async for chunk in chunks:
            came.append(chunk)
    return b"".join(came)


def broken(group):
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    return group


async def test_bytes_and_blobs_come_in_order(shelf):
    digest = shelf.blobs.put(BODY)
    archive = Archive(shelf.blobs, (b"<", Descriptor(digest, len(BODY)), b">"))
    assert await read(archive) == b"<" + BODY + b">"
    assert archive.size == len(BODY) + 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(BODY[:-1]),
        lambda path: path.write_bytes(BODY[:-1] + b"x"),
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
    ],
    ids=["short", "changed", "missing", "empty"],
)
async def test_a_damaged_blob_breaks_it_off_before_what_follows(shelf, damage):
    digest = shelf.blobs.put(BODY)
    damage(shelf.blobs.path(digest))
    came = []
    archive = Archive(shelf.blobs, (Descriptor(digest, len(BODY)), b">"))
    with pytest.raises((BrokenBlob, BaseExceptionGroup)) as caught:
        await read(archive, came)
    error = broken(caught.value)
    assert isinstance(error, BrokenBlob)
    assert str(digest) in str(error)
    assert b">" not in came


async def test_what_is_in_it_is_leased_while_it_is_read(shelf):
    digest = shelf.blobs.put(BODY)
    archive = Archive(shelf.blobs, (b"<", Descriptor(digest, len(BODY))))
    async with archive.read() as chunks:
        await chunks.receive()
        assert shelf.blobs.leases.of_builds() == {digest}
    assert shelf.blobs.leases.of_builds() == set()


async def test_an_empty_blob_is_no_end(shelf):
    digest = shelf.blobs.put(b"")
    assert await read(Archive(shelf.blobs, (Descriptor(digest, 0), b">"))) == b">"
    assert digest == Digest.of(b"")
