"""Package sources: which one a tag means.

`latest` is the default source as it is now, working tree included; a source's
name picks that source.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.config import Settings
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.nix.checkouts import find_checkout
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.process import Nix

DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Source:
    """A package set that Nix can import: a directory with a default.nix."""

    name: str
    path: Path

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


async def open_sources(settings: Settings, nix: Nix, demo: Path) -> Sources:
    """Put the sources together: configured, else found, else the demo set."""
    if settings.sources:
        sources = {
            name: Source(name, _absolute(source.path))
            for name, source in settings.sources.items()
        }
        for source in sources.values():
            if not await trio.Path(source.path).exists():
                raise NixerydError(
                    f"the source {source.name} is not there: {source.path} does not"
                    " exist; mend its path, or name another with --nixpkgs"
                )
        return Sources(sources, settings.source or next(iter(sources)))
    if found := await find_checkout(nix, Path.cwd()):
        return Sources({"nixpkgs": Source("nixpkgs", found)}, "nixpkgs")
    path = await trio.to_thread.run_sync(prepare_demo, demo)
    return Sources({DEMO: Source(DEMO, path)}, DEMO)


def _absolute(path: str) -> Path:
    # Not resolve(): what the user calls it is what messages should say.
    return Path(path).expanduser().absolute()
