"""What the command line and the page ask of the daemon: its state, and pulls."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from nixeryd import __version__
from nixeryd.builder.builder import Builder
from nixeryd.builder.progress import Event, Failed
from nixeryd.cache.eviction import Evictor
from nixeryd.images.errors import NixerydError
from nixeryd.images.names import parse_reference, parse_repository
from nixeryd.origins import flatten
from nixeryd.reload import Reloading
from nixeryd.sources.source import Configured
from nixeryd.store.index import Index


class Control:
    """Answers the JSON API."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        builder: Builder,
        index: Index,
        evictor: Evictor,
        source: Configured,
        reloading: Reloading,
        *,
        listeners: Mapping[str, Sequence[str]],
        data_dir: Path,
        nix: str,
    ) -> None:
        self._builder = builder
        self._index = index
        self._evictor = evictor
        self._source = source
        self._reloading = reloading
        self._listeners = listeners
        self._data_dir = data_dir
        self._nix = nix

    async def status(self) -> Mapping[str, object]:
        """Give the daemon's state as JSON values."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "listeners": self._listeners,
            "source": {
                "name": self._source.name,
                "path": self._source.place,
                "revision": await self._source.revision(),
                "state": self._source.watch,
            },
            "nix": self._nix,
            "data_dir": str(self._data_dir),
            "images": len(self._index.names.all()),
            "cache": {"size": self._evictor.total, "cap": self._evictor.cap},
            "builds": [
                {
                    "repository": run.image.repository,
                    "tag": run.tag,
                    "source": run.source.name,
                    "seconds": round(trio.current_time() - run.since, 1),
                }
                for run in self._builder.runs()
            ],
        }

    def settings(self) -> Mapping[str, object]:
        """Give the settings in force by their names."""
        return flatten(self._reloading.settings)

    def reload(self) -> Mapping[str, object]:
        """Read the configuration again; raises `ConfigError` and changes nothing."""
        outcome = self._reloading.reload()
        return {"changed": outcome.changed, "needs_restart": outcome.needs_restart}

    @asynccontextmanager
    async def pull(
        self, name: str
    ) -> AsyncIterator[AsyncGenerator[Mapping[str, object], None]]:
        """Make an image and tell how it goes; a failure is raised."""
        repository, _, tag = name.partition(":")
        components = parse_repository(repository)
        reference = parse_reference(tag or "latest")
        if not isinstance(reference, str):
            raise NixerydError(f"{name}: pull takes a tag, not a digest")
        async with self._builder.pull(components, reference) as channel:
            events = _as_json(channel)
            try:
                yield events
            finally:
                await events.aclose()


async def _as_json(
    channel: trio.MemoryReceiveChannel[Event],
) -> AsyncGenerator[Mapping[str, object], None]:
    async for event in channel:
        if isinstance(event, Failed):
            raise NixerydError(event.message)
        yield msgspec.to_builtins(event)
