"""A git repository elsewhere, of which commits are fetched as they are asked for."""

from dataclasses import dataclass, replace

from nixeryd.git.command import GitFailed
from nixeryd.git.remote import Remote
from nixeryd.git.repository import NoSuchRef
from nixeryd.git.trees import Trees
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.sources.commit import Commit


@dataclass(frozen=True, slots=True)
class GitUrl:
    """The package set in a remote repository, at `ref` unless a tag says another."""

    name: str
    remote: Remote
    ref: str
    trees: Trees

    @property
    def place(self) -> str:
        """Its URL, and the ref."""
        return f"{self.remote.url} at {self.ref}" if self.ref else self.remote.url

    @property
    def watch(self) -> str:
        """How changes are noticed."""
        return "its refs are looked up every few minutes"

    async def now(self) -> Commit:
        """Give the commit that the configured ref means."""
        return await self.at(self.ref)

    async def at(self, ref: str) -> Commit:
        """Give the commit that a ref means there; it is fetched if need be."""
        try:
            repository, commit = await self.remote.fetch(ref)
        except NoSuchRef as error:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
        except GitFailed as error:
            message = f"the source {self.name}: {error}"
            raise RegistryError(ErrorCode.DENIED, message) from error
        called = replace(self, ref=ref).place + f" ({commit[:12]})"
        return Commit(self.name, repository, commit, called, self.trees)

    async def revision(self) -> str | None:
        """Give the commit that was fetched last."""
        return await self.remote.known(self.ref)
