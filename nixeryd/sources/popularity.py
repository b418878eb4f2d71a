"""Popularity: how many packages need a package, by which layers are cut.

The law: it is frozen. Other numbers make other layers, and with them other digests,
so they change only when the user asks for it (`nixeryd popularity`). They are counted
in this machine's store, or come from a file or URL in Nixery's format: a JSON object
of names and numbers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
import structlog
import trio

from nixeryd.images.closures import PathInfo
from nixeryd.images.errors import NixerydError
from nixeryd.nix.closure import query_store
from nixeryd.nix.process import Nix
from nixeryd.upstream import DIRECT, Outgoing
from nixeryd.upstream.document import fetch_document

STORE = "store"
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_LIMIT = 64 * 2**20  # bytes; of all of nixpkgs it is a few megabytes
_HASH = 33  # characters before the name, with the dash


class Frozen(msgspec.Struct, frozen=True):
    """The numbers, and where they came from: `STORE`, a file or a URL."""

    origin: str
    counts: dict[str, int]


class PopularityError(NixerydError):
    """The data is unusable; the message says which, and what to do."""


class Popularity:
    """Numbers from `place`, a file or URL, "" for the store; frozen in `file`.

    `take` gets them whenever there are others.
    """

    def __init__(
        self,
        place: str,
        file: Path,
        nix: Nix,
        take: Callable[[dict[str, int]], None],
        outgoing: Outgoing = DIRECT,
    ) -> None:
        self._place = place
        self._file = file
        self._nix = nix
        self._take = take
        self._outgoing = outgoing
        self._is_missing = False

    def load(self) -> None:
        """Take the frozen numbers, if there are any; raises `PopularityError`."""
        if self._place and not _is_url(self._place):
            self._take(_read_file(self._place))
            return
        frozen = self._read()
        self._is_missing = bool(self._place) and (
            frozen is None or frozen.origin != self._place
        )
        if frozen is not None and not self._is_missing:
            self._take(frozen.counts)

    async def fetch_if_missing(self) -> None:
        """Fetch them if that was never done; until then images are made without."""
        if not self._is_missing:
            return
        try:
            await self.renew()
        except NixerydError as error:
            log.warning("no popularity data", error=str(error))

    async def renew(self) -> Frozen:
        """Fetch, read or count them anew, freeze and take them.

        Raises `NixerydError`, and then all is as before.
        """
        frozen = await self._make()
        if frozen.origin == STORE or _is_url(frozen.origin):
            await trio.to_thread.run_sync(self._write, frozen)
        self._take(frozen.counts)
        return frozen

    async def _make(self) -> Frozen:
        if not self._place:
            infos = await query_store(self._nix)
            counts = await trio.to_thread.run_sync(count_references, infos)
            return Frozen(STORE, counts)
        if _is_url(self._place):
            return Frozen(self._place, await self._fetch())
        # A file stays where it is, and is read at each start.
        counts = await trio.to_thread.run_sync(_read_file, self._place)
        return Frozen(self._place, counts)

    async def _fetch(self) -> dict[str, int]:
        if self._nix.offline.on:
            raise PopularityError(
                f"offline ({self._nix.offline.why}): the popularity data"
                f" {self._place} cannot be fetched"
            )
        try:
            text = await fetch_document(
                self._place, limit=_LIMIT, outgoing=self._outgoing
            )
        except ValueError as error:
            raise PopularityError(f"nix.popularity: {error}") from error
        return _parse(text, self._place)

    def _read(self) -> Frozen | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Frozen)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise PopularityError(
                f"the popularity data {self._file} is unusable ({error}): remove it,"
                " and make it anew with nixeryd popularity"
            ) from error

    def _write(self, frozen: Frozen) -> None:
        staged = self._file.with_suffix(".new")
        staged.write_bytes(msgspec.json.encode(frozen, order="sorted"))
        staged.replace(self._file)


def count_references(infos: Iterable[PathInfo]) -> dict[str, int]:
    """Count for each package name how many store paths refer to it.

    Derivations are left out: what is needed to build says nothing about images.
    """
    return dict(
        Counter(
            name_of(reference)
            for info in infos
            if not info.path.endswith(".drv")
            for reference in info.references
            if not reference.endswith(".drv")
        )
    )


def name_of(path: str) -> str:
    """Return the name of a store path, as layering knows it: without its hash."""
    return path.rpartition("/")[2][_HASH:]


def most_popular(counts: Mapping[str, int], number: int) -> list[tuple[str, int]]:
    """Return the first few, the most popular first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def _is_url(place: str) -> bool:
    return "://" in place


def _read_file(place: str) -> dict[str, int]:
    try:
        text = Path(place).expanduser().read_bytes()
    except OSError as error:
        raise PopularityError(
            f"the popularity data {place} cannot be read: {error.strerror}"
        ) from error
    return _parse(text, place)


def _parse(text: bytes, place: str) -> dict[str, int]:
    try:
        found = msgspec.json.decode(text, type=dict[str, int], strict=False)
    except msgspec.DecodeError as error:
        raise PopularityError(
            f"the popularity data {place} is no JSON object of names and numbers:"
            f" {error}"
        ) from error
    return found
