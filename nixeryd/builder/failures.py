"""Failures, remembered for a while: clients ask twice and mean one build.

HEAD, then GET; podman asks four times, containerd five (`docs` of each say so
nowhere; it was watched). What failed stays failed for the state of the source that it
was known in, or for the derivations that it was about, so an edit is always tried.
"""

from collections.abc import Hashable

import trio

from nixeryd.images.errors import RegistryError
from nixeryd.sources.fingerprint.outside import Outside

_NOTHING = Outside()
MOST = 1000  # failures; the first that were remembered go first


class RememberedFailure(RegistryError):  # noqa: N818  what happened, not what it is
    """What failed not long ago."""


class Failures:
    """Errors by what failed. Times are in seconds on trio's clock."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, tuple[float, RegistryError, Outside]] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def raise_remembered(self, key: Hashable) -> None:
        """Raise what failed, if it did not long ago."""
        found = self._find(key)
        if found is not None:
            # Another one each time: the traceback of one that is raised again and
            # again grows, and its frames hold on to the build that failed.
            error, _ = found
            raise RememberedFailure(error.code, error.message, error.detail)

    def read_for(self, key: Hashable) -> Outside | None:
        """Return what was read outside of the source; None if nothing failed."""
        found = self._find(key)
        return None if found is None else found[1]

    def _find(self, key: Hashable) -> tuple[RegistryError, Outside] | None:
        if key not in self._failures:
            return None
        until, error, read = self._failures[key]
        return (error, read) if trio.current_time() < until else None

    def remember(
        self,
        key: Hashable,
        error: RegistryError,
        seconds: float,
        read: Outside = _NOTHING,
    ) -> None:
        """Remember an error for some seconds, and what was read until it happened."""
        now = trio.current_time()
        # Swept here, so that names nobody asks for again do not pile up.
        self._failures = {
            other: failure
            for other, failure in self._failures.items()
            if now < failure[0]
        }
        while len(self._failures) >= MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (now + seconds, error, read)

    def forget(self, key: Hashable) -> None:
        """Forget an error: it is mended."""
        self._failures.pop(key, None)
