"""A developer's working tree: whether it is what a commit has. Nothing of theirs runs.

Filters, file system monitors and commands in submodules are what `git status` runs
here, as `.git/config`, `.gitattributes` and the user's own configuration say. So the
files are compared by a Git directory of our own, with a copy of the index.
"""

import shutil
import tempfile
from pathlib import Path

import trio

from nixeryd.git.command import GitFailed, git
from nixeryd.git.neutral import make_neutral, neutral_git
from nixeryd.git.repository import Repository

_COMPARE = ("diff", "--quiet", "--no-ext-diff", "--no-textconv")
_DIFFERS = 1  # the exit status; 128 and others are errors
# Another commit of a submodule counts; its own files are looked at by a process there.
_SUBMODULES = "--ignore-submodules=dirty"


async def matches(repository: Repository, commit: str) -> bool:
    """Return whether the tracked files are those of a commit, byte for byte.

    A file whose times differ is read. Raises `GitFailed` if git cannot tell.
    """
    where = await git(repository.directory, "rev-parse", "--git-path", "index")
    own = await trio.to_thread.run_sync(
        _prepare, repository, repository.directory / where
    )
    try:
        await neutral_git(
            own,
            repository,
            *_COMPARE,
            _SUBMODULES,
            commit,
            "--",
            work_tree=repository.top,
            index=own / "index",
        )
    except GitFailed as error:
        if error.status == _DIFFERS:
            return False
        raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return True


def _prepare(repository: Repository, index: Path) -> Path:
    own = Path(tempfile.mkdtemp(prefix="nixeryd-git-"))
    make_neutral(own, repository.object_format)
    try:
        # A copy, as git writes the times of files it has read into its index.
        shutil.copyfile(index, own / "index")
    except OSError as error:
        raise GitFailed(f"{index} cannot be read: {error.strerror}") from error
    return own
