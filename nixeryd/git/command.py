"""Call git on somebody's repository, and leave it as it was.

The law: no hook runs, no index but our own is written, no network is used unless
asked for, nobody is asked for a password; and whose repository git does not
trust is not read either.

https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
"""

import os
from collections.abc import Mapping
from pathlib import Path

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.process import CommandFailed, run

# Of a hook or an alias that started us: they would mean another repository.
_MISLEADING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
_QUIET = {
    "LC_ALL": "C",  # its messages are told apart below
    "GIT_OPTIONAL_LOCKS": "0",  # the developer may be committing right now
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
}
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.splitIndex": "false",  # would put a part of our index beside theirs
    "core.sparseCheckout": "false",  # theirs says what they look at, not what is
    "gc.autoDetach": "false",
}
_FLAGS = [
    flag for name, value in _SETTINGS.items() for flag in ("-c", f"{name}={value}")
]
# A partial clone would fetch what it lacks, one file at a time.
_NO_NETWORK = {"GIT_ALLOW_PROTOCOL": "none"}


class GitFailed(NixerydError):  # noqa: N818  what happened, not what it is
    """A git command failed; the message is git's own, in one line."""


class NoRepository(GitFailed):
    """There is no repository at that place."""


async def git(
    directory: Path,
    *arguments: str,
    network: bool = False,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run git in a directory; give what it says. Raises `GitFailed`.

    403 if the repository is somebody else's, with the command that trusts it.
    """
    ours = {**_QUIET, **({} if network else _NO_NETWORK), **(environment or {})}
    command = ["git", "-C", str(directory), *_FLAGS, *arguments]
    try:
        said = await run(command, ours, without=_MISLEADING)
    except CommandFailed as error:
        raise _failure(directory, "\n".join(error.stderr)) from error
    return os.fsdecode(said).rstrip("\n")


def _failure(directory: Path, stderr: str) -> NixerydError:
    if "dubious ownership" in stderr:
        return RegistryError(
            ErrorCode.DENIED,
            f"{directory} belongs to another user, so git does not read it. If you"
            f" trust it: git config --global --add safe.directory {directory}",
        )
    if "not a git repository" in stderr:
        return NoRepository(f"{directory} is no git repository")
    if "promisor remote" in stderr:
        return GitFailed(
            f"{directory} is a partial clone and lacks some of these files: get them"
            " by checking the commit out once"
        )
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return GitFailed(f"git: {(errors or lines or ['it failed'])[0][:300]}")
