"""Make a manifest of store paths as the daemon does, in a process of its own.

    python -m benchmarks.pack PLACE COMPRESSION ROOT

Reads the closure, writes "ready", waits for a line, then plans, packs and stores.
Writes the seconds that took, the CPU seconds, the peak of resident memory in kB.
"""

import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import trio

from benchmarks import inputs
from nixeryd.builder.assembly import assemble
from nixeryd.builder.layers import Layers
from nixeryd.builder.progress import Progress
from nixeryd.images.names import ImageName
from nixeryd.nix.closure import query_closure
from nixeryd.nix.evaluate import ResolvedPackage
from nixeryd.nix.installation import open_nix
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.index import open_index

IMAGE = ImageName("bench", ("bench",), ("bench",), "x86_64-linux", is_shell=False)


async def main(place: str, compression: str, root: str) -> None:
    nix = await open_nix(environment={"NIX_CONFIG": inputs.NIX_CONFIG})
    closure = await query_closure(nix, [root])
    package = ResolvedPackage("bench", "", (root,), ("out",), "bench", None)
    with (
        tempfile.TemporaryDirectory(dir=place) as directory,
        open_data_dir(Path(directory)) as places,
        open_index(places.index) as index,
    ):
        blobs = Blobs(places.blobs, places.staging)
        print("ready", flush=True)
        sys.stdin.readline()
        before, start = _cpu(), time.perf_counter()
        with blobs.leases.open() as lease:
            await assemble(
                IMAGE,
                [package],
                closure,
                labels={},
                popularity={},
                layers=Layers(blobs, index, compression),
                blobs=blobs,
                progress=Progress(),
                lease=lease,
            )
        seconds = time.perf_counter() - start
        print(seconds, _cpu() - before, _peak(), flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> int:
    # Not ru_maxrss, which may be that of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
