"""One repository: what its refs and commits are, as a tag can say them.

A container's tag has no "/", so that `feature/x` is asked for as `feature-x`, if
that means one ref only. What the repository's own branches and tags do not have
is looked for in its remote-tracking branches. Nothing is fetched. Which of them may
be named is `allowed`'s to say.

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
_DIGITS = re.compile(r"[0-9a-fA-F]{7,64}")
OWN = ("refs/heads/", "refs/tags/")
REMOTE = "refs/remotes/"


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

    async def verify(self, commit: str) -> None:
        """Raise `NoSuchRef` if there is no such commit."""
        try:
            await self.commit(commit)
        except NoRepository:
            raise
        except GitFailed as error:
            hint = self.hint(commit, ())
            raise NoSuchRef(f"{self.directory} has no commit {commit}{hint}") from error

    async def commit(self, name: str) -> str:
        """Return the commit that a full name of a ref, or digits, mean now."""
        asked = f"{name}^{{commit}}"
        return await git(
            self.directory, "rev-parse", "--verify", "--end-of-options", asked
        )

    def hint(self, ref: str, refs: Iterable[str]) -> str:
        """Say what may have been meant, and why it may be missing."""
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
    """Return the refs that a tag may mean: the first kind that has any.

    Own branches and tags with "/" written as "-", then what the configuration adds,
    then remote-tracking branches with their remote's name, then without it.
    """
    names = list(refs)
    own = [r for r in names if r.startswith(OWN)]
    remote = [r for r in names if r.startswith(REMOTE)]
    others = [r for r in names if not r.startswith((*OWN, REMOTE))]
    for found in (
        [r for r in own if as_tag(short_name(r)) == tag],
        [r for r in others if as_tag(short_name(r)) == tag],
        [r for r in remote if as_tag(short_name(r)) == tag],
        [r for r in remote if as_tag(short_name(r).partition("/")[2]) == tag],
    ):
        if found:
            return found
    return []


def is_commit(ref: str) -> bool:
    """Return whether this can be a commit's digits; fewer are rather a mistake."""
    return _DIGITS.fullmatch(ref) is not None


def short_name(ref: str) -> str:
    """Say refs/heads/main as main, and refs/pull/3/head as pull/3/head."""
    for kind in (*OWN, REMOTE, "refs/"):
        if ref.startswith(kind):
            return ref.removeprefix(kind)
    return ref


def as_tag(name: str) -> str:
    """Write a ref's name as a tag can."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)
