"""A commit of a repository: built from there, no working tree touched."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed
from nixeryd.git.repository import NoSuchRef, Repository
from nixeryd.git.trees import Trees
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation
from nixeryd.nix.options import Options
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.sources.source import State
from nixeryd.sources.vouched import evaluate_vouched


@dataclass(frozen=True, slots=True)
class Commit:
    """A package set as it is in one commit; `called` is its name in messages.

    `to_trust` says how a person can vouch for a commit that is nobody's here, which
    is evaluated restricted until then.
    """

    name: str
    repository: Repository
    commit: str
    called: str = field(compare=False)
    trees: Trees
    to_trust: str | None = None
    options: Options = field(default_factory=Options)

    async def ready(self) -> "Commit":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str:
        """Return the commit, and the options."""
        return self.options.mark(self.commit)

    async def state(self) -> State:
        """Return the commit and the options, which never change."""
        return State(self.options.mark(self.commit), 0)

    async def revision(self) -> str:
        """Return the commit."""
        return self.commit

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Lay the commit's files out; raises `RegistryError` if it lacks some."""
        async with AsyncExitStack() as stack:
            try:
                await self.repository.verify(self.commit)
                hold = self.trees.hold(self.repository, self.commit)
                tree = await stack.enter_async_context(hold)
            except NoSuchRef as error:
                raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
            except GitFailed as error:
                message = f"{self.called}: {error}"
                raise RegistryError(ErrorCode.DENIED, message) from error
            # Nix looks at where a path really is.
            real = Path(await trio.Path(tree).resolve())
            yield PackageSet(
                real / self.repository.inside,
                label=self.called,
                only=None if self.to_trust is None else real,
                inside=(str(real),),
                options=self.options,
            )

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate the commit's files; raises `RegistryError`."""
        async with self.open() as found:
            return await evaluate_vouched(nix, found, image, self.to_trust, reads)


async def commit_at(  # noqa: PLR0913, PLR0917  what a commit is made of
    name: str,
    repository: Repository,
    ref: str,
    allowed: Allowed,
    trees: Trees,
    options: Options,
) -> Commit:
    """Return the commit that a ref means now; raises `RegistryError`."""
    try:
        meaning = await allowed.resolve(repository, ref)
    except NoSuchRef as error:
        raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
    except GitFailed as error:
        message = f"{repository.directory}: {error}"
        raise RegistryError(ErrorCode.DENIED, message) from error
    commit = meaning.commit
    called = f"{repository.directory} at {ref}"
    if ref != commit:
        called += f" ({commit[:12]})"
    to_trust = f"git -C {repository.directory} branch NAME {commit[:12]}"
    trusted = None if meaning.is_own else to_trust
    return Commit(name, repository, commit, called, trees, trusted, options)
