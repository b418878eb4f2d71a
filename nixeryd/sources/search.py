"""Searching the default source: its names, listed once per state of it.

Names are kept on disk under the source's fingerprint, with what was read outside of
it; where that is not known, they are listed each time. What is to be said about a
package needs it evaluated, so only the few that are shown are, and that is remembered
while the daemon runs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from nixeryd.images.errors import RegistryError
from nixeryd.nix.listing import list_names, query_names
from nixeryd.nix.packageset import EvaluationFailed, PackageSet
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.ranking import NESTED, Match, search
from nixeryd.nix.reads import Reads
from nixeryd.sources.fingerprint.outside import OutOfSightError, Outside, note
from nixeryd.sources.source import Configured, Searchable

log = structlog.get_logger()

_REMEMBERED = 2000  # descriptions


class _Names(msgspec.Struct, frozen=True):
    fingerprint: str
    nested: tuple[str, ...]
    names: tuple[str, ...]
    read: Outside


@dataclass(frozen=True, slots=True)
class Found:
    """A package that may be meant; texts are "" where nothing is known."""

    name: str
    attribute: str
    version: str = ""
    description: str = ""


class Search:
    """Searches one source; `directory` keeps its names."""

    def __init__(
        self, source: Configured, nix: Nix, system: str, directory: Path
    ) -> None:
        self._nix = nix
        self._system = system
        self._directory = directory
        self.use(source)
        self._lock = trio.Lock()

    def use(self, source: Configured) -> None:
        """Search this source from now on."""
        self._source = source
        self._file = self._directory / f"{source.name}.json"
        self._names: _Names | None = None
        self._described: dict[tuple[str, str], Mapping[str, str] | None] = {}

    async def find(self, query: str, limit: int, *, describe: bool) -> list[Found]:
        """Return the names that match best; raises `RegistryError`.

        With `describe` what is no package, or does not evaluate, is left out.
        """
        source = await (await self._source.now()).ready()
        fingerprint = await source.fingerprint()
        async with self._lock:
            names = await self._list(source, fingerprint)
            wanted = 2 * limit if describe else limit  # some will be left out
            matches = await trio.to_thread.run_sync(search, names, query, wanted)
            if not describe:
                return [Found(match.name, match.attribute) for match in matches]
            told = await self._describe(source, fingerprint, matches)
        return [
            Found(match.name, match.attribute, **told[match.attribute])
            for match in matches
            if told[match.attribute] is not None
        ][:limit]

    async def _list(self, source: Searchable, fingerprint: str | None) -> Sequence[str]:
        if self._names is None:
            self._names = await trio.to_thread.run_sync(_read, self._file)
        known = self._names
        if (
            known is not None
            and (known.fingerprint, known.nested) == (fingerprint, NESTED)
            and await trio.to_thread.run_sync(known.read.holds, self._nix.variables)
        ):
            return known.names
        self._described.clear()
        names: list[str]
        names, read = await self._ask(source, [])
        if fingerprint is None or read is None:
            return names
        if fingerprint == await source.fingerprint():
            self._names = _Names(fingerprint, NESTED, tuple(names), read)
            await trio.to_thread.run_sync(_write, self._file, self._names)
        return names

    async def _describe(
        self, source: Searchable, fingerprint: str | None, matches: Sequence[Match]
    ) -> dict[str, Any]:
        told = {
            match.attribute: self._described[fingerprint, match.attribute]
            for match in matches
            if fingerprint is not None
            and (fingerprint, match.attribute) in self._described
        }
        unknown = [m.attribute for m in matches if m.attribute not in told]
        if unknown:
            try:
                new: dict[str, Any]
                new, read = await self._ask(source, unknown)
            except RegistryError:
                # One of them breaks off the whole evaluation: say the names alone.
                return {**{name: {} for name in unknown}, **told}
            told |= new
            # What else it read would have to be looked at each time.
            is_alone = read is not None and not read.reads
            if fingerprint and is_alone and len(self._described) < _REMEMBERED:
                self._described |= {(fingerprint, name): new[name] for name in new}
        return told

    async def _ask(
        self, source: Searchable, names: Sequence[str]
    ) -> tuple[Any, Outside | None]:
        """Ask, and note what was read outside; None if that cannot be told."""
        reads, began = Reads(), time.time_ns()
        async with source.open() as found:
            await found.check()
            answer = await self._try(found, names, reads)
        try:
            return answer, await trio.to_thread.run_sync(
                note, reads, began, self._nix.variables
            )
        except (OutOfSightError, OSError):
            return answer, None

    async def _try(self, found: PackageSet, names: Sequence[str], reads: Reads) -> Any:
        def warn(nested: str, error: NixFailed) -> None:
            why = found.explain(self._nix, error)
            log.warning("not searched", set=f"{found.called}: {nested}", error=why)

        ask = (self._nix, found, self._system, reads)
        try:
            if names:
                return await query_names(*ask, names=tuple(names), nested=NESTED)
            return await list_names(*ask, warn)
        except NixFailed as error:
            why = found.explain(self._nix, error)
            raise EvaluationFailed(
                f"{found.called} does not evaluate: {why}"
            ) from error


def _read(file: Path) -> _Names | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Names)
    except (OSError, msgspec.DecodeError):
        return None  # not there yet, or of another version: it is only a cache


def _write(file: Path, names: _Names) -> None:
    file.parent.mkdir(exist_ok=True)
    staged = file.with_suffix(".new")
    staged.write_bytes(msgspec.json.encode(names))
    staged.replace(file)
