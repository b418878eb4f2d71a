"""Call git on somebody's repository, and leave it as it was.

The law: no hook runs, no index but our own is written, no network is used unless
asked for, nobody is asked for a password; and whose repository git does not
trust is not read either. Commands that could run a filter or a monitor of somebody's
configuration run in a directory of our own instead (`neutral`).

https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from nixeryd.images.errors import ErrorCode, NixerydError, RegistryError
from nixeryd.runtime.process import CommandFailed, LineCallback, run

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
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_ATTR_SOURCE",
    "GIT_EXTERNAL_DIFF",
    "GIT_TEMPLATE_DIR",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
)
_QUIET = {
    "LC_ALL": "C",  # its messages are told apart below
    "GIT_OPTIONAL_LOCKS": "0",  # the developer may be committing right now
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_NO_REPLACE_OBJECTS": "1",  # a commit is what its name is the digest of
}
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.splitIndex": "false",  # would put a part of our index beside theirs
    "core.sparseCheckout": "false",  # theirs says what they look at, not what is
    "gc.autoDetach": "false",
    "safe.bareRepository": "all",  # those that we are told of, and our own
}
_FLAGS = [
    flag for name, value in _SETTINGS.items() for flag in ("-c", f"{name}={value}")
]
# A partial clone would fetch what it lacks, one file at a time.
_NO_NETWORK = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
# Not `ext`, which is a command to run, whatever a configuration allows.
_NETWORK = {"GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"}


# A partial clone, if its configuration is read and if it is not.
_LACKING = re.compile(r"promisor remote|unable to read (?:sha1|tree|blob)")


class GitFailed(NixerydError):  # noqa: N818  what happened, not what it is
    """A git command failed; the message is git's own, in one line.

    `status` is what it ended with, 0 if it is not known.
    """

    status = 0


class NoRepository(GitFailed):
    """There is no repository at that place."""


async def git(
    directory: Path,
    *arguments: str,
    network: bool = False,
    environment: Mapping[str, str] | None = None,
    on_stderr_line: LineCallback | None = None,
    most: int | None = None,
) -> str:
    """Run git in a directory; return what it prints. Raises `GitFailed`.

    `most` is how large, in bytes, a file that it writes may become.

    403 if the repository is somebody else's, with the command that trusts it.
    """
    ours = {**_QUIET, **(_NETWORK if network else _NO_NETWORK), **(environment or {})}
    command = ["git", "-C", str(directory), *_FLAGS, *arguments]
    if most is not None:  # in blocks of 512 bytes (POSIX, ulimit)
        limited = ("/bin/sh", "-c", 'ulimit -f "$0" && exec "$@"', str(most // 512))
        command = [*limited, *command]
    try:
        said = await run(
            command, ours, without=_MISLEADING, on_stderr_line=on_stderr_line
        )
    except CommandFailed as error:
        failure = _failure(directory, "\n".join(error.stderr))
        if isinstance(failure, GitFailed):
            failure.status = error.status
        raise failure from error
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
    if _LACKING.search(stderr):
        return GitFailed(
            "the repository lacks some of these files, as a partial clone does: get"
            " them by checking the commit out once"
        )
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return GitFailed(f"git: {(errors or lines or ['it failed'])[0][:300]}")
