"""Layers that no Nix has made, packed and recorded."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

from nixeryd.layers.packing import Packed, pack_store_paths, record_store_paths
from nixeryd.layers.recipe_format import TICK
from nixeryd.store.recipe import CHUNK


class Bytes:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data


@dataclass
class Layer:
    """A store path with a file for each way to be read, and its tar."""

    root: Path
    packed: Packed
    whole: bytes

    @property
    def small(self) -> Path:
        return self.root / "small"

    @property
    def large(self) -> Path:
        return self.root / "large"

    def record(self, blobs):
        """Keep it as a recipe; gives its digest."""
        with blobs.stage() as staged:
            recorded = record_store_paths([str(self.root)], staged)
            staged.commit_recipe(recorded.digest, recorded.size)
        assert recorded == self.packed
        return recorded.digest

    def rot(self, file: Path) -> None:
        """Change a byte, but not the size."""
        body = bytearray(file.read_bytes())
        body[len(body) // 2] ^= 1
        file.write_bytes(body)


def make_layer(root: Path, size: int = 2 * CHUNK) -> Layer:
    rng = random.Random(7)
    root.mkdir(parents=True)
    (root / "large").write_bytes(rng.randbytes(size))
    (root / "link").symlink_to("large")
    (root / "many").mkdir()
    for number in range(100):
        data = rng.randbytes(rng.choice([0, 1, 511, 512, 513, 3000]))
        (root / "many" / f"{number}").write_bytes(data)
    (root / "medium").write_bytes(rng.randbytes(200_000))
    (root / "small").write_bytes(b"x" * 100)
    let_clock_tick()
    sink = Bytes()
    packed = pack_store_paths([str(root)], sink, "none")
    return Layer(root, packed, bytes(sink.data))


def let_clock_tick() -> None:
    """Wait until what changes has a later ctime than what changed before."""
    time.sleep(3 * TICK / 1e9)
