"""Git directories of our own that borrow somebody's objects and nothing else.

Whoever wrote a repository's `.git/config`, its attributes or the user's own
configuration can have git run programs: filters as files are written or compared,
file system monitors, external diffs, commands in submodules. Here git finds no
configuration at all, and attributes that change no byte, so it runs nothing and
files are what the commit has.

https://git-scm.com/docs/gitattributes, https://git-scm.com/docs/git#_environment_variables
"""

from pathlib import Path

from nixeryd.git.command import git
from nixeryd.git.repository import Repository

# $GIT_DIR/info/attributes comes before every .gitattributes. `!` makes an attribute
# unspecified; git takes no `-working-tree-encoding`.
_ATTRIBUTES = (
    "* -text !eol !crlf -ident !filter !working-tree-encoding !diff !merge"
    " -export-subst -export-ignore\n"
)
_SHA1 = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
_SHA256 = (
    "[core]\n\trepositoryformatversion = 1\n\tbare = false\n"
    "[extensions]\n\tobjectFormat = sha256\n"
)
_NO_CONFIGURATION = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    # For git before 2.32, which knows no GIT_CONFIG_GLOBAL.
    "HOME": "/dev/null",
    "XDG_CONFIG_HOME": "/dev/null",
}


def make_neutral(directory: Path, object_format: str) -> None:
    """Write an empty Git directory for "sha1" or "sha256"; an older one stays."""
    config = _SHA256 if object_format == "sha256" else _SHA1
    for name in ("objects", "refs", "info"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "info" / "attributes").write_text(_ATTRIBUTES)
    (directory / "config").write_text(config)
    (directory / "HEAD").write_text("ref: refs/heads/none\n")


async def neutral_git(
    directory: Path,
    repository: Repository,
    *arguments: str,
    work_tree: Path,
    index: Path,
) -> str:
    """Run git in a directory of `make_neutral`, on the objects of a repository.

    Return what it prints. Raises `GitFailed`.
    """
    environment = {
        **_NO_CONFIGURATION,
        "GIT_INDEX_FILE": str(index),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(repository.objects),
    }
    places = (f"--git-dir={directory}", f"--work-tree={work_tree}")
    return await git(work_tree, *places, *arguments, environment=environment)


def _quoted(path: Path) -> str:
    """Write a path as one element of a list that is separated by colons."""
    text = str(path)
    if not text.startswith('"') and ":" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
