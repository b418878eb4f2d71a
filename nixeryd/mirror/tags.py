"""Lists of tags: the upstream's, whole; the last it gave where none comes.

Law: the list is fetched to its end, page by page, once for all who ask at the same
time, and what a client asked for (`n`, `last`) is cut from it here: upstreams ignore
these, or have an order of their own. Whatever an upstream's pages say of the next one,
they come to an end. If there is no list, the tags that were pulled are one.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import structlog
import trio

from nixeryd.images.errors import ErrorCode, NixerydError
from nixeryd.images.served_manifests import TagList
from nixeryd.mirror.errors import denied, is_missing, refusal
from nixeryd.runtime.flight import Flights
from nixeryd.store.index import Index
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.upstream import (
    Upstream,
    UpstreamBroken,
    UpstreamError,
    UpstreamUnreachable,
)

log = structlog.get_logger()

PATIENCE = 3.0
"""Seconds that the upstream may take when there is a list to fall back on."""
WHOLE = 300.0
"""Seconds for all pages of a list."""
MOST_TAGS = 200_000
"""Tags of a repository; the largest known ones have some ten thousand."""
FRESH = 60.0
"""Seconds for which the pages after the first are cut from the list that it was in."""

_PAGE = 1000  # tags; what the large registries give at most


class Tags:
    """Gives lists of tags."""

    def __init__(
        self,
        index: Index,
        nursery: trio.Nursery,
        *,
        is_offline: Callable[[str], bool],
    ) -> None:
        self._index = index
        self._is_offline = is_offline
        self._flights: Flights[UpstreamRepository, TagList] = Flights(nursery)
        self._listed: dict[UpstreamRepository, float] = {}  # on trio's clock

    async def get(
        self, upstream: Upstream, place: UpstreamRepository, last: str | None
    ) -> TagList:
        """List all tags; `last`: the client goes on after this one.

        Raises NAME_UNKNOWN (404) if there are none, DENIED if they cannot be had now.
        """
        stored = self._stored(place)
        if last is not None and stored is not None and self._is_fresh(place):
            return TagList(stored)
        fallback = self._pulled(place) if stored is None else stored
        reason = "nixeryd is offline"
        if not self._is_offline(upstream.name):
            flight = self._flights.start(place, partial(self._fetch, upstream, place))
            try:
                with trio.move_on_after(PATIENCE if fallback else WHOLE):
                    return await flight.wait()
                reason = f"{upstream.name} did not answer in time"
            except UpstreamError as error:
                reason = str(error)
                if is_missing(error):
                    raise refusal(place, error, ErrorCode.NAME_UNKNOWN) from error
        if not fallback:
            raise denied(place, reason)
        what = "an earlier list of tags" if stored else "only the tags pulled so far"
        return TagList(fallback, warning=f"{what}: {reason}")

    async def _fetch(self, upstream: Upstream, place: UpstreamRepository) -> TagList:
        try:
            with trio.move_on_after(WHOLE):
                names = await _all_pages(upstream, place)
                self._keep(place, names)
                return TagList(names)
            raise UpstreamUnreachable(
                upstream.name, f"took more than {WHOLE:g} s for all tags"
            )
        except UpstreamError as error:
            tell = log.info if is_missing(error) else log.warning
            tell("upstream gave no tags", source=str(place), error=str(error))
            raise

    def _keep(self, place: UpstreamRepository, names: tuple[str, ...]) -> None:
        now = trio.current_time()
        self._listed = {
            other: when for other, when in self._listed.items() if now - when < FRESH
        }
        try:
            items = msgspec.json.encode(names).decode()
            self._index.lists.keep(place, None, items)
        except NixerydError as error:  # it is only not kept
            log.warning("tags cannot be noted", source=str(place), error=str(error))
        else:
            self._listed[place] = now

    def _is_fresh(self, place: UpstreamRepository) -> bool:
        when = self._listed.get(place)
        return when is not None and trio.current_time() - when < FRESH

    def _stored(self, place: UpstreamRepository) -> tuple[str, ...] | None:
        items = self._index.lists.find(place)
        if items is None:
            return None
        return msgspec.json.decode(items, type=tuple[str, ...])

    def _pulled(self, place: UpstreamRepository) -> tuple[str, ...]:
        return tuple(
            tag
            for where, tag, entry in self._index.mirrored.tags()
            if where == place and not entry.gone
        )


async def _all_pages(upstream: Upstream, place: UpstreamRepository) -> tuple[str, ...]:
    page = await upstream.tags(place.repository)
    names = dict.fromkeys(page.names)
    while page.next_last is not None:
        known = len(names)
        page = await upstream.tags(place.repository, _PAGE, page.next_last)
        names |= dict.fromkeys(page.names)
        if len(names) > MOST_TAGS:
            raise UpstreamBroken(
                upstream.name, f"lists more than {MOST_TAGS} tags of {place.repository}"
            )
        if len(names) == known:  # nothing new: it goes round
            break
    return tuple(sorted(names))
