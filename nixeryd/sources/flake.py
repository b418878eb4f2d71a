"""A flake: its packages, and those of the nixpkgs that it is locked to.

One on disk is taken as Nix takes it: in a git repository the files that git knows,
as they are now; else all files. One elsewhere is resolved to a locked reference,
which never changes; Nix fetches and caches it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed, NoRepository
from nixeryd.git.repository import NoSuchRef, Repository, open_repository
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import ImageName
from nixeryd.nix import messages
from nixeryd.nix.evaluate import Evaluation, EvaluationFailed, evaluate
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix, NixFailed
from nixeryd.nix.reads import Reads
from nixeryd.sources.deferred import Deferred
from nixeryd.sources.directory import describe
from nixeryd.sources.fingerprint import Checkout
from nixeryd.sources.source import Searchable, State

FRESH = 300.0  # seconds until a flake elsewhere is resolved again
# How versions of Nix say that a file is not there.
_UNSEEN = ("No such file", "does not exist", "not tracked")


@dataclass(frozen=True, slots=True)
class LockedFlake:
    """A flake in one state, by a reference that says which."""

    name: str
    reference: str
    commit: str | None = None

    async def ready(self) -> "LockedFlake":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str:
        """Return the reference."""
        return self.reference

    async def state(self) -> State:
        """Return the reference, which never changes."""
        return State(self.reference, 0)

    async def revision(self) -> str | None:
        """Return the commit, if it is of a repository."""
        return self.commit

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Return it by its reference."""
        await trio.lowlevel.checkpoint()
        yield PackageSet(flake=self.reference)

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate its packages."""
        async with self.open() as found:
            return await _evaluate(nix, found, image, reads)


@dataclass(frozen=True, slots=True)
class LocalFlake:
    """A flake on disk: configured, and a source of the moment."""

    name: str
    path: Path
    checkout: Checkout | None = None
    allowed: Allowed = field(default_factory=Allowed)

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def watch(self) -> str:
        """How its next fingerprint will be found."""
        return "" if self.checkout is None else self.checkout.state

    async def now(self) -> "LocalFlake":
        """Return itself: it is read in place."""
        return self

    async def at(self, ref: str) -> LockedFlake:
        """Return it as it is in a commit."""
        try:
            repository = await open_repository(self.path)
            meaning = await self.allowed.resolve(repository, ref)
        except (NoSuchRef, NoRepository) as error:
            raise RegistryError(ErrorCode.MANIFEST_UNKNOWN, str(error)) from error
        except GitFailed as error:
            raise RegistryError(ErrorCode.DENIED, f"{self.path}: {error}") from error
        commit = meaning.commit
        if not meaning.is_own:
            # A flake fetches its inputs as it is evaluated, and reads what it likes.
            raise RegistryError(
                ErrorCode.DENIED,
                f"{self.path} at {ref}: no branch or tag of yours has the commit"
                f" {commit[:12]}, and a flake cannot be evaluated without fetching what"
                f" it names. If you trust it: git -C {self.path} branch NAME"
                f" {commit[:12]}",
            )
        return LockedFlake(self.name, _git_url(repository, self.path, commit), commit)

    async def ready(self) -> "LocalFlake":
        """Return itself: it is here."""
        return self

    async def fingerprint(self) -> str | None:
        """Return a value that changes with what evaluation reads; None: cannot tell."""
        return (await self.state()).fingerprint

    async def state(self) -> State:
        """Return the fingerprint, and how many changes were seen."""
        if self.checkout is None:
            return State(None, 0)
        index = await trio.to_thread.run_sync(_look_around, self.path)
        contents = await self.checkout.fingerprint()
        changes = self.checkout.changes
        if contents is None or index is None:
            return State(None, changes)
        return State(f"{contents} {index}", changes)

    async def revision(self) -> str | None:
        """Return the commit, "-dirty" behind it if files differ; None without git."""
        return await describe(self.path)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PackageSet]:
        """Return what is there now."""
        try:
            reference = _git_url(await open_repository(self.path), self.path)
        except NoRepository:
            reference = f"path:{quote(str(self.path))}"
        except GitFailed as error:
            raise RegistryError(ErrorCode.DENIED, f"{self.path}: {error}") from error
        yield PackageSet(flake=reference)

    async def evaluate(self, nix: Nix, image: ImageName, reads: Reads) -> Evaluation:
        """Evaluate what is there now."""
        async with self.open() as found:
            try:
                return await _evaluate(nix, found, image, reads)
            except EvaluationFailed as error:
                raise EvaluationFailed(
                    str(error) + _hint(self.path, str(error)), error.names
                ) from error


@dataclass(slots=True, eq=False)
class RemoteFlake:
    """A flake elsewhere, or one that Nix knows by a name of its registry."""

    name: str
    reference: str
    nix: Nix
    _known: tuple[float, LockedFlake] | None = None
    _lock: trio.Lock = field(default_factory=trio.Lock)

    @property
    def place(self) -> str:
        """Its reference."""
        return self.reference

    @property
    def watch(self) -> str:
        """How changes are noticed."""
        return "it is looked up every few minutes"

    async def now(self) -> Searchable:
        """Return it locked to what it is now, or a promise to."""
        if known := self._fresh():
            return known
        return Deferred(self.name, self.reference, self._get)

    def _fresh(self) -> LockedFlake | None:
        if self._known is None or trio.current_time() - self._known[0] > FRESH:
            return None
        return self._known[1]

    async def _get(self) -> LockedFlake:
        async with self._lock:
            known = self._fresh() or await self._lock_it()
            if self._known is None or self._known[1] is not known:
                self._known = (trio.current_time(), known)
            return known

    async def at(self, ref: str) -> LockedFlake:
        """Refuse: how a reference says it, depends on its kind."""
        raise RegistryError(
            ErrorCode.MANIFEST_UNKNOWN,
            f"{ref!r} cannot be asked of the flake {self.reference}: configure another"
            " source whose reference names it",
        )

    async def revision(self) -> str | None:
        """Return the commit that it was locked to last."""
        return None if self._known is None else self._known[1].commit

    async def _lock_it(self) -> LockedFlake:
        features = ["--extra-experimental-features", "nix-command flakes"]
        ask = ["flake", "metadata", "--json", "--no-write-lock-file", self.reference]
        limits = self.nix.limits
        said = None
        try:
            with trio.move_on_after(limits.patience):
                command = ["nix", *features, *ask]
                said = json.loads(await self.nix.run(command, limits=limits))
        except NixFailed as error:
            told = messages.error_message(error.stderr)
            message = f"the flake {self.reference} cannot be had: {told}"
            raise RegistryError(ErrorCode.DENIED, message) from error
        if said is None:
            raise RegistryError(
                ErrorCode.DENIED,
                f"the flake {self.reference} takes more than {limits.fetching} s to be"
                " fetched; if that is how large it is, raise nix.fetch_timeout",
            )
        # What path: and tarballs lack in their reference is what is in them.
        contents = said["locked"].get("narHash", "")
        reference: str = said["url"]
        if contents and "narHash=" not in reference and "rev=" not in reference:
            joint = "&" if "?" in reference else "?"
            reference += f"{joint}narHash={quote(contents, safe='')}"
        return LockedFlake(self.name, reference, said.get("revision"))


async def _evaluate(
    nix: Nix, found: PackageSet, image: ImageName, reads: Reads
) -> Evaluation:
    return await evaluate(
        nix, found, image.packages, image.system, optional=image.optional, reads=reads
    )


def _git_url(repository: Repository, path: Path, commit: str | None = None) -> str:
    top = path
    for _ in Path(repository.inside).parts:
        top = top.parent
    said = {
        "rev": commit,
        "dir": quote(repository.inside.rstrip("/"), safe="/") or None,
        "shallow": "1" if repository.is_shallow else None,
    }
    query = "&".join(f"{name}={value}" for name, value in said.items() if value)
    return f"git+file://{quote(str(top))}" + (f"?{query}" if query else "")


def _look_around(path: Path) -> str | None:
    """Return a stamp of git's index, which decides what a flake sees; None if unknown.

    Below the top of a repository a flake may read what is above it.
    """
    try:
        git = path / ".git"
        if git.is_file():
            git = path / git.read_text().removeprefix("gitdir:").strip()
        elif not git.is_dir():
            is_below = any((above / ".git").exists() for above in path.parents)
            return None if is_below else "no git"
        status = (git / "index").stat()
    except (OSError, UnicodeDecodeError):
        return None
    return f"{status.st_ino}.{status.st_mtime_ns}.{status.st_size}"


def _hint(path: Path, message: str) -> str:
    """Explain what everybody falls for once."""
    if "lock file" in message:
        return f"\nWrite its lock file first: nix flake lock {path}"
    if any(said in message for said in _UNSEEN):
        return f"\nA flake has only the files that git knows: git -C {path} add FILE"
    return ""
