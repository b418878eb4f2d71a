"""Package sources: which one a tag means.

`latest` is the default source as it is now, working tree included; a source's
name picks that source.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.config import Settings
from nixeryd.fingerprint import Checkout, open_checkout
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.nix.checkouts import find_checkout
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.process import Nix

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class State:
    """A source at a moment; equal states have nothing between them."""

    fingerprint: str | None
    changes: int


@dataclass(frozen=True, slots=True)
class Source:
    """A package set that Nix can import: a directory with a default.nix."""

    name: str
    path: Path
    checkout: Checkout | None = None

    async def fingerprint(self) -> str | None:
        """Give a value that changes with what evaluation reads; None: cannot tell."""
        return None if self.checkout is None else await self.checkout.fingerprint()

    async def state(self) -> State:
        """Give the fingerprint, and how many changes were seen."""
        fingerprint = await self.fingerprint()
        return State(fingerprint, 0 if self.checkout is None else self.checkout.changes)

    async def revision(self) -> str | None:
        """Give the commit, "-dirty" behind it if files differ; None without git."""
        if not await trio.Path(self.path, ".git").exists():
            return None
        # --exclude=*: the commit itself and no tag. No lock, since the developer
        # may be committing right now.
        git = ["git", "--no-optional-locks", "-C", str(self.path), "describe"]
        try:
            done = await trio.run_process(
                [*git, "--always", "--dirty", "--abbrev=40", "--exclude=*"],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        except OSError:
            return None
        return done.stdout.decode().strip() or None


class Sources:
    """The configured sources; the first is the default one."""

    def __init__(self, sources: Mapping[str, Source], default: str) -> None:
        self._sources = dict(sources)
        self.default = self._sources[default]

    def of_tag(self, tag: str) -> Source:
        """Find the source that a tag means; MANIFEST_UNKNOWN if it means none."""
        if tag == "latest":
            return self.default
        source = self._sources.get(tag)
        if source is None:
            known = ", ".join(["latest", *self._sources])
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no tag {tag!r}: it is neither 'latest' nor a configured"
                f" source (known: {known})",
            )
        return source


@asynccontextmanager
async def open_sources(
    settings: Settings, nix: Nix, data_dir: Path, nursery: trio.Nursery
) -> AsyncIterator[Sources]:
    """Open the sources: configured, else found, else the demo set; watch them."""
    places, default = await _find(settings, nix, data_dir)
    memory = data_dir / "checkouts"
    memory.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        sources = {}
        for name, path in places.items():
            checkout = await stack.enter_async_context(
                open_checkout(path, nursery, memory=memory / name)
            )
            sources[name] = Source(name, path, checkout)
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
