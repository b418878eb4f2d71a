"""An eviction that is killed, again and again: what is left is whole every time."""

import json
import math

from nixeryd.images.digests import Digest
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import StoredManifest, open_index
from nixeryd.store.names import Kind
from tests.e2e.command import Command
from tests.e2e.serving import data_dir, serving, start
from tests.torture.invariants import broken

IMAGES = 1000
TYPE = "application/vnd.oci.image.manifest.v1+json"


def fill(place):
    """Fill a cache: each image has two layers of its own, and one with others."""
    with open_data_dir(data_dir(place)) as places, open_index(places.index) as index:

        def put(body: bytes) -> Digest:
            digest = Digest.of(body)
            path = places.blobs / "sha256" / digest.hex[:2] / digest.hex
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(body)
            return digest

        for number in range(IMAGES):
            own = [put(b"%d of %d" % (k, number)) for k in range(2)]
            needs = (*own, put(b"shared by ten, %d" % (number // 10)))
            body = {"layers": [str(need) for need in needs]}
            digest = put(json.dumps(body).encode())
            index.add_build(str(number), StoredManifest(digest, TYPE, needs, 0))
            index.set_tag(str(number), "latest", f"image{number}", digest, number)
            index.set_used({digest: number}, math.inf)
        pinned = index.names.find(Kind.NIX, "0", "latest")
        index.names.pin(pinned)
    return pinned.manifest


def blobs_in(place):
    return sum(1 for _ in (data_dir(place) / "blobs").rglob("?" * 64))


def test_an_eviction_that_is_killed_leaves_a_whole_cache(tmp_path):
    pinned = fill(tmp_path)
    before = blobs_in(tmp_path)
    assert not list(broken(data_dir(tmp_path)))
    tiny = {"NIXERYD_CACHE_MAX_SIZE": "1B"}
    for share in (0.9, 0.6, 0.3):
        daemon = start(tmp_path, environ=tiny)
        try:
            daemon.wait_until(lambda share=share: blobs_in(tmp_path) < before * share)
        finally:
            daemon.kill()
        assert not list(broken(data_dir(tmp_path)))
        assert blobs_in(tmp_path) > 4, "it was killed in the middle of it"
    with serving(tmp_path, environ=tiny) as daemon:
        daemon.process.wait_for_line("evicted")
        listed = json.loads(Command(daemon.data).done("list", "--json"))
        assert [image["digest"] for image in listed["images"]] == [str(pinned)]
        assert daemon.ask(f"/v2/image0/manifests/{pinned}").status == 200
        assert blobs_in(tmp_path) >= 4
    assert not list(broken(data_dir(tmp_path)))
