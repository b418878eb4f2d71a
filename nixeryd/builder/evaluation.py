"""Evaluate an image's packages, and tell what that read outside of their source.

Law: what is kept for a state of a source was evaluated in that state, and what was read
outside of it had been left alone since before that. Where this cannot be told, nothing
is kept, and the image is evaluated at each pull.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
import trio

from nixeryd.builder.progress import Progress
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.runtime.nurseries import open_flat_nursery
from nixeryd.sources.fingerprint.outside import (
    JustChangedError,
    OutOfSightError,
    Outside,
    note,
)
from nixeryd.sources.source import Source
from nixeryd.sources.store_path import find_store_paths
from nixeryd.store.origins import Origin

_MANY = 200  # things to look at: a millisecond

log = structlog.get_logger()


class Evaluating(Protocol):
    """Who hears of a build's evaluation."""

    def begin(self, fingerprint: str | None) -> None:
        """Hear the source's fingerprint right before it is evaluated."""

    def end(self, read: Outside | None, wanted: tuple[str, ...]) -> None:
        """Hear what it read outside of its source, None if that may have changed.

        `wanted` are the derivations that it gave; what is raised ends the build.
        """


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an image is to hold, and the state of the world in which that is so.

    Where `fingerprint` or `read` is None it may be another at any time.
    """

    evaluation: Evaluation
    origin: Origin
    fingerprint: str | None
    read: Outside | None


async def evaluate_image(  # noqa: PLR0913, PLR0917  each is a part of the question
    nix: Nix,
    image: ImageName,
    source: Source,
    watched: Collection[str],
    progress: Progress,
    evaluating: Evaluating,
) -> Evaluated:
    """Evaluate the packages of an image; raises `RegistryError`.

    On the paths in `watched` it depends too.
    """
    before = await source.state()
    evaluating.begin(before.fingerprint)
    reads, began = Reads(paths={("tree", path) for path in watched}), time.time_ns()
    wanted: tuple[str, ...] = ()
    try:
        evaluation, origin = await _evaluate(nix, image, source, progress, reads)
        wanted = tuple(package.drv_path for package in evaluation.packages)
    finally:
        with trio.CancelScope(shield=True):
            read = await _note(nix, image, reads, began)
            if before != await source.state():
                read = None
        evaluating.end(read, wanted)
    return Evaluated(evaluation, origin, before.fingerprint, read)


async def holds(read: Outside, nix: Nix) -> bool:
    """Return whether what was read outside of a source is the same still."""
    variables = nix.variables if read.variables else {}
    if read.size > _MANY:  # a thread takes longer than to look at a few
        return await trio.to_thread.run_sync(read.holds, variables)
    return read.holds(variables)


async def _evaluate(
    nix: Nix, image: ImageName, source: Source, progress: Progress, reads: Reads
) -> tuple[Evaluation, Origin]:
    """Evaluate the image's packages, and ask meanwhile which commit they are of."""
    revision: str | None = None

    async def ask() -> None:
        nonlocal revision
        revision = await source.revision()

    async with open_flat_nursery() as nursery:
        nursery.start_soon(ask)
        evaluation = await source.evaluate(
            replace(nix, on_event=progress.tell_nix), image, reads
        )
    if not image.is_store:
        found = await find_store_paths(image.store_paths)
        evaluation = Evaluation(evaluation.packages + found)
    return evaluation, Origin(source.name, revision)


async def _note(nix: Nix, image: ImageName, reads: Reads, began: int) -> Outside | None:
    """Look at what was read outside of the source; None if that cannot be told."""
    try:
        return await trio.to_thread.run_sync(note, reads, began, nix.variables)
    except JustChangedError:
        return None
    except (OutOfSightError, OSError) as error:
        log.info("evaluated at each pull", image=image.title, reason=str(error))
        return None
