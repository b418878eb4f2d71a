"""A store in a directory, and images in it that no Nix has made."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import (
    LayerDescriptor,
    layer_media_type,
    render_config,
    render_manifest,
)
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import Index, StoredManifest, open_index
from nixeryd.store.uses import Uses

KB = 1000


@dataclass
class Shelf:
    """A blob store with its index, and `fill` to put images there."""

    root: Path
    blobs: Blobs
    index: Index
    uses: Uses

    @property
    def index_path(self) -> Path:
        return self.root / "index.sqlite"

    def layer(self, name: str, size: int = 100 * KB) -> LayerDescriptor:
        body = (name.encode() * size)[:size]
        digest = self.blobs.put(body)
        layer = LayerDescriptor(digest, digest, size, layer_media_type("none"))
        self.index.add_layer(name, layer, [f"/nix/store/{name}"])
        return layer

    def image(self, name: str, *layers: str, used: float, tag="latest") -> Digest:
        """Store an image of these layers and of a tag that is its name."""
        descriptors = [self.layer(layer) for layer in layers]
        config = render_config(
            architecture="amd64",
            env={},
            cmd=[name],
            labels={},
            diff_ids=[one.diff_id for one in descriptors],
            history=["" for _ in descriptors],
        )
        body = render_manifest(config, descriptors)
        digest = self.blobs.put(body)
        blobs = (self.blobs.put(config), *(one.digest for one in descriptors))
        size = len(config) + sum(one.size for one in descriptors)
        self.index.add_build(name, StoredManifest(digest, "type", blobs, size))
        self.index.set_tag(json.dumps(name), tag, name, digest, used)
        self.index.set_used({digest: used}, math.inf)
        return digest

    def age(self, digest: Digest, seconds: float) -> None:
        path = self.blobs.path(digest)
        written = path.stat().st_mtime - seconds
        os.utime(path, (written, written))

    @property
    def names(self) -> set[str]:
        return {name.repository for name in self.index.names.all()}

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs.listing().values())

    def check(self) -> None:
        """Whatever the index names is there, whole; nothing else is in the way."""
        for digest in list(self.blobs.listing()):
            body = self.blobs.read(Digest.parse(digest))
            assert str(Digest.of(body)) == digest
        for name in self.index.names.all():
            manifest = self.index.manifest(name.manifest)
            for digest in (name.manifest, *manifest.blobs):
                assert self.blobs.size(digest) is not None
        assert list((self.root / "staging").iterdir()) == []


@pytest.fixture
def shelf(tmp_path):
    with open_data_dir(tmp_path / "data") as places, open_index(places.index) as index:
        blobs = Blobs(places.blobs, places.staging, index.blob_size)
        yield Shelf(places.root, blobs, index, Uses(index, blobs.leases))
