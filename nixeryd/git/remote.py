"""A repository elsewhere: its refs are looked up, and single commits fetched.

Into a bare repository of ours, without history: of nixpkgs some 50 MB a commit,
less if near ones are there. Refs are asked for at most once in `FRESH` seconds;
without a network, what was fetched last is what there is.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from nixeryd.git.command import GitFailed, git
from nixeryd.git.repository import (
    NoSuchRef,
    Repository,
    as_tag,
    hint_for,
    refs_of_tag,
)
from nixeryd.offline import Offline

FRESH = 300.0  # seconds that a look at the refs is good for
_PATIENCE = 20.0  # seconds for that look
_OURS = "refs/nixeryd/"
_COMMIT = re.compile(r"[0-9a-f]{40}")
# A connection that gives less than 1 kB/s for half a minute is dead.
_LIVELY = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")
# Fetching sweeps now and then; what nobody means any more goes in one piece.
_SWEEPING = ("-c", "gc.pruneExpire=1.day", "-c", "gc.cruftPacks=true")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Remote:
    """The repository at a URL, and ours at `directory` for what we have of it."""

    url: str
    directory: Path
    offline: Offline
    _refs: dict[str, str] = field(default_factory=dict)
    _looked: float = float("-inf")
    _lock: trio.Lock = field(default_factory=trio.Lock)

    async def here(self, ref: str) -> str | None:
        """Give the commit that a ref means, if the network need not be asked.

        "" means HEAD. Raises `NoSuchRef`, `GitFailed`.
        """
        is_fresh = trio.current_time() - self._looked <= FRESH
        if _COMMIT.fullmatch(ref):
            commit = ref
        elif is_fresh or self.offline.on:
            commit = await self._look_up(ref)
        else:
            return None
        is_known = await trio.Path(self.directory, "HEAD").exists()
        return commit if is_known and await self._keeps(commit) else None

    async def fetch(self, ref: str) -> str:
        """Give the commit that a ref means; it is in our repository then.

        "" means HEAD. Raises `NoSuchRef`, `GitFailed`.
        """
        async with self._lock:
            await self._prepare()
            commit = ref if _COMMIT.fullmatch(ref) else await self._look_up(ref)
            if not await self._keeps(commit):
                await self._fetch(commit)
        return commit

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
                self._refs = await self._ask()
            except GitFailed as error:
                log.warning("git source out of reach", url=self.url, error=str(error))
                return await self._last(ref, str(error))
            self._looked = trio.current_time()
        commit = self._choose(ref)
        await self._remember(ref, commit)
        return commit

    async def _ask(self) -> dict[str, str]:
        refs: dict[str, str] = {}
        for asked in (["--", self.url, "HEAD"], ["--heads", "--tags", "--", self.url]):
            with trio.move_on_after(_PATIENCE) as scope:
                said = await git(self.directory, "ls-remote", *asked, network=True)
                for line in said.splitlines():
                    commit, _, name = line.partition("\t")
                    # A tag's commit stands in a second line, with ^{} behind it.
                    refs[name.removesuffix("^{}")] = commit
            if scope.cancelled_caught:
                raise GitFailed(f"{self.url} does not answer")
        return refs

    def _choose(self, ref: str) -> str:
        for name in (ref or "HEAD", f"refs/heads/{ref}", f"refs/tags/{ref}"):
            if name in self._refs:
                return self._refs[name]
        found = {self._refs[name] for name in refs_of_tag(ref, self._refs)}
        if len(found) != 1:
            hint = hint_for(ref, self._refs)
            raise NoSuchRef(
                f"{self.url} has no ref {ref or 'HEAD'}{hint}"
                + ("" if hint else "; a commit is asked for by all its 40 digits")
            )
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
            try:  # fetched before and given up, but not swept yet
                await git(self.directory, "update-ref", ref, commit)
            except GitFailed:
                return False
        return True

    async def _fetch(self, commit: str) -> None:
        if self.offline.on:
            raise GitFailed(
                f"offline ({self.offline.why}): the commit {commit[:12]} of {self.url}"
                " was never fetched"
            )
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

    async def _forget_others(self, commit: str) -> None:
        """Leave to git's own sweeping what was fetched before and no ref means.

        What is built from it just now is there for a day yet (`gc.pruneExpire`).
        """
        remembered = await trio.to_thread.run_sync(_read_all, self._memory)
        kept = {f"{_OURS}{name}" for name in (commit, *remembered)}
        ours = await git(self.directory, "for-each-ref", "--format=%(refname)", _OURS)
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
