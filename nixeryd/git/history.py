"""The history of a repository elsewhere, without any files: which commits it has.

Git's protocol sends every object that a server has to who names it, also those of
pull requests and of forks that share its storage. So a commit is fetched only after
it was found in the history of a branch or tag, which is fetched for that, without
trees and files ("treeless", some 0.4 kB for each commit). Its size is bounded, and a
server that cannot leave files out is not asked for more.

https://git-scm.com/docs/git-rev-list#Documentation/git-rev-list.txt---filterltfilter-specgt
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed, git
from nixeryd.git.repository import NoSuchRef, Repository
from nixeryd.images.digests import Digest
from nixeryd.images.sizes import render_size

MOST = 2 * 2**30  # bytes of one fetch; all of nixpkgs has a fifth of it
log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_UNSUPPORTED = "filtering not recognized by server"


@dataclass(slots=True)
class History:
    """What is known of the history of the repository at `url`; kept at `directory`.

    `more` are patterns of refs beside branches and tags that count.
    """

    url: str
    directory: Path
    more: tuple[str, ...] = ()
    _allowed: Allowed = field(init=False)
    _lock: trio.Lock = field(default_factory=trio.Lock)

    def __post_init__(self) -> None:
        """Count what the patterns name."""
        self._allowed = Allowed(self.more)

    async def find(self, commit: str) -> str:
        """Return all digits of a commit in the history as it was fetched last.

        Raises `NoSuchRef` if it is in none, or none was fetched; or `GitFailed`.
        """
        unknown = NoSuchRef(
            f"{self.url} has no branch or tag with the commit {commit} in its history;"
            " one of a fork or a pull request is not evaluated, unless you trust it"
            f' and configure a source with ref = "{commit}"'
        )
        if not await trio.Path(self.directory, "HEAD").exists():
            raise unknown
        try:
            return (await self._allowed.resolve(self._repository, commit)).commit
        except NoSuchRef as error:
            raise unknown from error

    async def drop(self) -> bool:
        """Remove it, unless it is being fetched; tell whether."""
        if self._lock.locked():
            return False
        async with self._lock:
            await trio.to_thread.run_sync(shutil.rmtree, self.directory, True)  # noqa: FBT003
        return True

    async def update(self, refs: dict[str, str]) -> None:
        """Fetch the history that these refs have; nothing if they were fetched.

        Raises `GitFailed`.
        """
        async with self._lock:
            await self._update(Digest.of(repr(sorted(refs.items())).encode()).hex)
            os.utime(self.directory)  # how long it has been unused

    async def _update(self, state: str) -> None:
        seen = trio.Path(self.directory, "nixeryd-state")
        try:
            if await seen.read_text() == state:
                return
        except OSError:
            pass
        if not await trio.Path(self.directory, "HEAD").exists():
            await trio.Path(self.directory).mkdir(parents=True, exist_ok=True)
            await git(self.directory, "init", "--quiet", "--bare", "--template=")
        log.info("fetching the history of a git source", url=self.url)
        await self._fetch()
        await seen.write_text(state)

    async def _fetch(self) -> None:
        kinds = ("refs/heads/*", "refs/tags/*", *self.more)
        wanted = [f"+{kind}:{kind}" for kind in kinds]
        quietly = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head")
        command = ("fetch", *quietly, "--filter=tree:0", "--", self.url, *wanted)
        graph = ("-c", "fetch.writeCommitGraph=true")
        with trio.CancelScope() as scope:

            def hear(line: str) -> None:
                if _UNSUPPORTED in line:
                    scope.cancel()

            try:
                await git(
                    self.directory,
                    *graph,
                    *command,
                    network=True,
                    on_stderr_line=hear,
                    most=MOST,
                )
            except GitFailed as error:
                if "signal 25" in str(error) or "File too large" in str(error):
                    raise GitFailed(
                        f"the history of {self.url} takes more than"
                        f" {render_size(MOST)}: ask for a branch or tag"
                    ) from error
                raise
        if scope.cancelled_caught:
            raise GitFailed(
                f"{self.url} cannot send its history without all files (git's"
                " uploadpack.allowFilter), so that nobody can tell whose a commit is:"
                " ask for a branch or tag, or clone it and configure its path"
            )

    @property
    def _repository(self) -> Repository:
        return Repository(
            directory=self.directory,
            git_dir=self.directory,
            objects=self.directory / "objects",
            object_format="sha1",
            top=self.directory,
            inside="",
            name="history",
            is_bare=True,
            is_shallow=False,
        )
