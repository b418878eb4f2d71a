"""Binary caches that fail: which one it was, and what that means.

A cache that is down, slow, lies or lacks half is no fault of the package: the failure
is passing, and what has arrived stays in the store, so the next pull goes on there.

Which cache it was is learned from Nix's activities: paths come from an origin, and
transfers have a URL. A message only has to name one of these.
"""

import re
from urllib.parse import urlsplit

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError

_URL = re.compile(r"[a-z][a-z0-9+]*://[^\s'\",;]+")
_PATH = re.compile(r"/\S+?/[0-9a-z]{32}-[^\s'\",;:]+")
_NAME = re.compile(r"[0-9a-z]{32}[^\s'\"/]*")
_CACHE_INFO = "/nix-cache-info"


class CacheFailed(RegistryError):  # noqa: N818  the interface's name
    """A binary cache did not give what it should: 403, whose message clients show."""

    is_transient = True

    def __init__(self, cache: str, reason: str, *, arrived: int = 0) -> None:
        kept = (
            f"; {arrived} store path{'s have' if arrived > 1 else ' has'} arrived and"
            f" {'are' if arrived > 1 else 'is'} kept"
            if arrived
            else ""
        )
        super().__init__(
            ErrorCode.DENIED,
            f"the binary cache {cache} failed: {reason}\nPull again to go on{kept}. To"
            " build what a cache does not give, set fallback = true in nix.conf",
        )
        self.cache = cache
        self.reason = reason


class TooMuchToBuild(RegistryError):  # noqa: N818  the interface's name
    """More derivations would be built than `nix.build_limit` allows: 403."""

    is_transient = True

    def __init__(self, builds: int, limit: int, why: str = "") -> None:
        number = f"{builds} derivations" if builds > 1 else "one derivation"
        super().__init__(
            ErrorCode.DENIED,
            f"{number} would have to be built, more than nix.build_limit allows"
            f" ({limit}){why}. Pull again when the binary caches have"
            " them, or raise the limit",
        )
        self.builds = builds


class StoreFull(NixerydError):  # noqa: N818  what happened, not what it is
    """The store has no room for what comes from a cache."""

    is_transient = True


class Caches:
    """The caches that one Nix process deals with."""

    def __init__(self) -> None:
        self._origins: dict[str, str] = {}  # of store paths
        self._files: dict[str, str] = {}  # their caches, by the file's name
        self._known: dict[str, None] = {}  # in the order they were first heard of
        self.silent: dict[str, None] = {}  # those that Nix does without

    def comes_from(self, path: str, origin: str) -> None:
        """Note where a store path comes from."""
        self._origins[path] = origin
        self._known.setdefault(origin.rstrip("/"), None)

    def is_asked(self, url: str) -> None:
        """Note a file that is fetched from a cache, not by a builder."""
        cache = cache_of(url)
        self._known.setdefault(cache, None)
        if not url.endswith(_CACHE_INFO):
            self.silent.pop(cache, None)  # it answered when it was asked again
        self._files[url.rpartition("/")[2]] = cache

    def note(self, text: str) -> None:
        """Read a message: a cache that does not say what it is, is left out by Nix."""
        for url in _URL.findall(text):
            if url.endswith(_CACHE_INFO):
                self.silent[cache_of(url)] = None

    def blamed(self, text: str) -> str | None:
        """Find the cache that a message is about."""
        for url in _URL.findall(text):
            found = [cache for cache in self._known if url.startswith(cache)]
            if found:
                return max(found, key=len)
        for path in _PATH.findall(text):
            if path in self._origins:
                return self._origins[path].rstrip("/")
        names = (self._files.get(name) for name in _NAME.findall(text))
        return next(filter(None, names), None)

    @property
    def why_without(self) -> str:
        """Say which caches Nix does without, as the end of a sentence; "" for none."""
        names = ", ".join(self.silent)
        return f", because {names} does not answer" if names else ""

    @property
    def last(self) -> str | None:
        """The one that a path came from last, or was to."""
        return next(reversed(self._origins.values()), None)


def cache_of(url: str) -> str:
    """Take a cache's address out of that of a file in it."""
    for part in ("/nar/", "/log/", "/realisations/"):
        if part in url:
            return url.partition(part)[0]
    head, _, name = url.rpartition("/")
    if name.endswith(".narinfo") or f"/{name}" == _CACHE_INFO:
        return head
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url
