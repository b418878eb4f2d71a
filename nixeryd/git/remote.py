"""A repository elsewhere: its refs are looked up, and single commits fetched.

Into a bare repository of ours, without history: of nixpkgs some 50 MB a commit,
less if near ones are there. Refs are asked for at most once in `FRESH` seconds;
without a network, what was fetched last is what there is.

The law: no commit is fetched but what a ref means, what the configuration names, or
what was found in the history of a branch or tag (`history`). What is kept below
`refs/proven/` is such a commit, and stays good for as long as it is kept.
"""

import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from nixeryd.git.command import GitFailed, git
from nixeryd.git.history import History
from nixeryd.git.lastseen import LastSeen
from nixeryd.git.lsremote import choose, ls_remote
from nixeryd.git.repository import (
    OWN,
    NoSuchRef,
    Repository,
    is_commit,
)
from nixeryd.runtime.offline import Offline

FRESH = 300.0  # seconds that a look at the refs is good for
_OURS = "refs/proven/"
_BEFORE = "refs/nixeryd/"  # of versions that proved nothing
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A connection that gives less than 1 kB/s for half a minute is dead.
_LIVELY = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")
# Fetching sweeps now and then; what nobody means any more goes in one piece.
_SWEEPING = ("-c", "gc.pruneExpire=1.day", "-c", "gc.cruftPacks=true")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Remote:
    """The repository at a URL, and ours at `directory` for what we have of it.

    `configured` is the ref that the configuration names, "" for HEAD; `more` are
    patterns of refs that may be named beside branches and tags. Fetching takes
    `patience` seconds at most.
    """

    url: str
    directory: Path
    offline: Offline
    configured: str = ""
    more: tuple[str, ...] = ()
    patience: Callable[[], float] = lambda: float("inf")
    _refs: dict[str, str] = field(default_factory=dict)
    _looked: float = float("-inf")
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _history: History = field(init=False)
    _last_seen: LastSeen = field(init=False)
    on_change: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        """Keep the history beside the files."""
        place = self.directory.with_name(f"{self.directory.name}-history")
        self._history = History(self.url, place, self.more)
        self._last_seen = LastSeen(self.directory / "nixeryd")

    async def here(self, ref: str) -> str | None:
        """Return the commit that a ref means, if the network need not be asked.

        "" means HEAD. Raises `NoSuchRef`, `GitFailed`.
        """
        is_known = await trio.Path(self.directory, "HEAD").exists()
        if is_known:
            os.utime(self.directory)
        if is_known and _COMMIT.fullmatch(ref) and await self._keeps(ref):
            return ref
        is_fresh = trio.current_time() - self._looked <= FRESH
        if is_commit(ref) or not (is_fresh or self.offline.on):
            return None
        commit = await self._look_up(ref)
        return commit if is_known and await self._keeps(commit) else None

    async def fetch(self, ref: str) -> str:
        """Return the commit that a ref means; it is in our repository then.

        "" means HEAD. Raises `NoSuchRef`, `GitFailed`.
        """
        async with self._patiently():
            async with self._lock:
                await self._prepare()
                commit = await self._proven(ref)
            if commit is None:  # which may take minutes, and others need not wait
                commit = await self._find(ref)
            async with self._lock:
                if not await self._keeps(commit):
                    await self._fetch(commit)
                    self.on_change()
                os.utime(self.directory)  # how long it has been unused
        return commit

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        patience = self.patience()  # it may be set anew
        with trio.move_on_after(patience) as scope:
            await trio.lowlevel.checkpoint()
            yield
        if scope.cancelled_caught:
            raise GitFailed(
                f"{self.url} takes more than {patience:.0f} s to be fetched; if"
                " that is how large it is, raise nix.fetch_timeout"
            )

    async def _proven(self, ref: str) -> str | None:
        """Return the commit that a ref means, or digits if no history need be asked.

        What the configuration names needs no proof.
        """
        if not is_commit(ref) or await self._is_ref(ref):
            return await self._look_up(ref)
        if _COMMIT.fullmatch(ref) and (
            ref == self.configured
            or ref in self._refs.values()
            or await self._keeps(ref)
        ):
            return ref
        return None

    async def _find(self, ref: str) -> str:
        """Return the commit that digits begin, if a branch or tag contains it."""
        if not self.offline.on:
            await self._history.update(self._refs)
        try:
            return await self._history.find(ref)
        except NoSuchRef as error:
            if self.offline.on:
                raise self._never_fetched(ref) from error
            raise

    async def _is_ref(self, ref: str) -> bool:
        """Look at the refs; tell whether one of them is called like a commit."""
        if not self.offline.on and trio.current_time() - self._looked > FRESH:
            try:
                await self._look()
            except GitFailed as error:
                log.warning("git source out of reach", url=self.url, error=str(error))
        return any(f"{kind}{ref}" in self._refs for kind in OWN)

    async def prove(self, commit: str) -> str:
        """Return all digits of a commit that a branch or tag contains; fetch no files.

        Raises `NoSuchRef`, `GitFailed`.
        """
        async with self._patiently():
            async with self._lock:
                await self._prepare()
                proven = await self._proven(commit)
            return proven or await self._find(commit)

    async def known(self, ref: str) -> str | None:
        """Return the commit that a ref meant when it was last asked for."""
        if not await trio.Path(self.directory).exists():
            return None
        return await self._last_seen.read(ref)

    @property
    def places(self) -> tuple[Path, ...]:
        """The directories that this is kept in."""
        return self.directory, self._history.directory

    async def drop(self, place: Path) -> bool:
        """Remove one of the `places`, unless it is being used; tell whether."""
        if place == self._history.directory:
            return await self._history.drop()
        if self._lock.locked():
            return False
        async with self._lock:
            await trio.to_thread.run_sync(shutil.rmtree, place, True)  # noqa: FBT003
        return True

    @property
    def repository(self) -> Repository:
        """Our repository, of what was fetched."""
        name = self.url.rstrip("/").rpartition("/")[2].removesuffix(".git")
        return Repository(
            directory=self.directory,
            git_dir=self.directory,
            objects=self.directory / "objects",
            object_format="sha1",
            top=self.directory,
            inside="",
            name=re.sub(r"[^A-Za-z0-9+._?=-]", "-", name).lstrip(".-") or "source",
            is_bare=True,
            is_shallow=False,
        )

    async def _prepare(self) -> None:
        if not await trio.Path(self.directory, "HEAD").exists():
            await trio.Path(self.directory).mkdir(parents=True, exist_ok=True)
            await git(self.directory, "init", "--quiet", "--bare", "--template=")

    async def _look_up(self, ref: str) -> str:
        """Say what the ref is there now, or was when we last could see it."""
        if self.offline.on:
            return await self._last(ref, self.offline.why)
        if trio.current_time() - self._looked > FRESH:
            try:
                await self._look()
            except GitFailed as error:
                log.warning("git source out of reach", url=self.url, error=str(error))
                return await self._last(ref, str(error))
        commit = choose(self.url, ref, self._refs)
        await self._last_seen.write(ref, commit)
        return commit

    async def _look(self) -> None:
        self._refs = await ls_remote(self.directory, self.url, self.more)
        self._looked = trio.current_time()

    async def _last(self, ref: str, why: str) -> str:
        commit = await self._last_seen.read(ref)
        if commit is None:
            raise GitFailed(
                f"{self.url} cannot be asked ({why}), and {ref or 'HEAD'} of it was"
                " never fetched"
            )
        return commit

    async def _keeps(self, commit: str) -> bool:
        """Return whether the commit is here, under a name that keeps it here."""
        ref = f"{_OURS}{commit}"
        try:
            await git(self.directory, "rev-parse", "--verify", "--quiet", ref)
        except GitFailed:
            return False
        return True

    async def _fetch(self, commit: str) -> None:
        try:  # it was proven, and may be here: given up, but not swept yet
            await git(self.directory, "update-ref", f"{_OURS}{commit}", commit)
        except GitFailed:
            pass
        else:
            return
        if self.offline.on:
            raise self._never_fetched(commit)
        log.info("fetching", url=self.url, commit=commit)
        where = ["--depth=1", "--no-tags", "--quiet", "--", self.url]
        try:
            # Under a name of its own, or git would sweep it as nobody's.
            what = f"+{commit}:{_OURS}{commit}"
            fetch = (*_LIVELY, *_SWEEPING, "fetch", *where, what)
            await git(self.directory, *fetch, network=True)
        except GitFailed as error:
            if "not our ref" in str(error):
                raise NoSuchRef(f"{self.url} has no commit {commit}") from error
            raise
        await self._forget_others(commit)

    def _never_fetched(self, commit: str) -> GitFailed:
        return GitFailed(
            f"offline ({self.offline.why}): the commit {commit[:12]} of {self.url} was"
            " never fetched"
        )

    async def _forget_others(self, commit: str) -> None:
        """Leave to git's own sweeping what was fetched before and no ref means.

        What is built from it just now is there for a day yet (`gc.pruneExpire`).
        """
        remembered = await self._last_seen.all()
        kept = {f"{_OURS}{name}" for name in (commit, *remembered)}
        listed = ("for-each-ref", "--format=%(refname)", _OURS, _BEFORE)
        ours = await git(self.directory, *listed)
        for ref in {*ours.split()} - kept:
            await git(self.directory, "update-ref", "-d", ref)
