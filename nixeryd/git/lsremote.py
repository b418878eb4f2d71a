"""The refs of a repository elsewhere, and what a tag means among them."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import trio

from nixeryd.git.command import GitFailed, git
from nixeryd.git.repository import OWN, NoSuchRef, hint_for, refs_of_tag

_PATIENCE = 20.0  # seconds for each question


async def ls_remote(directory: Path, url: str, more: Sequence[str]) -> dict[str, str]:
    """Return HEAD, the branches, the tags, and what the patterns name, peeled.

    Asked from a directory of ours. Raises `GitFailed`.
    """
    refs: dict[str, str] = {}
    asking = [["--", url, "HEAD"], ["--heads", "--tags", "--", url]]
    if more:
        asking.append(["--", url, *more])
    for asked in asking:
        with trio.move_on_after(_PATIENCE) as scope:
            said = await git(directory, "ls-remote", *asked, network=True)
            for line in said.splitlines():
                commit, _, name = line.partition("\t")
                # A tag's commit stands in a second line, with ^{} behind it.
                refs[name.removesuffix("^{}")] = commit
        if scope.cancelled_caught:
            raise GitFailed(f"{url} does not answer")
    # It is for the server to say which refs it tells, but not which were asked for.
    return {
        name: commit
        for name, commit in refs.items()
        if name == "HEAD"
        or name.startswith(OWN)
        or any(fnmatchcase(name, pattern) for pattern in more)
    }


def choose(url: str, ref: str, refs: Mapping[str, str]) -> str:
    """Return the commit that a ref means, "" for HEAD. Raises `NoSuchRef`."""
    for name in (ref or "HEAD", f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name in refs:
            return refs[name]
    found = {refs[name] for name in refs_of_tag(ref, refs)}
    if len(found) != 1:
        hint = hint_for(ref, refs)
        raise NoSuchRef(f"{url} has no ref {ref or 'HEAD'}{hint}")
    return found.pop()
