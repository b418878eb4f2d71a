"""Lists of tags: passed through page by page; the last answer serves when none comes.

Law: every question goes to the upstream, once for all who ask at the same time; a
page is kept as it came.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog
import trio

from nixeryd.flight import Flights
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.freshness import Missing
from nixeryd.images.served import TagPage
from nixeryd.store.mirrored import Mirrored, Place
from nixeryd.upstream import Upstream, UpstreamError, answer_of

log = structlog.get_logger()

PATIENCE = 3.0
"""Seconds that the upstream may take when there is a stored page."""


@dataclass(frozen=True, slots=True)
class _Question:
    place: Place
    n: int | None
    last: str | None


class Tags:
    """Gives pages of tags."""

    def __init__(
        self,
        mirrored: Mirrored,
        nursery: trio.Nursery,
        *,
        is_offline: Callable[[str], bool],
    ) -> None:
        self._mirrored = mirrored
        self._is_offline = is_offline
        self._flights: Flights[_Question, TagPage] = Flights(nursery)

    async def get(
        self, upstream: Upstream, place: Place, n: int | None, last: str | None
    ) -> TagPage:
        """Give at most `n` tags, those after `last`; NAME_UNKNOWN (404) for none."""
        stored = self._mirrored.page(place, n, last)
        reason = "nixeryd is offline"
        if not self._is_offline(upstream.name):
            question = _Question(place, n, last)
            flight = self._flights.start(
                question, partial(self._fetch, upstream, question)
            )
            try:
                if stored is None:
                    return await flight.wait()
                with trio.move_on_after(PATIENCE):
                    return await flight.wait()
                reason = f"{upstream.name} did not answer within {PATIENCE:g} s"
            except UpstreamError as error:
                if stored is None or isinstance(answer_of(error), Missing):
                    raise _unknown(place, str(error)) from error
                reason = str(error)
        if stored is None:
            raise _unknown(place, reason)
        return replace(stored, warning=f"an earlier list of tags: {reason}")

    async def _fetch(self, upstream: Upstream, question: _Question) -> TagPage:
        place, n, last = question.place, question.n, question.last
        try:
            fetched = await upstream.tags(place.repository, n, last)
        except UpstreamError as error:
            log.warning("upstream gave no tags", source=str(place), error=str(error))
            raise
        page = TagPage(fetched.names, fetched.next_last)
        try:
            self._mirrored.set_page(place, n, last, page)
        except NixerydError as error:  # it is only not kept
            log.warning("tags cannot be noted", source=str(place), error=str(error))
        return page


def _unknown(place: Place, reason: str) -> RegistryError:
    return RegistryError(ErrorCode.NAME_UNKNOWN, f"{place}: {reason}")
