"""Failures, remembered for a while: clients ask twice and mean one build.

HEAD, then GET; podman asks four times, containerd five (`docs` of each say so
nowhere; it was watched). What failed for a known state of the source stays
failed for that state only, so an edit is always tried.
"""

from collections.abc import Hashable

import trio

from nixeryd.images.errors import RegistryError

MOST = 1000  # failures; the first that were remembered go first


class Failures:
    """Errors by what failed. Times are in seconds on trio's clock."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, tuple[float, RegistryError]] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def raise_remembered(self, key: Hashable) -> None:
        """Raise what failed, if it did not long ago."""
        until, error = self._failures.get(key, (0.0, None))
        if error is not None and trio.current_time() < until:
            # Another one each time: the traceback of one that is raised again and
            # again grows, and its frames hold on to the build that failed.
            raise RegistryError(error.code, error.message, error.detail)

    def remember(self, key: Hashable, error: RegistryError, seconds: float) -> None:
        """Remember an error for some seconds."""
        now = trio.current_time()
        # Swept here, so that names nobody asks for again do not pile up.
        self._failures = {
            other: failure
            for other, failure in self._failures.items()
            if now < failure[0]
        }
        while len(self._failures) >= MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (now + seconds, error)

    def forget(self, key: Hashable) -> None:
        """Forget an error: it is mended."""
        self._failures.pop(key, None)
