"""Damage: what is wrong with a blob, and which images need it.

The one check, for who reads all blobs at once (`verification`) and for who reads one
after another, slowly (`scrubbing`). Bytes that are not the digest's are read again,
from the disk: what was wrong may have been a page in memory. A machine that has no
file descriptors or no memory left says nothing about a blob; it is waited for.
"""

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.runtime.exhaustion import EXHAUSTED
from nixeryd.store.blobs import Blobs
from nixeryd.store.page_cache import drop
from nixeryd.store.recipe import OTHER_CONTENTS, LostContent
from nixeryd.store.snapshot import CacheSnapshot

PATIENCE: Final = 1.0  # seconds until another attempt


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a blob.

    It `is_proven` if all could be read, twice, and has another digest. What
    `is_denied` may be whole, and only may not be read.
    """

    why: str
    is_proven: bool = False
    is_denied: bool = False


async def examine(
    blobs: Blobs,
    digest: Digest,
    step: Callable[[int], object],
    *,
    limiter: trio.CapacityLimiter | None = None,
) -> Damage | None:
    """Read a blob and say what is wrong with it; None also if it is not here.

    `step` is called in the thread that reads, with how many bytes it has read since.
    """
    while True:
        try:
            return await trio.to_thread.run_sync(
                _examine, blobs, digest, step, limiter=limiter
            )
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
        await trio.sleep(PATIENCE)


def _examine(
    blobs: Blobs, digest: Digest, step: Callable[[int], object]
) -> Damage | None:
    began = time.time_ns()
    is_file = blobs.has_file(digest)
    try:
        is_right = _is_right(blobs, digest, step)
        if not is_right and is_file:
            drop(blobs.path(digest))
            is_right = _is_right(blobs, digest, step)
    except FileNotFoundError:
        return None  # evicted in between
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        is_denied = isinstance(error, PermissionError)
        return Damage(f"cannot be read: {error.strerror}", is_denied=is_denied)
    except NixerydError as error:
        blobs.recipes.lose(digest, error)
        return Damage(f"cannot be made: {error}")
    if not is_right:
        if not is_file:
            blobs.recipes.lose(digest, LostContent(OTHER_CONTENTS))
        return Damage("damaged", is_proven=True)
    if not is_file:
        blobs.recipes.seal(digest, began)
    return None


def _is_right(blobs: Blobs, digest: Digest, step: Callable[[int], object]) -> bool:
    hashed = hashlib.sha256()
    for chunk in blobs.chunks(digest):
        hashed.update(chunk)
        step(len(chunk))
    return hashed.hexdigest() == digest.hex


def name_images(
    holdings: CacheSnapshot, broken: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return for each broken blob the names of the images that need it."""
    number = holdings.numbering.number
    needy: dict[int, set[int]] = {number(digest): set() for digest in broken}
    for manifest in holdings.held:
        for one in needy.keys() & {manifest.number, *manifest.needs}:
            needy[one].add(manifest.number)
    return {digest: _names(holdings, needy[number(digest)]) for digest in broken}


def _names(holdings: CacheSnapshot, manifests: set[int]) -> tuple[str, ...]:
    """Name the images of manifests, and of indexes that name them."""
    number = holdings.numbering.number
    above = {
        index.number for index in holdings.held if not manifests.isdisjoint(index.needs)
    }
    return tuple(
        sorted(
            str(name)
            for name in holdings.names
            if number(str(name.manifest)) in above | manifests
        )
    )
