"""Measure the fingerprint of a checkout of 40,000 directories.

    python benchmarks/fingerprint.py [--files 40000] [--drop-caches]

Makes a git tree in a temporary directory and prints, one line each: how long
until the watch is up (first start, and with the digests of an earlier daemon),
what the event loop felt of it, `fingerprint()` with nothing changed, after a
one-line edit, and without a watch; `git status` for comparison; idle CPU and
memory. --drop-caches (root) shows the kernel memory that the watches pin, by
freeing all that they do not: it slows the machine down for a moment.
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import trio

from nixeryd.sources.fingerprint import open_checkout


def make_tree(root: Path, files: int) -> None:
    """One directory per package, as in pkgs/by-name, with 0.5 to 4 KB in it."""
    rng = random.Random(1)
    for number in range(files):
        package = root / "pkgs" / f"{number % 700:03}" / f"package-{number}"
        package.mkdir(parents=True)
        text = f"{{ stdenv }}: {number}\n".encode()
        noise = rng.randbytes(rng.randrange(500, 4000))
        (package / "package.nix").write_bytes(text + noise)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "all")


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(
        ["git", *name, *words],
        cwd=root,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def show(what: str, *values: object) -> None:
    print(f"{what:<44}", *values, flush=True)


def quantiles(times: list[float], unit: float = 1e6, name: str = "µs") -> str:
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    return f"p50 {p50 * unit:,.1f} {name}, p99 {p99 * unit:,.1f} {name}"


async def feel(lags: list[float]) -> None:
    """Note how much later than wanted the event loop comes round."""
    while True:
        began = time.perf_counter()
        await trio.sleep(0.001)
        lags.append(time.perf_counter() - began - 0.001)


async def timed(checkout, times: list[float]) -> str:
    began = time.perf_counter()
    value = await checkout.fingerprint()
    times.append(time.perf_counter() - began)
    assert value is not None, checkout.state
    return value


async def starts(root: Path, memory: Path, label: str) -> None:
    async with trio.open_nursery() as nursery:
        lags: list[float] = []
        nursery.start_soon(feel, lags)
        began, spent = time.perf_counter(), time.process_time()
        async with open_checkout(root, nursery, memory=memory) as checkout:
            await checkout.wait_opened()
            took, cpu = time.perf_counter() - began, time.process_time() - spent
            show(f"watch up, {label}", f"{took:.2f} s ({cpu:.2f} s CPU)")
            late = quantiles(lags, 1e3, "ms") if len(lags) > 1 else ""
            show("  the event loop late by", late)
            show("  at most", f"{max(lags) * 1e3:.1f} ms, {len(lags)} rounds")
            show("  state", checkout.state)
        nursery.cancel_scope.cancel()


async def asks(root: Path, memory: Path) -> None:
    edited = root / "pkgs" / "007" / "package-7" / "package.nix"
    text = edited.read_bytes()
    async with (
        trio.open_nursery() as nursery,
        open_checkout(root, nursery, memory=memory) as checkout,
    ):
        await checkout.wait_opened()
        first = await checkout.fingerprint()
        same: list[float] = []
        for _ in range(5000):
            assert await timed(checkout, same) == first
        show("fingerprint(), nothing changed", quantiles(same))
        after: list[float] = []
        for number in range(500):
            edited.write_bytes(text + b"# %d\n" % number)
            assert await timed(checkout, after) != first
        show("fingerprint() after a one-line edit", quantiles(after))
        edited.write_bytes(text)
        assert await checkout.fingerprint() == first
        spent = time.process_time()
        await trio.sleep(5)
        show("CPU in 5 idle seconds", f"{(time.process_time() - spent) * 1e3:.1f} ms")
    walked: list[float] = []
    async with (
        trio.open_nursery() as nursery,
        open_checkout(root, nursery, memory=memory, watch_limit=0) as checkout,
    ):
        await checkout.wait_opened()
        for _ in range(20):
            assert await timed(checkout, walked) == first
    show("fingerprint() without a watch", quantiles(walked, 1e3, "ms"))


def slab() -> int:
    """Free what nothing holds; return the kernel's small objects, in KiB."""
    Path("/proc/sys/vm/drop_caches").write_text("3\n")
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("Slab:"))


async def pins(root: Path, memory: Path) -> None:
    slab()
    before = slab()
    async with (
        trio.open_nursery() as nursery,
        open_checkout(root, nursery, memory=memory) as checkout,
    ):
        await checkout.wait_opened()
        watched = int(checkout.state.split()[1].replace(",", ""))
        slab()
        pinned = slab() - before
    each = pinned * 1024 / watched
    show("kernel memory pinned", f"{pinned / 1024:.1f} MiB, {each:.0f} B a directory")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=40_000)
    options.add_argument("--drop-caches", action="store_true")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root, memory = Path(directory) / "nixpkgs", Path(directory) / "digests"
        make_tree(root, chosen.files)
        time.sleep(2.1)  # until no file is younger than a stamp needs to settle
        trio.run(starts, root, memory, "first start")
        trio.run(starts, root, memory, "with an earlier daemon's digests")
        trio.run(asks, root, memory)
        status: list[float] = []
        for _ in range(10):
            began = time.perf_counter()
            git(root, "status", "--porcelain")
            status.append(time.perf_counter() - began)
        show("git status, for comparison", quantiles(status, 1e3, "ms"))
        size = memory.stat().st_size / 1e6
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        show(
            "digests on disk; this process at its peak",
            f"{size:.1f} MB; {peak:.0f} MiB",
        )
        if chosen.drop_caches:
            trio.run(pins, root, memory)


if __name__ == "__main__":
    main()
