"""A repository elsewhere: its refs are looked up, and single commits fetched.

Into a bare repository of ours, without history: of nixpkgs some 50 MB a commit,
less if near ones are there. Refs are asked for at most once in `FRESH` seconds;
without a network, what was fetched last is what there is.

The law: no commit is fetched but what a ref means, what the configuration names, or
what was found in the history of a branch or tag (`history`). What is kept below
`refs/proven/` is such a commit, and stays good for as long as it is kept.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import structlog
import trio

from nixeryd.git.command import GitFailed, git
from nixeryd.git.history import History
from nixeryd.git.repository import (
    OWN,
    NoSuchRef,
    Repository,
    as_tag,
    hint_for,
    is_commit,
    refs_of_tag,
)
from nixeryd.offline import Offline

FRESH = 300.0  # seconds that a look at the refs is good for
_PATIENCE = 20.0  # seconds for that look
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

    def __post_init__(self) -> None:
        """Keep the history beside the files."""
        place = self.directory.with_name(f"{self.directory.name}-history")
        self._history = History(self.url, place, self.more)

    async def here(self, ref: str) -> str | None:
        """Return the commit that a ref means, if the network need not be asked.

        "" means HEAD. Raises `NoSuchRef`, `GitFailed`.
        """
        is_known = await trio.Path(self.directory, "HEAD").exists()
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
        return commit

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        patience = self.patience()  # it may be set anew
        with trio.move_on_after(patience) as scope:
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
            log.info("fetching the history", url=self.url, wanted=ref)
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
        """Give the commit that a ref meant when it was last asked for."""
        if not await trio.Path(self.directory).exists():
            return None
        return await self._remembered(ref)

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
        commit = self._choose(ref)
        await self._remember(ref, commit)
        return commit

    async def _look(self) -> None:
        self._refs = await self._ask()
        self._looked = trio.current_time()

    async def _ask(self) -> dict[str, str]:
        refs: dict[str, str] = {}
        asking = [["--", self.url, "HEAD"], ["--heads", "--tags", "--", self.url]]
        if self.more:
            asking.append(["--", self.url, *self.more])
        for asked in asking:
            with trio.move_on_after(_PATIENCE) as scope:
                said = await git(self.directory, "ls-remote", *asked, network=True)
                for line in said.splitlines():
                    commit, _, name = line.partition("\t")
                    # A tag's commit stands in a second line, with ^{} behind it.
                    refs[name.removesuffix("^{}")] = commit
            if scope.cancelled_caught:
                raise GitFailed(f"{self.url} does not answer")
        return {name: refs[name] for name in refs if self._counts(name)}

    def _counts(self, name: str) -> bool:
        return name.startswith(("HEAD", *OWN)) or any(
            fnmatchcase(name, pattern) for pattern in self.more
        )

    def _choose(self, ref: str) -> str:
        for name in (ref or "HEAD", f"refs/heads/{ref}", f"refs/tags/{ref}"):
            if name in self._refs:
                return self._refs[name]
        found = {self._refs[name] for name in refs_of_tag(ref, self._refs)}
        if len(found) != 1:
            hint = hint_for(ref, self._refs)
            raise NoSuchRef(f"{self.url} has no ref {ref or 'HEAD'}{hint}")
        return found.pop()

    async def _last(self, ref: str, why: str) -> str:
        commit = await self._remembered(ref)
        if commit is None:
            raise GitFailed(
                f"{self.url} cannot be asked ({why}), and {ref or 'HEAD'} of it was"
                " never fetched"
            )
        return commit

    async def _keeps(self, commit: str) -> bool:
        """Tell whether the commit is here, under a name that keeps it here."""
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
        remembered = await trio.to_thread.run_sync(_read_all, self._memory)
        kept = {f"{_OURS}{name}" for name in (commit, *remembered)}
        listed = ("for-each-ref", "--format=%(refname)", _OURS, _BEFORE)
        ours = await git(self.directory, *listed)
        for ref in {*ours.split()} - kept:
            await git(self.directory, "update-ref", "-d", ref)

    @property
    def _memory(self) -> Path:
        """Where a file for each ref says its last commit, which need not be here."""
        return self.directory / "nixeryd"

    async def _remember(self, ref: str, commit: str) -> None:
        place = trio.Path(self._memory, as_tag(ref or "HEAD"))
        await place.parent.mkdir(parents=True, exist_ok=True)
        await place.write_text(commit)

    async def _remembered(self, ref: str) -> str | None:
        try:
            text = await trio.Path(self._memory, as_tag(ref or "HEAD")).read_text()
        except OSError:
            return None
        return text.strip() or None


def _read_all(directory: Path) -> list[str]:
    try:
        return [file.read_text().strip() for file in directory.iterdir()]
    except OSError:
        return []
