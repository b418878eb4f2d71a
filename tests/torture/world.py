"""The world around a tortured daemon: packages, an upstream that lies, settings.

All of it follows from a seed. The packages are new to every store, so that Nix has to
build them; what is pulled by one name is the same bytes at any time.
"""

import random
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.e2e.serving import NO_SANDBOX, Daemon, data_dir, start
from tests.torture.invariants import left_over
from tests.upstream.faults import Change, FaultServer, HangUp, Reply, Request
from tests.upstream.registries import Image, make_image, run_registry

PACKAGES = Path(__file__).with_name("packages")
CAPS = ("0", "200KB", "2MB", "20MB")
IMAGES = 12  # of the upstream

_CONFIG = """\
source = "torture"
[sources.torture]
path = "{packages}"
[upstreams."quay.io"]
url = "{upstream}"
[cache]
ttl = 0
max_size = "{cap}"
layers = "{layers}"
"""


@dataclass
class Lies:
    """What the upstream does to some of the requests, while it is on."""

    random: random.Random
    on: bool = True
    silent: bool = False
    told: int = 0

    def __call__(self, _: Request) -> Change | HangUp | Reply | None:
        if self.silent:
            return HangUp()
        if not self.on or self.random.random() > 0.3:
            return None
        self.told += 1
        at = self.random.randrange(300_000)
        return self.random.choice(
            (
                Change(cut_after=at),
                Change(corrupt_at=at),
                Change(corrupt_at=0),
                Change(ignore_range=True),
                Change(headers={"Docker-Content-Digest": "sha256:" + "0" * 64}),
                Change(headers={"Content-Type": "text/html"}),
                HangUp(),
                Reply(200, body=b"<html>log in to the hotel's network</html>"),
                Reply(404, body=b"{"),
                Reply(429, {"Retry-After": "1"}),
                Reply(500, body=bytes(100_000)),
                Reply(307, {"Location": "http://127.0.0.1:1/elsewhere"}),
            )
        )


@dataclass
class World:
    """What a daemon is started in, again and again."""

    place: Path
    packages: Path
    random: random.Random
    upstream: FaultServer
    lies: Lies
    staged: frozenset[str] = frozenset()  # when the daemon was started
    prefix: tuple[str, ...] = ()  # of the daemon's command line

    def configure(self, cap: str = "0") -> None:
        """Write the settings."""
        text = _CONFIG.format(
            packages=self.packages,
            upstream=self.upstream.url,
            cap=cap,
            layers=self.random.choice(("pack", "stream")),
        )
        # Whole at any moment: a daemon may be reading it.
        new = self.place / "config.new"
        new.write_text(text)
        new.rename(self.place / "config.toml")

    def edit(self, number: int) -> None:
        """Change the package set: it has to be evaluated again, to the same."""
        (self.packages / "edit.nix").write_text(f"# {number}\n")

    def start(self, **environ: str) -> Daemon:
        """Start a daemon; it has no port yet."""
        flag = f"--config={self.place / 'config.toml'}"
        self.staged = left_over(data_dir(self.place))
        process = start(
            self.place,
            flag,
            prefix=self.prefix,
            # At debug it tells of each blob that comes and goes.
            environ={
                "NIX_CONFIG": NO_SANDBOX,
                "NIXERYD_LOG_LEVEL": "debug",
                **environ,
            },
        )
        return Daemon(0, self.place, process)

    @staticmethod
    def wait_until_ready(daemon: Daemon) -> Daemon:
        """Wait for a daemon's port; fails if it ends before."""
        ready = daemon.process.wait_for_line(r"docker run .*localhost:(\d+)/")
        return Daemon(int(ready[1]), daemon.place, daemon.process)


def upstream_image(seed: int, number: int) -> Image:
    """Make the image that the upstream has under a number."""
    rng = random.Random(f"{seed} {number}")
    layers = [rng.randbytes(rng.randrange(600_000)) for _ in range(rng.randrange(1, 4))]
    return make_image(f"owner/app{number}", layers)


@asynccontextmanager
async def open_world(place: Path, seed: int) -> AsyncIterator[World]:
    """Make a world in an empty directory."""
    packages = place / "packages"
    shutil.copytree(PACKAGES, packages)
    (packages / "seed").write_text(f"{seed}-{random.SystemRandom().randrange(2**40):x}")
    (place / "registry").mkdir()
    with run_registry(place / "registry") as registry:
        for number in range(IMAGES):
            registry.push(upstream_image(seed, number), "latest")
        async with trio.open_nursery() as nursery:
            upstream = FaultServer(registry.port)
            await nursery.start(upstream.run)
            lies = Lies(random.Random(f"{seed} lies"))
            upstream.on(".*/(manifests|blobs)/", lies)
            rng = random.Random(f"{seed} world")
            world = World(place, packages, rng, upstream, lies)
            world.configure()
            yield world
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def serving(world: World, **environ: str) -> AsyncIterator[Daemon]:
    """Serve until the block ends; then the daemon must end well by itself."""
    started = world.start(**environ)
    try:
        yield await trio.to_thread.run_sync(world.wait_until_ready, started)
    except BaseException:
        started.process.kill()
        raise
    with trio.CancelScope(shield=True):
        code = await trio.to_thread.run_sync(started.process.end)
    assert code == 0, started.process
    assert not re.search("Traceback|a defect", started.process.output), started.process
