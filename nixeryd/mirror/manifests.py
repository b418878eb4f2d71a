"""Manifests of upstreams: kept for ever by digest, checked now and then by tag.

Law: `images.freshness` decides; here it is carried out. What is stored are the bytes
that the upstream sent, whatever a client said it accepts, and their type is what the
bytes state, or what that very upstream said. One check of a tag at a time, for all who
ask; who has a stored copy to fall back on does not wait for long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from nixeryd.images.descriptors import Image, read_descriptors, stated_type
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.freshness import (
    Answer,
    Confirmed,
    Current,
    Entry,
    Failed,
    Fetch,
    Gone,
    Miss,
    Serve,
    Unavailable,
    after,
    decide,
    decide_by_digest,
)
from nixeryd.images.served_manifests import Manifest
from nixeryd.mirror.errors import denied, is_missing, refusal, unavailable
from nixeryd.runtime.flight import Flights
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.store.publishing import publish
from nixeryd.upstream import FetchedManifest, Upstream, UpstreamError, answer_of

log = structlog.get_logger()

PATIENCE = 3.0
"""Seconds that a check may take when there is a stored copy."""
LONG_PATIENCE = 20.0
"""Seconds that it may take otherwise: some clients give up after 30."""
REMEMBERED = 5.0
"""Seconds that a failed check is: clients ask twice, and a pull asks for much."""


@dataclass(frozen=True, slots=True)
class _Question:
    place: UpstreamRepository
    reference: Digest | str

    def __str__(self) -> str:
        by_digest = isinstance(self.reference, Digest)
        return f"{self.place}{'@' if by_digest else ':'}{self.reference}"


class Manifests:
    """Gives manifests of upstreams, from the store where that is right."""

    def __init__(  # noqa: PLR0913  wired once
        self,
        blobs: Blobs,
        index: Index,
        nursery: trio.Nursery,
        *,
        ttl: float,
        is_offline: Callable[[str], bool],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self.ttl = ttl  # seconds
        self._is_offline = is_offline
        self._now = now
        self._flights: Flights[_Question, Manifest] = Flights(nursery)
        self._failures: dict[_Question, tuple[float, Failed]] = {}

    async def get(
        self, upstream: Upstream, place: UpstreamRepository, reference: Digest | str
    ) -> Manifest:
        """Return a manifest, from the upstream if need be.

        Raises MANIFEST_UNKNOWN (404), or DENIED for what cannot be had now.
        """
        question = _Question(place, reference)
        if isinstance(reference, Digest):
            return await self._by_digest(upstream, question, reference)
        entry = self._entry(place, reference)
        match decide(
            entry, self._now(), self.ttl, offline=self._is_offline(upstream.name)
        ):
            case Serve() as served:
                return self._serve(question, served)
            case Miss(reason):
                raise _unknown(question, reason)
            case Unavailable(reason):
                raise unavailable(question, question.reference, reason)
            case _:
                return await self._checked(upstream, question, entry)

    def forget_failures(self) -> None:
        """Ask again what failed a moment ago: the network may be back."""
        self._failures.clear()

    async def _by_digest(
        self, upstream: Upstream, question: _Question, digest: Digest
    ) -> Manifest:
        stored = self._stored(question.place, digest)
        offline = self._is_offline(upstream.name)
        match decide_by_digest(digest, stored=stored is not None, offline=offline):
            case Unavailable(reason):
                raise denied(question, reason)
            case Serve() if stored is not None:
                return stored
            case _:
                flight = self._flights.start(
                    question, partial(self._fetch_by_digest, upstream, question, digest)
                )
                with trio.move_on_after(LONG_PATIENCE):
                    return await flight.wait()
                raise denied(question, f"{upstream.name} did not answer in time")

    async def _fetch_by_digest(
        self, upstream: Upstream, question: _Question, digest: Digest
    ) -> Manifest:
        try:
            fetched = await upstream.get_manifest(question.place.repository, digest)
            await self._keep(question.place, fetched)
        except NixerydError as error:
            _log(question, error)
            raise refusal(question, error, ErrorCode.MANIFEST_UNKNOWN) from error
        return Manifest(fetched.body, digest, fetched.media_type)

    async def _checked(
        self, upstream: Upstream, question: _Question, entry: Entry | None
    ) -> Manifest:
        """Return the manifest of a tag that has to be checked, or fetched."""
        until, failed = self._failures.get(question, (0.0, None))
        if failed is not None and trio.current_time() < until:
            return self._fall_back(question, entry, failed)
        flight = self._flights.start(
            question, partial(self._check, upstream, question, entry)
        )
        seconds = LONG_PATIENCE if entry is None or entry.gone else PATIENCE
        with trio.move_on_after(seconds):
            return await flight.wait()
        failed = Failed(f"{upstream.name} did not answer within {seconds:g} s")
        log.warning("upstream is slow", image=str(question), error=failed.reason)
        self._remember(question, failed)
        return self._fall_back(question, entry, failed)

    async def _check(
        self, upstream: Upstream, question: _Question, entry: Entry | None
    ) -> Manifest:
        try:
            digest = await self._ask(upstream, question, entry)
        except NixerydError as error:
            _log(question, error)
            answer = (
                answer_of(error)
                if isinstance(error, UpstreamError)
                else Failed(str(error))
            )
            if isinstance(answer, Failed) and not error.is_transient:
                self._remember(question, answer)
            return self._fall_back(question, entry, answer)
        self._failures.pop(question, None)
        return self._confirm(question, Entry(digest, self._now()))

    async def _ask(
        self, upstream: Upstream, question: _Question, entry: Entry | None
    ) -> Digest:
        """Ask what a tag is at; then that is in the store. Raises `NixerydError`."""
        place, tag = question.place, question.reference
        # What is stored is what is left if the upstream fails, or all if it confirms.
        with self._blobs.leases.open() as lease:
            if entry is not None and not entry.gone:
                lease.add(entry.digest)
                digest = (await upstream.head_manifest(place.repository, tag)).digest
                stored = None if digest is None else self._stored(place, digest)
                if stored is not None:
                    outcome = after(entry, Current(stored.digest), self._now())
                    if not isinstance(outcome, Confirmed):
                        # Moved to where it was before, or where another tag is.
                        self._index.mirrored.add_manifest(
                            place, stored.digest, stored.media_type
                        )
                    return stored.digest
            fetched = await upstream.get_manifest(place.repository, tag)
            await self._keep(place, fetched)
            return fetched.digest

    async def _keep(self, place: UpstreamRepository, fetched: FetchedManifest) -> None:
        """Store a manifest as it came; nothing if its parts cannot be read."""
        named = read_descriptors(fetched.body, fetched.media_type)
        parts = named.blobs if isinstance(named, Image) else named.manifests
        manifest = StoredManifest(
            digest=fetched.digest,
            media_type=fetched.media_type,
            blobs=tuple(part.digest for part in parts),
            size=sum(part.size for part in parts),
        )
        # It may be here without a row, and so in a plan of what goes.
        with self._blobs.leases.open() as lease:
            # Also what it names, before it does (`store.numbers`).
            for digest in (fetched.digest, *manifest.blobs):
                lease.add(digest)
            await publish(
                self._blobs,
                fetched.digest,
                partial(self._blobs.put, fetched.body),
                partial(self._index.add_mirrored, place, manifest, len(fetched.body)),
                kind="mirrored manifest",
            )

    def _fall_back(
        self, question: _Question, entry: Entry | None, answer: Answer
    ) -> Manifest:
        """Do what follows from an answer that is no manifest."""
        match after(entry, answer, self._now()):
            case Serve() as served:
                return self._serve(question, served)
            case Gone(left, reason):
                if left is not None:
                    self._set_tag(question, left)
                raise _unknown(question, reason)
            case Unavailable(reason):
                raise unavailable(question, question.reference, reason)
            case Confirmed() | Fetch():  # of an answer that names a digest
                raise denied(question, "the upstream did not answer")

    def _confirm(self, question: _Question, entry: Entry) -> Manifest:
        self._set_tag(question, entry)
        return self._serve(question, Serve(entry.digest, age=0))

    def _set_tag(self, question: _Question, entry: Entry) -> None:
        try:
            self._index.mirrored.set_tag(question.place, str(question.reference), entry)
        except NixerydError as error:  # it is as good as before, and checked again
            log.warning("a tag cannot be noted", image=str(question), error=str(error))

    def _serve(self, question: _Question, served: Serve) -> Manifest:
        stored = self._stored(question.place, served.digest)
        if stored is None:
            raise denied(question, "its manifest was removed a moment ago; ask again")
        return Manifest(
            stored.body, stored.digest, stored.media_type, served.age, served.warning
        )

    def _entry(self, place: UpstreamRepository, tag: str) -> Entry | None:
        """Find what is known of a tag, unless its manifest is here no more."""
        entry = self._index.mirrored.tag(place, tag)
        if entry is None or self._stored(place, entry.digest) is None:
            return None
        return entry

    def _stored(self, place: UpstreamRepository, digest: Digest) -> Manifest | None:
        """Find what may be served as this place's."""
        known = self._index.manifest(digest)
        body = None if known is None else self._blobs.read(digest)
        if body is None:
            return None
        # Bytes that state their type are the same manifest wherever they are from.
        media_type = self._index.mirrored.media_type(place, digest) or stated_type(body)
        return None if media_type is None else Manifest(body, digest, media_type)

    def _remember(self, question: _Question, failed: Failed) -> None:
        now = trio.current_time()
        # Swept here, so that names nobody asks for again do not pile up.
        self._failures = {
            other: failure
            for other, failure in self._failures.items()
            if now < failure[0]
        }
        self._failures[question] = (now + REMEMBERED, failed)


def _unknown(question: _Question, reason: str) -> RegistryError:
    return RegistryError(ErrorCode.MANIFEST_UNKNOWN, f"{question}: {reason}")


def _log(question: _Question, error: NixerydError) -> None:
    tell = log.info if is_missing(error) else log.warning
    tell("upstream gave no manifest", image=str(question), error=str(error))
