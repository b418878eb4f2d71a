"""Prefetch: all of an image, ahead of time.

Law: a pull runs in the daemon's nursery and goes on when its watcher leaves. It asks
the mirror what a client would ask, so that a client finds everything afterwards. A
watcher that does not keep up loses events, and never the last one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog
import trio

from nixeryd.images.descriptors import (
    DEEPEST,
    Descriptor,
    Image,
    Platform,
    choose_manifest,
    read_descriptors,
)
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import Manifest
from nixeryd.mirror.download import Download
from nixeryd.mirror.mirror import Mirror
from nixeryd.mirror.progress import Blob, Done, Event, Failed, Phase, Warned

log = structlog.get_logger()

# As many as dockerd fetches side by side.
_SIDE_BY_SIDE = 3
_NEWS_EVERY = 0.1  # seconds
_BEHIND = 10_000  # events a watcher may be behind
# The largest indexes that are made have a few dozen, of a few dozen blobs each.
_MOST_MANIFESTS = 1000
_MOST_BLOBS = 10_000

_Tell: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be here: an image for one platform, or (None) for all it has."""

    route: Route
    reference: Digest | str
    platform: Platform | None


class Prefetch:
    """Runs pulls."""

    def __init__(self, mirror: Mirror, nursery: trio.Nursery) -> None:
        self._mirror = mirror
        self._nursery = nursery

    @contextmanager
    def pull(self, wanted: Wanted) -> Iterator[trio.MemoryReceiveChannel[Event]]:
        """Fetch an image, and hear how it goes; the last event is Done or Failed."""
        send, receive = trio.open_memory_channel[Event](_BEHIND)
        self._nursery.start_soon(self._run, wanted, send)
        with receive:
            yield receive

    async def _run(self, wanted: Wanted, send: trio.MemorySendChannel[Event]) -> None:
        def tell(event: Event) -> None:
            # One place is kept for the last event.
            if send.statistics().current_buffer_used < _BEHIND - 1:
                _send(send, event)

        with send:
            try:
                _send(send, await self._fetch(wanted, tell))
            except* NixerydError as group:
                error: BaseException = group
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                _send(send, Failed(message=str(error)))
            except* Exception:
                log.exception("a pull failed", image=str(wanted.route))
                _send(send, Failed(message="a defect of nixeryd: see its log"))

    async def _fetch(self, wanted: Wanted, tell: _Tell) -> Done:
        tell(Phase(phase="resolve"))
        top = await self._mirror.manifest(wanted.route, wanted.reference)
        if top.warning is not None:
            tell(Warned(message=top.warning))
        blobs = await self._blobs_of(wanted, top, set())
        if len(blobs) > _MOST_BLOBS:
            raise _too_much(wanted, f"{_MOST_BLOBS} blobs")
        tell(Phase(phase="fetch"))
        slots = trio.CapacityLimiter(_SIDE_BY_SIDE)
        fetched: list[Digest] = []
        async with trio.open_nursery() as nursery:
            for blob in blobs.values():
                nursery.start_soon(self._blob, wanted, blob, slots, tell, fetched)
        return Done(
            repository=f"{wanted.route.host}/{wanted.route.repository}",
            digest=str(top.digest),
            size=sum(blob.size for blob in blobs.values()),
            cached=not fetched,
        )

    async def _blobs_of(
        self, wanted: Wanted, manifest: Manifest, seen: set[Digest], depth: int = 0
    ) -> dict[Digest, Descriptor]:
        """Fetch the manifests below this one; give the blobs that they name."""
        named = read_descriptors(manifest.body, manifest.media_type)
        if isinstance(named, Image):
            return {blob.digest: blob for blob in named.blobs}
        chosen = named.manifests
        if wanted.platform is not None:
            only = choose_manifest(named, wanted.platform)
            if only is None:
                raise _not_for(wanted, named.manifests)
            chosen = (only,)
        blobs: dict[Digest, Descriptor] = {}
        for child in chosen if depth < DEEPEST else ():
            if child.digest in seen:
                continue
            seen.add(child.digest)
            if len(seen) > _MOST_MANIFESTS:
                raise _too_much(wanted, f"{_MOST_MANIFESTS} manifests")
            below = await self._mirror.manifest(wanted.route, child.digest)
            blobs |= await self._blobs_of(wanted, below, seen, depth + 1)
        return blobs

    async def _blob(
        self,
        wanted: Wanted,
        blob: Descriptor,
        slots: trio.CapacityLimiter,
        tell: _Tell,
        fetched: list[Digest],
    ) -> None:
        say = partial(Blob, digest=str(blob.digest), size=blob.size)
        async with slots:
            download = self._mirror.fetch(wanted.route, blob.digest)
            if download is None:
                tell(say(done=blob.size, cached=True))
                return
            fetched.append(blob.digest)
            while not download.has_ended:
                tell(say(done=download.arrived))
                await _wait(download)
            await download.wait_until_ended()
            tell(say(done=blob.size))


async def _wait(download: Download) -> None:
    with trio.move_on_after(_NEWS_EVERY):
        try:
            await download.wait_until_ended()
        except NixerydError:
            return  # whoever waits next is told


def _send(send: trio.MemorySendChannel[Event], event: Event) -> None:
    try:
        send.send_nowait(event)
    except trio.BrokenResourceError:
        return  # the watcher has left


def _too_much(wanted: Wanted, limit: str) -> NixerydError:
    return NixerydError(
        f"{wanted.route.host}/{wanted.route.repository} names more than {limit}: that"
        " is no image"
    )


def _not_for(wanted: Wanted, manifests: tuple[Descriptor, ...]) -> RegistryError:
    have = ", ".join(str(one.platform) for one in manifests if one.platform)
    return RegistryError(
        ErrorCode.MANIFEST_UNKNOWN,
        f"{wanted.route.repository} is not made for {wanted.platform}, only for:"
        f" {have or 'nothing that is named'}; --all-platforms fetches these",
    )
