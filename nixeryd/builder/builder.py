"""The builder: answers for Nix images, one build per image at a time.

A build belongs to the daemon's nursery. Whoever asks while it runs waits for
it; who leaves, cancels nothing. A failure is remembered for a minute, because
clients ask twice (HEAD, then GET) and mean one build.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from nixeryd.builder import progress as events
from nixeryd.builder.build import Build, Workshop
from nixeryd.builder.buildlog import BuildLog
from nixeryd.builder.progress import Event, Progress
from nixeryd.builder.sources import Source, Sources
from nixeryd.flight import Flight, Flights
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.images.names import ImageName, NamePolicy, parse_image
from nixeryd.images.served import BlobFile, Manifest
from nixeryd.store.blobs import Blobs
from nixeryd.store.index import Index

REMEMBERED = 60.0  # seconds that a failure is

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Job:
    """What is built: an image, whatever the order of its name, and a tag."""

    image: str
    tag: str


@dataclass(slots=True)
class Run:
    """A build that runs now; `since` is in seconds on trio's clock."""

    image: ImageName
    tag: str
    source: Source
    since: float
    progress: Progress


class Builder:
    """Answers for the images that Nix makes."""

    def __init__(  # noqa: PLR0913  the composition root wires it once
        self,
        workshop: Workshop,
        sources: Sources,
        policy: NamePolicy,
        *,
        blobs: Blobs,
        index: Index,
        logs: Path,
        nursery: trio.Nursery,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._workshop = workshop
        self._sources = sources
        self._policy = policy
        self._blobs = blobs
        self._index = index
        self._logs = logs
        self._now = now
        self._flights: Flights[_Job, Build] = Flights(nursery)
        self._runs: dict[_Job, Run] = {}
        self._failures: dict[_Job, tuple[float, RegistryError]] = {}

    async def manifest(
        self, repository: tuple[str, ...], reference: Digest | str
    ) -> Manifest:
        """Give a manifest; by tag it is built if need be. Raises `RegistryError`."""
        if isinstance(reference, Digest):
            return self._stored(reference)
        image = parse_image(repository, self._policy)
        job = _Job(image.key, reference)
        self._raise_remembered(job)
        build = await self._start(job, image).wait()
        return self._stored(build.manifest.digest)

    @contextmanager
    def pull(
        self, repository: tuple[str, ...], tag: str
    ) -> Iterator[trio.MemoryReceiveChannel[Event]]:
        """Build an image into the cache, or join its build, and hear how it goes.

        The last event is `Done` or `Failed`. A failure that is remembered does
        not count: a person who asks again wants it tried again.
        """
        image = parse_image(repository, self._policy)
        job = _Job(image.key, tag)
        self._start(job, image)
        with self._runs[job].progress.follow() as channel:
            yield channel

    def blob(self, digest: Digest) -> BlobFile:
        """Give the place of a blob that a build made; BLOB_UNKNOWN if none did."""
        size = self._blobs.size(digest)
        if size is None:
            raise RegistryError(
                ErrorCode.BLOB_UNKNOWN,
                f"there is no blob {digest} here; pull its image by tag to make it",
            )
        return BlobFile(self._blobs.path(digest), size, digest)

    def tags(self, repository: tuple[str, ...]) -> list[str]:
        """List the tags built so far; NAME_UNKNOWN if there are none."""
        image = parse_image(repository, self._policy)
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

    def _stored(self, digest: Digest) -> Manifest:
        known = self._index.manifest(digest)
        body = self._blobs.read(digest)
        if known is None or body is None:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no manifest {digest} here; pull its image by tag to make it",
            )
        return Manifest(body, digest, known.media_type)

    def _start(self, job: _Job, image: ImageName) -> Flight[Build]:
        source = self._sources.of_tag(job.tag)
        if job not in self._runs:
            self._runs[job] = Run(
                image, job.tag, source, trio.current_time(), Progress()
            )
        return self._flights.start(job, partial(self._build, job))

    def _raise_remembered(self, job: _Job) -> None:
        until, error = self._failures.get(job, (0.0, None))
        if error is not None and trio.current_time() < until:
            raise error
        self._failures.pop(job, None)

    def _remember(self, job: _Job, error: RegistryError) -> None:
        now = trio.current_time()
        # Swept here, so that names nobody asks for again do not pile up.
        self._failures = {
            other: failure
            for other, failure in self._failures.items()
            if now < failure[0]
        }
        self._failures[job] = (now + REMEMBERED, error)

    async def _build(self, job: _Job) -> Build:
        run = self._runs[job]
        try:
            with BuildLog.of_image(self._logs, run.image.repository) as build_log:
                return await self._logged(job, run, build_log)
        finally:
            del self._runs[job]
            run.progress.close()

    async def _logged(self, job: _Job, run: Run, build_log: BuildLog) -> Build:
        name = run.image.repository
        bound = log.bind(image=name, tag=run.tag, source=run.source.name)

        def note(event: Event) -> None:
            if isinstance(event, events.LogLine):
                build_log.write(event.line)
                bound.info("nix", line=event.line)

        run.progress.listen(note)
        try:
            build = await self._workshop.build(run.image, run.source, run.progress)
        except NixerydError as error:
            told = _as_registry_error(error, build_log)
            self._remember(job, told)
            build_log.write(told.message)
            bound.warning("build failed", error=told.message)
            run.progress.tell(events.Failed(message=told.message))
            raise told from error
        self._failures.pop(job, None)
        digest = build.manifest.digest
        self._index.set_tag(job.image, run.tag, name, digest, self._now())
        bound.info(
            "built",
            digest=str(digest),
            cached=build.cached,
            seconds=round(trio.current_time() - run.since, 3),
        )
        run.progress.tell(
            events.Done(
                repository=name,
                digest=str(digest),
                size=build.manifest.size,
                cached=build.cached,
            )
        )
        return build


def _as_registry_error(error: NixerydError, build_log: BuildLog) -> RegistryError:
    """Say it as clients show it: 403 DENIED is what most of them print."""
    if isinstance(error, RegistryError):
        if error.code is not ErrorCode.DENIED:
            return error
        message = error.message
    else:
        message = str(error)
    return RegistryError(ErrorCode.DENIED, f"{message}\nLog: {build_log.path}")
