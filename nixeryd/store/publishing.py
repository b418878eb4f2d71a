"""Publishing: the one way a blob comes, and the one way it goes.

The law: what the index names is there, whole, at any moment and after any crash.

- `publish` makes the file safe under its digest, and then writes the rows that name it.
- `withdraw` removes the rows, for good, and then the file.

A digest is locked from before its file is there until its rows are. What is being
published stays: it was hashed as it was written, so it is not the damaged or unneeded
blob that somebody decided to withdraw a moment ago. `withdraw` never waits, so between
its rows and its files nobody can look, and nobody can publish either.

No other code writes a row that says a blob is here, or removes a blob's file.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
import trio

from nixeryd.images.digests import Digest
from nixeryd.store.blobs import Blobs

log = structlog.get_logger()

T = TypeVar("T")


async def publish(  # noqa: PLR0913  from the file to its rows
    blobs: Blobs,
    digest: Digest,
    commit: Callable[[], T],
    record: Callable[[], object],
    *,
    kind: str,
    limiter: trio.CapacityLimiter | None = None,
) -> T:
    """Make a blob be here: `commit` its file in a thread, then `record` it.

    `record` writes the rows that name it, and does not wait. `kind` says in the log
    what the blob is. Returns what `commit` returns, and raises what they raise: then
    there are no rows.
    """
    async with blobs.publishing.hold(digest):
        committed = await trio.to_thread.run_sync(commit, limiter=limiter)
        record()
        log.debug("blob published", kind=kind, blob=str(digest))
    return committed


def withdraw(
    blobs: Blobs,
    digests: Iterable[Digest],
    forget: Callable[[Sequence[str]], T],
    *,
    why: str,
) -> tuple[T, list[Path]]:
    """Let blobs go: `forget` their rows, then take their files away.

    `forget` is called once with the digests that go, and must be safe from a power cut
    when it returns. `why` is for the log. Returns what `forget` returned, and the files
    for the caller to unlink.
    """
    free = [digest for digest in digests if digest not in blobs.publishing]
    texts = list(map(str, free))
    log.debug("blobs are withdrawn", why=why, blobs=texts)
    forgotten = forget(texts)
    return forgotten, blobs.discard(free)
