"""A git repository elsewhere, of which commits are fetched as they are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from nixeryd.git.command import GitFailed
from nixeryd.git.remote import Remote
from nixeryd.git.repository import NoSuchRef
from nixeryd.git.trees import Trees
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.nix.options import Options
from nixeryd.sources.commit import Commit
from nixeryd.sources.deferred import Deferred
from nixeryd.sources.source import Searchable


@dataclass(frozen=True, slots=True)
class GitUrl:
    """The package set in a remote repository, at `ref` unless a tag says another."""

    name: str
    remote: Remote
    ref: str
    trees: Trees
    options: Options = field(default_factory=Options)

    @property
    def place(self) -> str:
        """Its URL, and the ref."""
        return f"{self.remote.url} at {self.ref}" if self.ref else self.remote.url

    @property
    def watch(self) -> str:
        """How changes are noticed."""
        return "its refs are looked up every few minutes"

    async def now(self) -> Searchable:
        """Return the commit that the configured ref means."""
        return await self.at(self.ref)

    async def at(self, ref: str) -> Searchable:
        """Return the commit that a ref means there, or a promise to fetch it."""
        with self._told():
            commit = await self.remote.here(ref)
        if commit is not None:
            return await self._commit(ref, commit)
        return Deferred(self.name, ref, partial(self._fetch, ref))

    async def _fetch(self, ref: str) -> Commit:
        with self._told():
            return await self._commit(ref, await self.remote.fetch(ref))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except NoSuchRef as error:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
        except GitFailed as error:
            message = f"the source {self.name}: {error}"
            raise RegistryError(ErrorCode.DENIED, message) from error

    async def _commit(self, ref: str, commit: str) -> Commit:
        called = replace(self, ref=ref).place + f" ({commit[:12]})"
        # What the configuration names is trusted, by whatever name it is asked for.
        is_own = ref == self.ref or commit == await self.remote.known(self.ref)
        to_trust = (
            f'configure a source with git = "{self.remote.url}" and ref = "{ref}"'
        )
        return Commit(
            self.name,
            self.remote.repository,
            commit,
            called,
            self.trees,
            None if is_own else to_trust,
            self.options,
        )

    async def revision(self) -> str | None:
        """Return the commit that was fetched last."""
        return await self.remote.known(self.ref)
