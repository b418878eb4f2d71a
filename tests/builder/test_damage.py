"""A file of another size is gone, and the next pull by tag makes it anew."""

import os

import pytest
from structlog.testing import capture_logs

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from tests.builder.test_builder import blobs_of


def resize(path, change):
    size = max(0, path.stat().st_size + change)
    os.truncate(path, size)


async def refused(builder, digest) -> None:
    with pytest.raises(RegistryError, match="by tag") as caught:
        builder.blob(digest)
    assert caught.value.code is ErrorCode.BLOB_UNKNOWN


@pytest.mark.parametrize("change", [-1, -(10**9), 7], ids=["short", "empty", "long"])
async def test_a_blob_of_another_size_is_gone_until_the_next_pull(demo_builder, change):
    whole = await demo_builder.manifest(("hello",), "latest")
    blobs = demo_builder._blobs
    for digest in blobs_of(whole):
        resize(blobs.path(digest), change)
        with capture_logs() as log:
            await refused(demo_builder, digest)
        assert log[0]["event"].startswith("a blob is damaged")
        assert log[0]["blob"] == str(digest)
        with pytest.raises(RegistryError, match="by tag") as caught:
            await demo_builder.manifest(("hello",), whole.digest)
        assert caught.value.code is ErrorCode.MANIFEST_UNKNOWN
        assert await demo_builder.manifest(("hello",), "latest") == whole
        blob = demo_builder.blob(digest)
        assert Digest.of(blob.path.read_bytes()) == digest
        assert await demo_builder.manifest(("hello",), whole.digest) == whole


@pytest.mark.parametrize("change", [-1, -(10**9), 7], ids=["short", "empty", "long"])
async def test_a_manifest_of_another_size_is_gone_until_the_next_pull(
    demo_builder, change
):
    whole = await demo_builder.manifest(("hello",), "latest")
    resize(demo_builder._blobs.path(whole.digest), change)
    await refused(demo_builder, whole.digest)
    with pytest.raises(RegistryError, match="by tag"):
        await demo_builder.manifest(("hello",), whole.digest)
    assert await demo_builder.manifest(("hello",), "latest") == whole
    assert await demo_builder.manifest(("hello",), whole.digest) == whole


async def test_a_manifest_of_other_bytes_is_gone_too(demo_builder):
    whole = await demo_builder.manifest(("hello",), "latest")
    path = demo_builder._blobs.path(whole.digest)
    path.write_bytes(whole.body.replace(b"sha256", b"sha257", 1))
    with pytest.raises(RegistryError, match="by tag"):
        await demo_builder.manifest(("hello",), whole.digest)
