"""One repository: what its refs and commits are, as a tag can say them.

A container's tag has no "/", so that `feature/x` is asked for as `feature-x`, if
that means one ref only. What the repository's own branches and tags do not have
is looked for in its remote-tracking branches. Nothing is fetched.

https://git-scm.com/docs/gitrevisions
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import trio

from nixeryd.git.command import GitFailed, NoRepository, git

# Git takes four digits; so short a number is rather somebody's mistake.
_FEW_DIGITS = re.compile(r"[0-9a-fA-F]{1,6}")
_WHOLE = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_KINDS = ("refs/heads/", "refs/tags/", "refs/remotes/")


class NoSuchRef(GitFailed):
    """The repository has no such ref or commit; the message names near ones."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as found from a place in it.

    `directory` is where it was found, `objects` where its objects are, which are of
    `object_format` "sha1" or "sha256"; `inside` is the place as seen from the `top` of
    the working tree, such as "" or "pkgs/default.nix"; `name` is what the checkout is
    called.
    """

    directory: Path
    git_dir: Path
    objects: Path
    object_format: str
    top: Path
    inside: str
    name: str
    is_bare: bool
    is_shallow: bool

    async def resolve(self, ref: str) -> str:
        """Give the commit that a ref, tag, or (abbreviated) commit means now.

        A whole commit id is taken at its word. Raises `NoSuchRef`.
        """
        if _WHOLE.fullmatch(ref):
            return ref
        if not _FEW_DIGITS.fullmatch(ref):
            try:
                return await self._commit(ref)
            except NoRepository:
                raise
            except GitFailed:
                pass  # one of the other ways, or an error that names what there is
        refs = (
            await git(self.directory, "for-each-ref", "--format=%(refname)")
        ).split()
        found = refs_of_tag(ref, refs)
        commits = {await self._commit(name) for name in found[:_LOOKED_AT]}
        if len(commits) == 1:
            return commits.pop()
        if commits:
            named = ", ".join(found[:_LOOKED_AT])
            raise NoSuchRef(f"{ref} may mean any of {named}: ask for a commit")
        # Thousands of names take a moment, and others are being served.
        hint = await trio.to_thread.run_sync(self._hint, ref, refs)
        raise NoSuchRef(f"{self.directory} has no ref or commit {ref}{hint}")

    async def verify(self, commit: str) -> None:
        """Raise `NoSuchRef` if there is no such commit."""
        try:
            await self._commit(commit)
        except NoRepository:
            raise
        except GitFailed as error:
            hint = self._hint(commit, ())
            raise NoSuchRef(f"{self.directory} has no commit {commit}{hint}") from error

    async def _commit(self, name: str) -> str:
        asked = f"{name}^{{commit}}"
        return await git(
            self.directory, "rev-parse", "--verify", "--end-of-options", asked
        )

    def _hint(self, ref: str, refs: Iterable[str]) -> str:
        hint = hint_for(ref, refs)
        if self.is_shallow:
            hint += (
                "; it is a shallow clone, older commits are not there:"
                f" git -C {self.directory} fetch --unshallow"
            )
        return hint


def hint_for(ref: str, refs: Iterable[str]) -> str:
    """Name the refs that may have been meant, as tags; "" if none is near."""
    names = {as_tag(short_name(name)) for name in refs}
    near = difflib.get_close_matches(ref, sorted(names), n=5, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


_LOOKED_AT = 8  # refs that one tag may mean, before it is called ambiguous


_QUESTIONS = (
    "--is-bare-repository",
    "--show-prefix",
    "--is-shallow-repository",
    "--show-object-format",
    "--absolute-git-dir",
    "--git-path",
    "objects",
)


async def open_repository(path: Path) -> Repository:
    """Find the repository of a directory or file; raises `NoRepository`."""
    is_file = await trio.Path(path).is_file()
    directory = path.parent if is_file else path
    told = await git(directory, "rev-parse", *_QUESTIONS)
    bare, prefix, shallow, kind, place, objects = told.split("\n")
    top = directory.joinpath(*[".."] * prefix.count("/"))
    called = Path(place) if bare == "true" else await trio.Path(top).resolve()
    return Repository(
        directory=directory,
        git_dir=Path(place),
        objects=directory / objects,  # git tells it as seen from there
        object_format=kind,
        top=top,
        inside=prefix + path.name if is_file else prefix,
        name=called.name.removesuffix(".git") or "source",
        is_bare=bare == "true",
        is_shallow=shallow == "true",
    )


def refs_of_tag(tag: str, refs: Iterable[str]) -> list[str]:
    """Give the refs that a tag may mean: the first kind that has any.

    Local branches and tags with "/" written as "-", then remote-tracking branches
    with their remote's name, then without it.
    """
    names = list(refs)
    local = [r for r in names if not r.startswith("refs/remotes/")]
    remote = [r for r in names if r.startswith("refs/remotes/")]
    without = {r: short_name(r).partition("/")[2] for r in remote}
    for found in (
        [r for r in local if as_tag(short_name(r)) == tag],
        [r for r in remote if as_tag(short_name(r)) == tag],
        [r for r in remote if as_tag(without[r]) == tag],
    ):
        if found:
            return found
    return []


def short_name(ref: str) -> str:
    """Say refs/heads/main as main."""
    for kind in _KINDS:
        if ref.startswith(kind):
            return ref.removeprefix(kind)
    return ref


def as_tag(name: str) -> str:
    """Write a ref's name as a tag can."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)
