"""Referrers of mirrored manifests: the upstream's; the last it gave where none comes.

Law: an upstream without this API is 404, at which clients look for the tag that stands
in for it (`sha256-…`); that it said so is remembered like a list.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers
"""

from collections.abc import Callable
from functools import partial

import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.referrers import Referrers, read_referrers, render_referrers
from nixeryd.mirror.errors import denied, is_missing
from nixeryd.runtime.flight import Flights
from nixeryd.store.lists import Lists
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.upstream import Upstream, UpstreamError

log = structlog.get_logger()

PATIENCE = 3.0
"""Seconds that the upstream may take when there is a list to fall back on."""
LONG_PATIENCE = 20.0
"""Seconds that it may take otherwise: some clients give up after 30."""

# What is kept of an upstream that has no such API.
_NONE = ""


class ReferrersOf:
    """Gives the referrers of manifests."""

    def __init__(
        self,
        lists: Lists,
        nursery: trio.Nursery,
        *,
        is_offline: Callable[[str], bool],
    ) -> None:
        self._lists = lists
        self._is_offline = is_offline
        self._flights: Flights[tuple[UpstreamRepository, Digest], Referrers] = Flights(
            nursery
        )

    async def get(
        self, upstream: Upstream, place: UpstreamRepository, digest: Digest
    ) -> Referrers:
        """List what refers to a manifest.

        Raises MANIFEST_UNKNOWN (404) if the upstream does not know of such things,
        DENIED if it cannot be asked now.
        """
        stored = self._lists.find(place, digest)
        reason = "nixeryd is offline"
        if not self._is_offline(upstream.name):
            flight = self._flights.start(
                (place, digest), partial(self._fetch, upstream, place, digest)
            )
            try:
                with trio.move_on_after(LONG_PATIENCE if stored is None else PATIENCE):
                    return await flight.wait()
                reason = f"{upstream.name} did not answer in time"
            except UpstreamError as error:
                if is_missing(error):
                    raise _unknown(place, digest, str(error)) from error
                reason = str(error)
        if stored is None:
            raise denied(f"the referrers of {place}@{digest}", reason)
        if stored == _NONE:
            raise _unknown(place, digest, "the registry had none when it was asked")
        items = read_referrers(stored.encode())
        return Referrers(items, warning=f"an earlier list of referrers: {reason}")

    async def _fetch(
        self, upstream: Upstream, place: UpstreamRepository, digest: Digest
    ) -> Referrers:
        try:
            items = await upstream.referrers(place.repository, digest)
        except UpstreamError as error:
            missing = is_missing(error)
            tell = log.info if missing else log.warning
            tell("upstream gave no referrers", source=str(place), error=str(error))
            if missing:
                self._keep(place, digest, _NONE)
            raise
        self._keep(place, digest, render_referrers(items).decode())
        return Referrers(items)

    def _keep(self, place: UpstreamRepository, digest: Digest, text: str) -> None:
        try:
            self._lists.keep(place, digest, text)
        except NixerydError as error:  # it is only not kept
            log.warning(
                "referrers cannot be noted", source=str(place), error=str(error)
            )


def _unknown(place: UpstreamRepository, digest: Digest, reason: str) -> RegistryError:
    return RegistryError(
        ErrorCode.MANIFEST_UNKNOWN, f"the referrers of {place}@{digest}: {reason}"
    )
