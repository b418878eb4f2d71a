"""The builder: answers for Nix images, one build at a time for all who mean it.

An image whose source did not change since it was built is answered at once,
without a process. A build belongs to the daemon's nursery: whoever asks while it
runs waits for it, who leaves cancels nothing. But no pull gets what was
evaluated before it began if the source has changed since: it joins a build only
if that saw the source as it is now.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog
import trio

from nixeryd.builder import progress as events
from nixeryd.builder.build import Build, ImageBuilder
from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.build_queue import BuildQueue
from nixeryd.builder.build_status import BuildStatus
from nixeryd.builder.buildlog import BuildLog, Echo
from nixeryd.builder.errors import MachineError, as_registry_error, with_hub_hint
from nixeryd.builder.failures import Failures, RememberedFailure
from nixeryd.builder.history import History
from nixeryd.builder.progress import Event, Progress, done
from nixeryd.builder.run import Run
from nixeryd.builder.thin import emulation_warning
from nixeryd.builder.tickets import Tickets
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.names import ImageName, NamePolicy, parse_image
from nixeryd.images.served_manifests import BlobFile, Manifest, Patience, StillBuilding
from nixeryd.nix.realise import BuildFailed
from nixeryd.nix.roots import Roots
from nixeryd.runtime.flight import Flight, Stopping, Waiters
from nixeryd.runtime.metrics import BUILD_SECONDS, BUILDS
from nixeryd.sources.source import Source
from nixeryd.sources.sources import Sources
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index, StoredManifest
from nixeryd.store.origins import Origin, TagBuild
from nixeryd.store.streaming import StreamedBlob

REMEMBERED = 60.0  # seconds, of a failure

log = structlog.get_logger()


class Builder:
    """Answers for the images that Nix makes."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        image_builder: ImageBuilder,
        sources: Sources,
        policy: NamePolicy,
        *,
        blobs: Blobs,
        index: Index,
        logs: Path,
        roots: Roots,
        nursery: trio.Nursery,
        board: BuildMonitor,
        history: History,
        at_once: int = 8,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._workshop = image_builder
        self._sources = sources
        self.policy = policy
        self._blobs = blobs
        self._index = index
        self._logs = logs
        self._roots = roots
        self.board = board
        self.history = history
        self.turns = BuildQueue(at_once)
        self._now = now
        self._nursery = nursery
        self._latest: dict[tuple[str, str], Run] = {}  # by image and tag
        self._runs: dict[int, Run] = {}
        self._failures = Failures()
        self._tickets: Tickets[Build] = Tickets()
        self._waits: set[trio.CancelScope] = set()
        self._is_stopping = False

    async def manifest(
        self,
        repository: tuple[str, ...],
        reference: Digest | str,
        patience: Patience | None = None,
    ) -> Manifest:
        """Return a manifest; by tag it is built if need be.

        Raises `RegistryError`, or `StillBuilding` when `patience` is at its end.
        """
        if isinstance(reference, Digest):
            return self._stored(reference)
        patience = patience or Patience()
        image = parse_image(repository, self.policy)
        owner = (image.key, reference)
        flight = self._tickets.find(patience.ticket, owner)
        if flight is None:
            source = await self._resolve(image, reference)
            fingerprint = await source.fingerprint()
            await self._raise_remembered((*owner, fingerprint))
            known = await self._workshop.recall(image, source, fingerprint)
            if known is not None:
                self._tag(image, reference, known.digest)
                return self._stored(known.digest, known)
            flight = self._flight(image, reference, source, fingerprint, patience.asker)
        with trio.move_on_after(patience.seconds) as scope, self._waiting(scope):
            build = await flight.wait(patience.asker)
            return self._stored(build.manifest.digest)
        if self._is_stopping and patience.is_endless:
            raise Stopping
        raise StillBuilding(self._tickets.issue(flight, owner, patience.ticket))

    @contextmanager
    def _waiting(self, scope: trio.CancelScope) -> Iterator[None]:
        """Let `stop` cancel the scope of a wait."""
        self._waits.add(scope)
        if self._is_stopping:
            scope.cancel()
        try:
            yield
        finally:
            self._waits.discard(scope)

    @asynccontextmanager
    async def pull(
        self,
        repository: tuple[str, ...],
        tag: str,
        asker: str = "",
        *,
        is_fresh: bool = False,
    ) -> AsyncIterator[trio.MemoryReceiveChannel[Event]]:
        """Build an image into the cache, or join its build, and hear how it goes.

        The last event is `Done` or `Failed`. A failure that is remembered does
        not count: a person who asks again wants it tried again. `is_fresh` evaluates
        now, whatever is remembered.
        """
        image = parse_image(repository, self.policy)
        source = await self._resolve(image, tag)
        fingerprint = await source.fingerprint()
        known = (
            None
            if is_fresh
            else await self._workshop.recall(image, source, fingerprint)
        )
        if known is None:
            run = await self._join(
                image, tag, source, None if is_fresh else fingerprint, is_again=True
            )
            progress, waiters = run.progress, run.flight.waiters
        else:
            self._tag(image, tag, known.digest)
            progress, waiters = Progress(), Waiters()
            progress.tell(done(image, known, cached=True))
            progress.close()
        with progress.follow() as channel, waiters.added(asker):
            yield channel

    def blob(self, digest: Digest) -> BlobFile | StreamedBlob:
        """Return the place of a blob that a build made; BLOB_UNKNOWN if none did."""
        found = self._blobs.find(digest)
        if found is None:
            told = f"there is no blob {digest} here; pull its image by tag to make it"
            raise RegistryError(ErrorCode.BLOB_UNKNOWN, told)
        if isinstance(found, BlobFile):
            return found
        return StreamedBlob(self._blobs.recipes, found)

    def tags(self, repository: tuple[str, ...]) -> list[str]:
        """List the tags built so far; NAME_UNKNOWN if there are none."""
        image = parse_image(repository, self.policy)
        tags = self._index.tags(image.key)
        if not tags:
            raise RegistryError(
                ErrorCode.NAME_UNKNOWN,
                f"{image.repository} was not built yet: pull it once",
            )
        return tags

    def runs(self) -> list[Run]:
        """List the builds that run now."""
        return list(self._runs.values())

    def stop(self, *, finish: bool) -> None:
        """Start no more builds and send away who waits for one.

        They are told to come back, which brings them to the next daemon. Builds
        that run end now too, or go on if `finish`; those that wait never begin.
        """
        self._is_stopping = True
        for scope in self._waits:
            scope.cancel()
        for run in self._runs.values():
            if not finish or run.is_queued:
                run.scope.cancel()

    def _stored(self, digest: Digest, known: StoredManifest | None = None) -> Manifest:
        if known is None:
            known = self._index.manifest(digest)
            if known is not None and not all(map(self._blobs.holds, known.blobs)):
                known = None
        body = self._blobs.read(digest)
        if known is None or body is None:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no whole image {digest} here; pull it by tag to make it",
            )
        return Manifest(body, digest, known.media_type)

    def _tag(
        self, image: ImageName, tag: str, digest: Digest, origin: Origin | None = None
    ) -> None:
        """Point a tag at a manifest; `origin` is given for one that was just built."""
        now = self._now()
        try:
            if self._index.tagged(image.key, tag) != digest:
                self._index.set_tag(image.key, tag, image.repository, digest, now)
            if origin is not None:
                built = TagBuild(digest, origin, now)
                self._index.origins.add(image.key, tag, built)
        except NixerydError as error:  # it is served, and tagged the next time
            log.warning("not tagged", image=image.repository, error=str(error))

    async def _raise_remembered(self, key: tuple[str, str, str | None]) -> None:
        """Raise what failed not long ago, if nothing that it read has changed."""
        read = self._failures.read_for(key)
        if read is not None and await self._workshop.holds(read):
            self._failures.raise_remembered(key)

    def _flight(
        self,
        image: ImageName,
        tag: str,
        source: Source,
        fingerprint: str | None,
        asker: str,
    ) -> Flight[Build]:
        """Return what to wait for: a run, or first the one that may be too old."""
        run = self._latest.get((image.key, tag))
        if run is None or not run.may_serve(source, fingerprint):
            return self._start(image, tag, source).flight
        if not run.has_begun:
            return run.flight

        async def join() -> Build:
            joined = await self._join(image, tag, source, fingerprint)
            return await joined.flight.wait(asker)

        flight: Flight[Build] = Flight()
        self._nursery.start_soon(flight.fly, join)
        return flight

    async def _join(
        self,
        image: ImageName,
        tag: str,
        source: Source,
        fingerprint: str | None,
        *,
        is_again: bool = False,
    ) -> Run:
        """Return a run that evaluates what is there now, or did so.

        What one that runs reads outside of its source is known once it has read it.
        If that was left alone since it began, it is what is there now.
        """
        while True:
            run = self._latest.get((image.key, tag))
            if run is None or not run.may_serve(source, fingerprint):
                return self._start(image, tag, source, is_again=is_again)
            if not run.has_begun:
                run.is_again |= is_again
                return run
            await run.evaluated.wait()
            if run.read is not None and await self._workshop.holds(run.read):
                return run
            if self._latest.get((image.key, tag)) is run:
                # No await since: nobody starts the same twice.
                return self._start(image, tag, source, is_again=is_again)

    def _start(
        self, image: ImageName, tag: str, source: Source, *, is_again: bool = False
    ) -> Run:
        if self._is_stopping:
            raise Stopping
        self.turns.check()
        run = Run(image, tag, source, trio.current_time(), is_again=is_again)
        run.on_evaluated = self._check_wanted
        self._latest[image.key, tag] = self._runs[id(run)] = run
        self._nursery.start_soon(self._fly, run)
        self.board.changes.bump()
        return run

    async def _resolve(self, image: ImageName, tag: str) -> Source:
        try:
            return await self._sources.resolve(image, tag)
        except RegistryError as error:
            raise with_hub_hint(error, image, tag) from error

    def _fail(
        self,
        run: Run,
        caught: NixerydError | OSError,
        build_log: BuildLog,
        watched: BuildStatus,
    ) -> RegistryError:
        """Tell of a failure, and keep it; return what clients are told."""
        error = MachineError(caught) if isinstance(caught, OSError) else caught
        told = as_registry_error(error, build_log.path)
        told = with_hub_hint(told, run.image, run.tag)
        if not error.is_transient:
            self._remember(run, told)
        BUILDS.inc("failed")
        run.progress.tell(events.Failed(message=told.message))
        if told.code is ErrorCode.DENIED:  # else only the name was wrong
            build_log.write(told.message)
            drv = error.drv if isinstance(error, BuildFailed) else None
            self.history.add(watched.failure(drv), watched.log_tail())
        return told

    def _remember(self, run: Run, failure: RegistryError) -> None:
        if run.seen is not None and run.read is not None:
            key = (run.image.key, run.tag, run.seen)
            self._failures.remember(key, failure, REMEMBERED, run.read)
        if run.wanted:
            self._failures.remember(run.wanted, failure, REMEMBERED)

    def _check_wanted(self, run: Run) -> None:
        """Raise what failed not long ago of what this run is going to build."""
        if not run.is_again:
            self._failures.raise_remembered(run.wanted)

    async def _fly(self, run: Run) -> None:
        async def build() -> Build:
            try:
                return await self._build(run)
            except OSError as error:
                raise as_registry_error(MachineError(error)) from error

        with run.scope:
            await run.flight.fly(build)

    async def _build(self, run: Run) -> Build:
        waiters = run.flight.waiters
        try:
            async with self.turns.one(waiters), self._roots.of_build() as roots:
                run.is_queued = False
                log_of = BuildLog.of_image(self._logs, run.image.repository)
                with log_of as build_log, self.board.watch(run) as watched:
                    return await self._logged(run, build_log, watched, roots)
        finally:
            run.evaluated.set()
            del self._runs[id(run)]
            owner = (run.image.key, run.tag)
            if self._latest.get(owner) is run:
                del self._latest[owner]
            if run.scope.cancel_called:
                run.progress.tell(events.Failed(message=Stopping().message))
            run.progress.close()

    async def _logged(
        self, run: Run, build_log: BuildLog, watched: BuildStatus, roots: Path
    ) -> Build:
        name = run.image.repository
        bound = log.bind(image=name, tag=run.tag, source=run.source.name)
        echo = Echo(bound.info, build_log.path)

        def note(event: Event) -> None:
            if isinstance(event, events.LogLine):
                build_log.write(event.line)
                echo.add(event.line)

        run.progress.listen(note)
        if warning := emulation_warning(run.image, self.policy.default_system):
            run.progress.tell(events.LogLine(line=warning))
        try:
            build = await self._workshop.build(
                run.image, run.source, run.progress, run, roots
            )
        except RememberedFailure as known:
            build_log.keep()
            run.progress.tell(events.Failed(message=known.message))
            raise
        except (NixerydError, OSError) as caught:
            told = self._fail(run, caught, build_log, watched)
            bound.warning("build failed", error=told.message)
            raise told from caught
        self._failures.forget((run.image.key, run.tag, run.seen))
        self._failures.forget(run.wanted)
        digest = build.manifest.digest
        if self._latest.get((run.image.key, run.tag)) is run:
            self._tag(run.image, run.tag, digest, build.origin)
            if not build.cached:  # nor kept for its manifest: see `builder.build`
                self._roots.keep((run.image.key, run.tag), roots)
        seconds = trio.current_time() - run.since
        if build.cached:
            BUILDS.inc("cached")
        else:
            BUILDS.inc("built")
            BUILD_SECONDS.observe(seconds)
        bound.info(
            "built", digest=str(digest), cached=build.cached, seconds=round(seconds, 3)
        )
        run.progress.tell(done(run.image, build.manifest, cached=build.cached))
        return build
