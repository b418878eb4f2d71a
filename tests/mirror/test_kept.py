"""What is mirrored is kept, named and forgotten like what is built."""

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from nixeryd.store.names import Kind
from tests.mirror.conftest import HOST, LAYER_DIGEST, PLACE, ROUTE, TTL, settle
from tests.upstream.faults import Reply
from tests.upstream.fixtures import IMAGE

DIGEST = Digest.parse(IMAGE.digest)


async def test_a_mirrored_tag_is_a_name(setup, mirror, clock):
    await mirror.manifest(ROUTE, "latest")
    (name,) = setup.index.names.all()
    assert (name.kind, str(name)) == (Kind.MIRRORED, f"{PLACE}:latest")
    assert (name.manifest, name.since) == (DIGEST, clock.now)
    assert setup.index.names.of(DIGEST) == [name]


async def test_a_name_that_is_gone_is_none(setup, mirror, faults, clock):
    await mirror.manifest(ROUTE, "latest")
    clock.now += TTL
    faults.on("", Reply(404))
    with pytest.raises(RegistryError):
        await mirror.manifest(ROUTE, "latest")
    assert setup.index.names.all() == []


async def test_a_name_can_be_removed(setup, mirror):
    await mirror.manifest(ROUTE, "latest")
    await mirror.manifest(ROUTE, "1.0")
    found = setup.index.names.find(Kind.MIRRORED, str(PLACE), "latest")
    setup.index.names.remove(found)
    assert [name.tag for name in setup.index.names.all()] == ["1.0"]
    assert setup.index.mirrored.tag(PLACE, "latest") is None


async def test_nothing_is_known_of_what_was_forgotten(setup, mirror, faults):
    await mirror.manifest(ROUTE, "latest")
    await mirror.blob(ROUTE, LAYER_DIGEST)
    await settle(setup)
    setup.index.names.forget([str(DIGEST)], [str(LAYER_DIGEST)])
    setup.blobs.discard([DIGEST, LAYER_DIGEST])
    assert setup.index.mirrored.places(DIGEST) == []
    assert setup.index.mirrored.tags() == []
    # It comes again, and is known again.
    assert (await mirror.manifest(ROUTE, "latest")).body == IMAGE.manifest
    assert [str(name) for name in setup.index.names.of(DIGEST)] == [
        f"{HOST}/{IMAGE.repository}:latest"
    ]
    assert faults.count("manifests") == 2
