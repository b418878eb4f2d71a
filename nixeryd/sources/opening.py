"""Open the sources: configured, else found, else the demo set; watch what is local."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.config import settings as config
from nixeryd.git.allowed import Allowed
from nixeryd.git.remote import Remote
from nixeryd.git.storage import Storage
from nixeryd.git.trees import Trees
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.nix.checkouts import find_checkout
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.options import Options
from nixeryd.nix.process import Nix
from nixeryd.sources.bare import BareRepository, is_bare
from nixeryd.sources.directory import Directory
from nixeryd.sources.fingerprint import Checkout, open_checkout
from nixeryd.sources.flake import LocalFlake, RemoteFlake
from nixeryd.sources.git_url import GitUrl
from nixeryd.sources.source import Configured
from nixeryd.sources.sources import Sources
from nixeryd.sources.tarball import NIXPKGS, Channel

DEMO = "demo"
_DEMO_ADVICE = (
    "The demo set has a few programs of this machine. To build from nixpkgs, start with"
    " --nixpkgs PATH-OF-A-CHECKOUT, or write to config.toml: sources.nixpkgs.path ="
    ' "…" (or git, or channel = "nixos-unstable")'
)


@asynccontextmanager
async def open_sources(
    settings: config.Settings, nix: Nix, data_dir: Path, nursery: trio.Nursery
) -> AsyncIterator[Sources]:
    """Open the sources; raises `NixerydError` if one is not there."""
    async with open_changing_sources(settings, nix, data_dir, nursery) as opened:
        yield opened.sources


@asynccontextmanager
async def open_changing_sources(
    settings: config.Settings, nix: Nix, data_dir: Path, nursery: trio.Nursery
) -> AsyncIterator["OpenSources"]:
    """Open them so that others can take their place."""
    storage = Storage(Trees(data_dir / "trees"), data_dir / "git")
    opener = _Opener(nix, data_dir, storage, nursery)
    found, default = await _find(settings, nix, data_dir)
    opened = OpenSources(opener, default, await opener.open(found, {}))
    nursery.start_soon(storage.run)
    try:
        yield opened
    finally:
        await opened.aclose()


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """A source, how it was configured, and what closes it."""

    said: config.Source
    source: Configured
    stack: AsyncExitStack


class OpenSources:
    """The sources that are open. What is configured as before stays open."""

    def __init__(
        self, opener: "_Opener", default: str, known: Mapping[str, _Open]
    ) -> None:
        self._opener = opener
        self._known = known
        self.sources = Sources(_configured(known), default, opener.storage)

    async def prepare(self, settings: config.Settings) -> Callable[[], None]:
        """Open what is new and return what puts it in place, now or later.

        Raises `NixerydError` if a source is not there; then nothing was opened.
        """
        opener = self._opener
        found, default = await _find(settings, opener.nix, opener.data_dir)
        known = await opener.open(found, self._known)

        def change() -> None:
            gone = [one for one in self._known.values() if one not in known.values()]
            self._known = known
            self.sources.change(_configured(known), default)
            # A build of one that is closed goes on: it is only not remembered.
            opener.nursery.start_soon(_close, gone)

        return change

    async def aclose(self) -> None:
        """Close them all."""
        await _close(self._known.values())


def _configured(known: Mapping[str, _Open]) -> dict[str, Configured]:
    return {name: one.source for name, one in known.items()}


async def _close(opened: Iterable[_Open]) -> None:
    for one in opened:
        await one.stack.aclose()


async def _find(
    settings: config.Settings, nix: Nix, data_dir: Path
) -> tuple[Mapping[str, config.Source], str]:
    """Return the sources, and the name of the default one."""
    if settings.sources:
        return settings.sources, settings.source or next(iter(settings.sources))
    if found := await find_checkout(nix, Path.cwd()):
        return {"nixpkgs": config.Source(path=str(found))}, "nixpkgs"
    demo = await trio.to_thread.run_sync(prepare_demo, data_dir / DEMO)
    return {DEMO: config.Source(path=str(demo))}, DEMO


@dataclass(frozen=True, slots=True)
class _Opener:
    nix: Nix
    data_dir: Path
    storage: Storage
    nursery: trio.Nursery

    async def open(
        self, sources: Mapping[str, config.Source], known: Mapping[str, _Open]
    ) -> dict[str, _Open]:
        """Open all that is not known as it is said to be."""
        opened: dict[str, _Open] = {}
        try:
            for name, said in sources.items():
                same = known.get(name)
                if same is not None and same.said == said:
                    opened[name] = same
                    continue
                stack = AsyncExitStack()
                source = await self._open(name, said, stack)
                opened[name] = _Open(said, source, stack)
        except BaseException:
            with trio.CancelScope(shield=True):
                old = known.values()
                await _close(one for one in opened.values() if one not in old)
            raise
        return opened

    async def _open(
        self, name: str, said: config.Source, stack: AsyncExitStack
    ) -> Configured:
        options = await _options(name, said)
        if said.git:
            remote = self._remote(said.git, said.ref, said.refs)
            return GitUrl(name, remote, said.ref, self.storage.trees, options)
        if said.channel:
            root = self.data_dir / "gcroots" / f"source-{name}"
            nixpkgs = self._remote(NIXPKGS)
            return Channel(name, said.channel, self.nix, root, nixpkgs, options)
        if said.flake and ":" in said.flake:
            return RemoteFlake(name, said.flake, self.nix)
        # Not resolve(): what the user calls it is what messages should say.
        path = Path(said.path or said.flake).expanduser().absolute()  # noqa: ASYNC240  reads no file
        if not await trio.Path(path).exists():
            raise NixerydError(
                f"the source {name} is not there: {path} does not exist; mend its path,"
                " or name another with --nixpkgs"
            )
        allowed = Allowed(said.refs)
        if said.flake:
            return LocalFlake(name, path, await self._watch(name, path, stack), allowed)
        if await trio.to_thread.run_sync(is_bare, path):
            trees = self.storage.trees
            return BareRepository(name, path, trees, allowed, options=options)
        watch = await self._watch(name, path, stack)
        is_demo = path == self.data_dir / DEMO
        return Directory(
            name,
            path,
            self.storage.trees,
            watch,
            allowed,
            label="the demo set" if is_demo else None,
            advice=_DEMO_ADVICE if is_demo else "",
            options=options,
        )

    def _remote(self, url: str, ref: str = "", more: tuple[str, ...] = ()) -> Remote:
        # By its URL: another one under the same name shares nothing.
        place = self.data_dir / "git" / Digest.of(url.encode()).hex[:16]
        limits = self.nix.limits
        remote = Remote(
            url, place, self.nix.offline, ref, more, patience=lambda: limits.patience
        )
        return self.storage.add(remote)

    async def _watch(self, name: str, path: Path, stack: AsyncExitStack) -> Checkout:
        memory = self.data_dir / "checkouts"
        await trio.Path(memory).mkdir(exist_ok=True)
        return await stack.enter_async_context(
            open_checkout(path, self.nursery, memory=memory / name)
        )


async def _options(name: str, said: config.Source) -> Options:
    """Return nixpkgs' options; raises `NixerydError` if an overlay is missing."""
    overlays = [
        Path(overlay).expanduser().absolute()  # noqa: ASYNC240  reads no file
        for overlay in said.overlays
    ]
    for overlay in overlays:
        if not await trio.Path(overlay).exists():
            raise NixerydError(
                f"sources.{name}.overlays: {overlay} does not exist; an overlay is a"
                " file or a directory with default.nix"
            )
    try:
        text = json.dumps(said.config, sort_keys=True) if said.config else ""
    except TypeError as error:  # a date of TOML
        raise NixerydError(f"sources.{name}.config: {error}") from error
    return Options(name, text, tuple(overlays))
