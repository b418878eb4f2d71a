"""Open the sources: configured, else found, else the demo set; watch directories."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from nixeryd.config import Settings
from nixeryd.fingerprint import open_checkout
from nixeryd.git.trees import Trees
from nixeryd.images.errors import NixerydError
from nixeryd.nix.checkouts import find_checkout
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.process import Nix
from nixeryd.sources.directory import Directory
from nixeryd.sources.sources import Sources

DEMO = "demo"


@asynccontextmanager
async def open_sources(
    settings: Settings, nix: Nix, data_dir: Path, nursery: trio.Nursery
) -> AsyncIterator[Sources]:
    """Open the sources; raises `NixerydError` if one is not there."""
    places, default = await _find(settings, nix, data_dir)
    trees = Trees(data_dir / "trees")
    memory = data_dir / "checkouts"
    memory.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        sources = {}
        for name, path in places.items():
            checkout = await stack.enter_async_context(
                open_checkout(path, nursery, memory=memory / name)
            )
            sources[name] = Directory(name, path, trees, checkout)
        yield Sources(sources, default)


async def _find(
    settings: Settings, nix: Nix, data_dir: Path
) -> tuple[dict[str, Path], str]:
    """Give the sources' places, and the name of the default one."""
    if settings.sources:
        places = {name: _absolute(one.path) for name, one in settings.sources.items()}
        for name, place in places.items():
            if not await trio.Path(place).exists():
                raise NixerydError(
                    f"the source {name} is not there: {place} does not exist; mend"
                    " its path, or name another with --nixpkgs"
                )
        return places, settings.source or next(iter(places))
    if found := await find_checkout(nix, Path.cwd()):
        return {"nixpkgs": found}, "nixpkgs"
    demo = await trio.to_thread.run_sync(prepare_demo, data_dir / DEMO)
    return {DEMO: demo}, DEMO


def _absolute(path: str) -> Path:
    # Not resolve(): what the user calls it is what messages should say.
    return Path(path).expanduser().absolute()
