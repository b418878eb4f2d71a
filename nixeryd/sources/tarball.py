"""A channel, a commit of nixpkgs, or any tarball with a package set.

A tag names another channel, or a commit that a branch or tag of nixpkgs contains:
GitHub gives the archive of any commit that is in a fork or a pull request, too. What
only a tag names is evaluated restricted.

Nix fetches it, so that it is in the store, and Nix's cache and its time to live
(`tarball-ttl`, an hour) apply. Its path there says what is in it, which makes it
the fingerprint; a GC root keeps the last one.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from nixeryd.git.command import GitFailed
from nixeryd.git.remote import Remote
from nixeryd.git.repository import NoSuchRef, is_commit
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.nix import messages
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.options import Options
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.reads import Reads
from nixeryd.sources.deferred import Deferred
from nixeryd.sources.source import Searchable, State
from nixeryd.sources.vouched import evaluate_vouched

CHANNELS = "https://channels.nixos.org/{}/nixexprs.tar.xz"
NIXPKGS = "https://github.com/NixOS/nixpkgs"
COMMITS = NIXPKGS + "/archive/{}.tar.gz"
FRESH = 300.0  # seconds until Nix is asked again
_COMMIT = re.compile(r"[0-9a-f]{40}")
# https://channels.nixos.org lists them: nixos-25.05-small, nixpkgs-25.05-darwin.
_CHANNEL = re.compile(r"(?:nixos|nixpkgs)-[a-z0-9]+(?:[.-][a-z0-9]+)*")
_FETCH = "{ url }: builtins.fetchTarball url"


def tarball_url(channel: str) -> str:
    """Say where a channel is: by its name, a commit, or a URL."""
    if "://" in channel:
        return channel
    return (COMMITS if _COMMIT.fullmatch(channel) else CHANNELS).format(channel)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package set in the store; `called` is its name in messages."""

    name: str
    path: Path
    called: str = field(compare=False)
    is_configured: bool = True
    options: Options = field(default_factory=Options)

    async def ready(self) -> "Unpacked":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str:
        """Return the store path, which says what is in it, and the options."""
        return self.options.mark(str(self.path))

    async def state(self) -> State:
        """Return the store path, which never changes."""
        return State(await self.fingerprint(), 0)

    async def revision(self) -> str | None:
        """Return the commit that the tarball was made of, if it says so."""
        try:
            text = await trio.Path(self.path, ".git-revision").read_text()
        except (OSError, UnicodeDecodeError):
            return None
        return text.strip() or None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Return it as it is in the store."""
        await trio.lowlevel.checkpoint()
        only = None if self.is_configured else self.path
        yield PackageSet(self.path, label=self.called, only=only, options=self.options)

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate it from the store."""
        async with self.open() as found:
            to_trust = None if self.is_configured else "configure it as a source"
            return await evaluate_vouched(nix, found, image, to_trust, reads)


@dataclass(slots=True, eq=False)
class Channel:
    """A configured channel; `root` is where its GC root goes."""

    name: str
    channel: str
    nix: Nix
    root: Path
    nixpkgs: Remote
    options: Options = field(default_factory=Options)
    _known: dict[str, tuple[float, Path]] = field(default_factory=dict)
    _lock: trio.Lock = field(default_factory=trio.Lock)

    @property
    def place(self) -> str:
        """Its name or URL."""
        return self.channel

    @property
    def watch(self) -> str:
        """How changes are noticed."""
        return "it is looked up every few minutes"

    async def now(self) -> Searchable:
        """Return the channel as Nix has it, or a promise to fetch it."""
        return await self._get(self.channel)

    async def at(self, ref: str) -> Searchable:
        """Return another channel or commit; of a URL there is no other."""
        if "://" in self.channel:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no tag {ref!r}: the source {self.name} is {self.channel},"
                " which has no refs",
            )
        if not (is_commit(ref) or _CHANNEL.fullmatch(ref)):
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no channel {ref!r}: they are called like nixos-unstable. For"
                f' branches of nixpkgs configure a source with git = "{NIXPKGS}"',
            )
        return await self._get(ref)

    async def revision(self) -> str | None:
        """Return the commit, if it was fetched."""
        known = self._known.get(self.channel)
        if known is None:
            return None
        return await Unpacked(self.name, known[1], self.channel).revision()

    async def _get(self, channel: str) -> Searchable:
        known = await self._fresh(channel)
        return known or Deferred(self.name, channel, partial(self._renew, channel))

    async def _fresh(self, channel: str) -> Unpacked | None:
        since, path = self._known.get(channel, (float("-inf"), Path("/")))
        # Only the configured one is rooted: others may be collected.
        is_fresh = trio.current_time() - since < FRESH
        if not (is_fresh and await trio.Path(path).exists()):
            return None
        return self._unpacked(channel, path)

    def _unpacked(self, channel: str, path: Path) -> Unpacked:
        called = f"{self.name} ({channel})"
        is_configured = channel == self.channel
        return Unpacked(self.name, path, called, is_configured, self.options)

    async def _renew(self, channel: str) -> Unpacked:
        place = channel
        if channel != self.channel and is_commit(channel):
            # This may fetch a history, and others need not wait for it.
            place = await self._prove(channel)
        async with self._lock:
            if known := await self._fresh(channel):
                return known
            path = await self._fetch(channel, tarball_url(place))
            self._known[channel] = (trio.current_time(), path)
        return self._unpacked(channel, path)

    async def _prove(self, commit: str) -> str:
        """Return all digits of a commit, if it is one of nixpkgs itself."""
        try:
            return await self.nixpkgs.prove(commit)
        except NoSuchRef as error:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
        except GitFailed as error:
            message = f"the source {self.name}: {error}"
            raise RegistryError(ErrorCode.DENIED, message) from error

    async def _fetch(self, channel: str, url: str) -> Path:
        limits = self.nix.limits
        with trio.move_on_after(limits.patience):
            return await self._download(channel, url)
        raise RegistryError(
            ErrorCode.DENIED,
            f"the source {self.name}: {url} takes more than {limits.fetching} s; if it"
            " is that large, raise nix.fetch_timeout",
        )

    async def _download(self, channel: str, url: str) -> Path:
        ask = ["nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode"]
        try:
            said = await self.nix.run([*ask, "--expr", _FETCH, "--argstr", "url", url])
            path: str = json.loads(said)
            if channel == self.channel:
                keep = ["--add-root", str(self.root), "--indirect"]
                await self.nix.run(["nix-store", "--realise", path, *keep])
        except NixFailed as error:
            told = messages.error_message(error.stderr)
            code = ErrorCode.DENIED if channel == self.channel else None
            raise RegistryError(
                code or ErrorCode.MANIFEST_UNKNOWN,
                f"the source {self.name}: {url} cannot be had: {told}",
            ) from error
        return Path(path)
