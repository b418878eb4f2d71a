"""Eviction: carry out what `images.retention` plans, while the daemon serves.

Reading and planning, which take long, are done in threads; `discarding` tells how
things go. They do so in small batches. A batch of which anything was leased since the
plan was made ends it, and a new plan is made.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import structlog
import trio

from nixeryd.cache.discarding import Discarding
from nixeryd.cache.planning import Cache, Evicted, foresee
from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.numbering import Numbering
from nixeryd.images.sizes import render_size
from nixeryd.runtime.metrics import EVICTED_BYTES
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index
from nixeryd.store.leases import PULL
from nixeryd.store.names import Name
from nixeryd.store.reserve import RESERVE, Reserve
from nixeryd.store.retention import Eviction, batches, plan_eviction, plan_removal
from nixeryd.store.snapshot import read_holdings
from nixeryd.store.uses import Uses

# Seconds for which a blob without a manifest may belong to one being made. Builds
# hold leases as well, so this is for what nobody has thought of; whoever asks for
# room does not want to wait an hour for it.
GRACE: Final = 3600.0
ASKED_GRACE: Final = 60.0
# Seconds until another attempt when the disk does not let us.
RETRY: Final = 60.0
_BATCH: Final = 500  # blobs
_ATTEMPTS: Final = 3

log = structlog.get_logger()


T = TypeVar("T")
_Make: TypeAlias = Callable[[Cache], Eviction]


class Evictor:
    """Keeps the blobs under a cap, in bytes; None for no cap."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        blobs: Blobs,
        index: Index,
        index_path: Path,
        uses: Uses,
        *,
        cap: int | None,
        on_forgotten: Callable[[Name], None] = lambda _: None,
        on_gone: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._index_path = index_path
        self._uses = uses
        self.cap = cap
        reserve = Reserve(index_path.with_name(RESERVE))
        self._discarding = Discarding(blobs, index, reserve, on_forgotten, on_gone)
        self._now = now
        self._lock = trio.Lock()
        self._grown = trio.Event()
        self.beside = 0  # bytes that others keep under the same cap, up to half of it
        self.total: int | None = None  # bytes of all blobs; None: not counted yet
        self._added = 0  # bytes since the last count began

    async def run(self) -> None:
        """Count the blobs, and evict whenever they grow over the cap."""
        token = trio.lowlevel.current_trio_token()
        self._blobs.on_growth = lambda size: token.run_sync_soon(self.grow, size)
        while True:
            try:
                wait = await self._keep_cap()
            except (NixerydError, OSError) as error:
                # A disk that takes nothing, or no file descriptors: it may pass.
                log.error("cannot make room", error=str(error))  # noqa: TRY400  a state
                wait = RETRY
            with trio.move_on_after(wait):
                await self._grown.wait()
            self._grown = trio.Event()

    async def _keep_cap(self) -> float:
        """Evict if there is too much; give the seconds until to look again."""
        cap, total = self.cap, self.total  # another may be set meanwhile
        if total is None:
            _, total = await self._count(self._blobs.total, int)
        if cap is not None:
            cap -= min(self.beside, cap // 2)
        if cap is None or total <= cap:
            return float("inf")
        # Some more than has to go, or every blob to come would evict one.
        evicted = await self.evict(cap - cap // 20)
        if evicted.left <= cap:
            return float("inf")
        log.warning(
            "cache over its cap, and all is pinned or being pulled",
            size=render_size(evicted.left),
            cap=render_size(cap),
        )
        return PULL

    def set_beside(self, size: int) -> None:
        """Leave this much of the cap, in bytes, to what is kept beside the blobs."""
        self.beside = size
        self._grown.set()

    def set_cap(self, cap: int | None) -> None:
        """Take another cap, and see at once whether it is kept."""
        self.cap = cap
        self._grown.set()

    async def evict(
        self, cap: int, *, dry_run: bool = False, spare_pulls: bool = True
    ) -> Evicted:
        """Bring the blobs down to `cap` bytes, as far as may be.

        Images that clients asked for lately stay if `spare_pulls`; those that builds
        count on stay in any case.
        """
        grace = GRACE if spare_pulls else ASKED_GRACE

        def plan(cache: Cache) -> Eviction:
            return plan_eviction(
                cache.holdings.held,
                cache.blobs,
                cap=cap,
                busy=cache.busy,
                loose_before=(now := self._now()) - grace,
                loose_after=now + grace,
            )

        async with self._lock:
            if dry_run:
                with self._blobs.leases.watch() as wanted:
                    found = await self._plan(plan, wanted, spare_pulls=spare_pulls)
                return foresee(*found)
            return await self._do(plan, spare_pulls=spare_pulls)

    async def remove(self, names: Sequence[Name]) -> Evicted:
        """Forget names, and what only they lead to."""
        manifests = [str(name.manifest) for name in names]

        def plan(cache: Cache) -> Eviction:
            named = cache.holdings.named
            numbers = map(cache.holdings.numbering.number, manifests)
            return plan_removal(
                cache.holdings.held,
                cache.blobs,
                remove=[number for number in numbers if number not in named],
                named=named,
                busy=cache.busy,
            )

        async with self._lock:
            for name in names:
                self._index.names.remove(name)
                self._discarding.on_forgotten(name)
            done = await self._do(plan, spare_pulls=False)
            return replace(done, names=tuple(names))

    async def discard(self, blobs: Sequence[str]) -> None:
        """Let these go for good, whatever they are needed for, and what needs them."""
        async with self._lock:
            # As of now: a build may have written a manifest a moment ago.
            manifests = self._index.names.needing(blobs)
            _, _, freed = await self._discarding.discard(
                manifests, blobs, unneeded=False
            )
            self.grow(-freed)
            digests = list(map(Digest.parse, blobs))
            await trio.to_thread.run_sync(self._blobs.sync_places, digests)

    async def _do(self, make: _Make, *, spare_pulls: bool) -> Evicted:
        done = Evicted(0, 0, 0, 0, ())
        for _ in range(_ATTEMPTS):
            with self._blobs.leases.watch() as wanted:
                plan, cache = await self._plan(make, wanted, spare_pulls=spare_pulls)
                part, is_complete = await self._carry_out(
                    plan, cache.holdings.numbering, wanted, spare_pulls=spare_pulls
                )
            done = Evicted(
                done.freed + part.freed,
                part.left,
                done.manifests + part.manifests,
                done.blobs + part.blobs,
                done.names + part.names,
            )
            if is_complete:
                break
        if done.blobs or done.manifests:
            EVICTED_BYTES.inc(by=done.freed)
            log.info(
                "evicted",
                freed=render_size(done.freed),
                left=render_size(done.left),
                blobs=done.blobs,
                images=[str(name) for name in done.names],
            )
        return done

    async def _plan(
        self, make: _Make, wanted: Collection[Digest], *, spare_pulls: bool
    ) -> tuple[Eviction, Cache]:
        self._uses.flush()
        holdings = await trio.to_thread.run_sync(read_holdings, self._index_path)
        listing, _ = await self._count(
            partial(holdings.listing, self._blobs),
            lambda found: sum(blob.size for blob in found.values()),
        )
        busy = self._leased(wanted, spare_pulls=spare_pulls)

        def plan() -> tuple[Eviction, Cache]:
            numbers = set(map(holdings.numbering.number, busy))
            cache = Cache(holdings, listing, numbers)
            return make(cache), cache

        return await trio.to_thread.run_sync(plan)

    async def _count(
        self, look: Callable[[], T], weigh: Callable[[T], int]
    ) -> tuple[T, int]:
        """Look at all blobs; what they weigh is the `total` from now on, in bytes.

        What is added meanwhile may be counted twice, until the next time, but never
        not at all.
        """
        self._added = 0
        found = await trio.to_thread.run_sync(look)
        self.total = weigh(found) + self._added
        return found, self.total

    def _leased(self, wanted: Collection[Digest], *, spare_pulls: bool) -> set[str]:
        """Return what stays; `wanted` is what builds counted on since the plan."""
        leased = set(map(str, tuple(wanted)))  # a tuple, as threads add to it
        if spare_pulls:
            leased.update(map(str, self._blobs.leases.current()))
        return leased

    async def _carry_out(
        self,
        plan: Eviction,
        numbering: Numbering,
        wanted: Collection[Digest],
        *,
        spare_pulls: bool,
    ) -> tuple[Evicted, bool]:
        """Go as far as the plan holds; tell whether that was to its end."""
        freed = manifests = blobs = 0
        names: list[Name] = []
        is_complete = True
        for batch in batches(plan.steps, _BATCH):
            gone = numbering.digests(
                step.manifest for step in batch if step.manifest is not None
            )
            discarded = numbering.digests(
                number for step in batch for number in step.blobs
            )
            leased = self._leased(wanted, spare_pulls=spare_pulls)
            if not leased.isdisjoint((*gone, *discarded)):
                is_complete = False
                break
            ended, count, size = await self._discarding.discard(
                gone, discarded, unneeded=True
            )
            manifests += len(gone)
            blobs += count
            names += ended
            freed += size
            if self.total is not None:  # others may have added to it since the plan
                self.total -= size
        left = plan.freed + plan.left - freed
        return Evicted(freed, left, manifests, blobs, tuple(names)), is_complete

    def grow(self, size: int) -> None:
        """Count bytes that were added, or taken away."""
        self._added += max(size, 0)
        if self.total is not None:
            self.total += size
            self._grown.set()
