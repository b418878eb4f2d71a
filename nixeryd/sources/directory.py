"""A directory that Nix imports, such as a checkout of nixpkgs; edits included."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed, NoRepository, git
from nixeryd.git.repository import open_repository
from nixeryd.git.trees import Trees
from nixeryd.git.worktree import matches
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation, evaluate
from nixeryd.nix.options import Options
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.sources.commit import Commit, commit_at
from nixeryd.sources.fingerprint import Checkout
from nixeryd.sources.source import State


@dataclass(frozen=True, slots=True)
class Directory:
    """A package set as it is on disk: configured, and a source of the moment.

    `label`, `advice` and `options` are those of its `PackageSet`.
    """

    name: str
    path: Path
    trees: Trees
    checkout: Checkout | None = None
    allowed: Allowed = field(default_factory=Allowed)
    label: str | None = None
    advice: str = ""
    options: Options = field(default_factory=Options)
    _described: dict[tuple[object, ...], str | None] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def watch(self) -> str:
        """How its next fingerprint will be found."""
        return "" if self.checkout is None else self.checkout.state

    async def now(self) -> "Directory":
        """Return itself: it is read in place."""
        return self

    async def at(self, ref: str) -> Commit:
        """Return a commit of its repository, working tree untouched."""
        try:
            repository = await open_repository(self.path)
        except NoRepository as error:
            raise RegistryError(
                ErrorCode.MANIFEST_UNKNOWN,
                f"there is no tag {ref!r}: it is neither 'latest' nor a configured"
                f" source, and {self.path} is no git repository to have such a ref",
            ) from error
        except GitFailed as error:
            raise RegistryError(ErrorCode.DENIED, f"{self.path}: {error}") from error
        return await commit_at(
            self.name, repository, ref, self.allowed, self.trees, self.options
        )

    async def ready(self) -> "Directory":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str | None:
        """Return a value that changes with what evaluation reads; None: cannot tell."""
        if self.checkout is None:
            return None
        found = await self.checkout.fingerprint()
        return None if found is None else self.options.mark(found)

    async def state(self) -> State:
        """Return the fingerprint, and how many changes were seen."""
        fingerprint = await self.fingerprint()
        return State(fingerprint, 0 if self.checkout is None else self.checkout.changes)

    async def revision(self) -> str | None:
        """Return the commit, "-dirty" behind it if files differ; None without git.

        git looks at each of tens of thousands of files to tell, so it is asked again
        only after a change, of files or of its own list of them.
        """
        state = await self._described_state()
        if state is None:
            return await describe(self.path)
        if state not in self._described:
            described = await describe(self.path)
            self._described.clear()
            # git may have written its list anew; what changed meanwhile is not told.
            if await self._described_state() == state:
                self._described[state] = described
            return described
        return self._described[state]

    async def _described_state(self) -> tuple[object, ...] | None:
        """Return what a description depends on; None if that cannot be told."""
        fingerprint = await self.fingerprint()
        try:
            listed = (self.path / ".git" / "index").stat()
        except OSError:
            return None
        if fingerprint is None:
            return None
        return fingerprint, listed.st_ino, listed.st_size, listed.st_mtime_ns

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Return what is there now."""
        await trio.lowlevel.checkpoint()
        root = None if self.checkout is None else self.checkout.root
        inside = () if root is None else (str(self.path), root)
        yield PackageSet(
            self.path,
            label=self.label,
            advice=self.advice,
            inside=inside,
            options=self.options,
        )

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate what is there now."""
        async with self.open() as found:
            return await evaluate(
                nix,
                found,
                image.packages,
                image.system,
                optional=image.optional,
                reads=reads,
            )


async def describe(path: Path) -> str | None:
    """Return the commit of a checkout, "-dirty" behind it if files differ.

    Files are compared as they are: what a filter or a line ending would make of them
    is not asked, since that runs programs of somebody's configuration.
    """
    if not await trio.Path(path, ".git").exists():
        return None  # though it may lie within somebody's repository
    try:
        repository = await open_repository(path)
        head = await git(path, "rev-parse", "--verify", "HEAD^{commit}")
        is_clean = await matches(repository, head)
    except (GitFailed, RegistryError):
        return None
    return head if is_clean else f"{head}-dirty"
