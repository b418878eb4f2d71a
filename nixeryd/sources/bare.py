"""A bare repository: there is no working tree, so it is what its HEAD says."""

from dataclasses import dataclass, field
from pathlib import Path

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed
from nixeryd.git.repository import open_repository
from nixeryd.git.trees import Trees
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.nix.options import Options
from nixeryd.sources.commit import Commit, commit_at


@dataclass(frozen=True, slots=True)
class BareRepository:
    """The package set in a bare repository on this machine."""

    name: str
    path: Path
    trees: Trees
    options: Options = field(default_factory=Options, kw_only=True)
    allowed: Allowed = field(default_factory=Allowed)

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def watch(self) -> str:
        """How changes are noticed."""
        return "its refs are looked up at each pull"

    async def now(self) -> Commit:
        """Return the commit at HEAD."""
        return await self.at("HEAD")

    async def at(self, ref: str) -> Commit:
        """Return the commit that a ref means."""
        try:
            repository = await open_repository(self.path)
        except GitFailed as error:
            raise RegistryError(ErrorCode.DENIED, f"{self.path}: {error}") from error
        return await commit_at(
            self.name, repository, ref, self.allowed, self.trees, self.options
        )

    async def revision(self) -> str | None:
        """Return the commit at HEAD."""
        try:
            return (await self.now()).commit
        except RegistryError:
            return None


def is_bare(path: Path) -> bool:
    """Return whether a directory is a bare repository, by what git itself looks for."""
    return (path / "HEAD").is_file() and (path / "objects").is_dir()
