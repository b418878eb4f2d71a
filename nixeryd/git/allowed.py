"""What a tag may mean in a repository, and whose that is.

The law: a tag names a branch, a tag, or a commit that one of them contains. What is
only in the object database (a fetched pull request, a stash, what the reflog or
FETCH_HEAD remember) was chosen by nobody, so it has no name here.

The repository's own branches and tags, and its HEAD, are its user's. Remote-tracking
branches and what the configuration adds (`refs`) are somebody else's.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import trio

from nixeryd.git.ancestry import Ancestry, Tips
from nixeryd.git.command import GitFailed, NoRepository, git
from nixeryd.git.repository import (
    OWN,
    REMOTE,
    NoSuchRef,
    Repository,
    is_commit,
    refs_of_tag,
)

_LOOKED_AT = 8  # refs that one tag may mean, before it is called ambiguous


@dataclass(frozen=True, slots=True)
class Meaning:
    """The commit that a tag means; `is_own` if a ref of the user's contains it."""

    commit: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class Allowed:
    """The refs that tags may name: `more` are patterns such as refs/pull/*."""

    more: tuple[str, ...] = ()
    ancestry: Ancestry = field(default_factory=Ancestry, compare=False)

    async def resolve(self, repository: Repository, ref: str) -> Meaning:
        """Return what a ref, a tag of an image, or a commit means now.

        A commit may have as few as seven digits. Raises `NoSuchRef`, `GitFailed`.
        """
        if ref == "HEAD":
            return Meaning(await repository.commit(ref), is_own=True)
        refs = await self._list(repository)
        names = _named(ref, refs)
        if names:
            commit = await _one(repository, ref, names)
            if names[0].startswith(OWN):
                return Meaning(commit, is_own=True)
        else:
            commit = await _find(repository, ref, refs)
        if await self._has(repository, refs, commit, own=True):
            return Meaning(commit, is_own=True)
        if names or await self._has(repository, refs, commit, own=False):
            return Meaning(commit, is_own=False)
        raise NoSuchRef(
            f"{repository.directory} has no branch or tag with the commit"
            f" {commit[:12]} in its history, so it is not evaluated; if you trust it:"
            f" git -C {repository.directory} branch NAME {commit[:12]}"
        )

    async def _list(self, repository: Repository) -> dict[str, str]:
        """Return all refs that may be named, with their objects."""
        wanted = [*OWN, REMOTE, *(_fixed_part(pattern) for pattern in self.more)]
        told = await git(
            repository.directory,
            "for-each-ref",
            "--format=%(objectname) %(refname)",
            *wanted,
        )
        pairs = [line.split(" ", 1) for line in told.splitlines()]
        return {name: found for found, name in pairs if self._names(name)}

    def _names(self, ref: str) -> bool:
        return ref.startswith((*OWN, REMOTE)) or any(
            fnmatchcase(ref, pattern) for pattern in self.more
        )

    async def _has(
        self, repository: Repository, refs: dict[str, str], commit: str, *, own: bool
    ) -> bool:
        """Return whether the user's refs contain a commit, or else all of them."""
        globs = OWN if own else (REMOTE, *self.more)
        objects = {refs[ref] for ref in refs if ref.startswith(OWN) is own}
        revisions = [f"--glob={glob}" for glob in globs]
        if own and (head := await _head(repository)):  # it may be on no branch
            objects.add(head)
            revisions.append("HEAD")
        tips = Tips(tuple(revisions), frozenset(objects))
        return await self.ancestry.has(repository.directory, tips, commit)


def _fixed_part(pattern: str) -> str:
    """Return the part of a pattern that `git for-each-ref` can find refs below."""
    fixed = pattern.partition("*")[0].partition("?")[0].partition("[")[0]
    return pattern if fixed == pattern else fixed.rpartition("/")[0]


def _named(ref: str, refs: dict[str, str]) -> list[str]:
    """Return the refs that this may be a name of; git's own order (gitrevisions)."""
    for name in (ref, f"refs/tags/{ref}", f"refs/heads/{ref}", f"refs/remotes/{ref}"):
        if name in refs:
            return [name]
    return refs_of_tag(ref, refs)


async def _one(repository: Repository, ref: str, names: list[str]) -> str:
    commits = {await repository.commit(name) for name in names[:_LOOKED_AT]}
    if len(commits) > 1:
        named = ", ".join(names[:_LOOKED_AT])
        raise NoSuchRef(f"{ref} may mean any of {named}: ask for a commit")
    return commits.pop()


async def _find(repository: Repository, ref: str, refs: dict[str, str]) -> str:
    """Find the commit that these digits begin; it may be of no ref."""
    if is_commit(ref):
        try:
            return await repository.commit(ref)
        except NoRepository:
            raise
        except GitFailed:
            pass  # an error that names what there is
    # Thousands of names take a moment, and others are being served.
    hint = await trio.to_thread.run_sync(repository.hint, ref, refs)
    raise NoSuchRef(f"{repository.directory} has no ref or commit {ref}{hint}")


async def _head(repository: Repository) -> str | None:
    try:
        return await repository.commit("HEAD")
    except NoRepository:
        raise
    except GitFailed:
        return None  # no commit yet
