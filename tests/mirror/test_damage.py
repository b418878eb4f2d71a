"""A mirrored blob of another size is fetched anew."""

import os

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from tests.mirror.conftest import LAYER, LAYER_DIGEST, ROUTE, read
from tests.upstream.fixtures import IMAGE

DIGEST = Digest.parse(IMAGE.digest)


@pytest.fixture(params=[-1, -(10**9), 7], ids=["short", "empty", "long"])
def damage(request, setup):
    """Return a blob another size."""

    def damage(digest: Digest) -> None:
        path = setup.blobs.path(digest)
        os.truncate(path, max(0, path.stat().st_size + request.param))

    return damage


async def test_a_blob_of_another_size_is_fetched_anew(setup, mirror, damage):
    await mirror.manifest(ROUTE, "latest")
    await mirror.fetch(ROUTE, LAYER_DIGEST).wait_until_ended()
    assert mirror.fetch(ROUTE, LAYER_DIGEST) is None
    damage(LAYER_DIGEST)
    assert (await mirror.blob_head(ROUTE, LAYER_DIGEST)).size == len(LAYER)
    assert await read(await mirror.blob(ROUTE, LAYER_DIGEST)) == LAYER
    download = mirror.fetch(ROUTE, LAYER_DIGEST)
    if download is not None:  # it may not be in the store yet
        await download.wait_until_ended()
    assert setup.blobs.file(LAYER_DIGEST).path.read_bytes() == LAYER


async def test_offline_a_damaged_blob_is_refused(mirror, damage):
    await mirror.manifest(ROUTE, "latest")
    await mirror.fetch(ROUTE, LAYER_DIGEST).wait_until_ended()
    damage(LAYER_DIGEST)
    mirror.set_offline(offline=True)
    with pytest.raises(RegistryError, match="offline"):
        await mirror.blob(ROUTE, LAYER_DIGEST)
    with pytest.raises(RegistryError, match="offline"):
        await mirror.blob_head(ROUTE, LAYER_DIGEST)


@pytest.mark.parametrize("reference", ["latest", DIGEST], ids=str)
async def test_a_manifest_of_another_size_is_fetched_anew(mirror, damage, reference):
    whole = await mirror.manifest(ROUTE, "latest")
    damage(DIGEST)
    again = await mirror.manifest(ROUTE, reference)
    assert (again.body, again.digest) == (whole.body, whole.digest)
