"""What a repository or a configuration would have git run: none of it runs.

Each way is a canary, a program that leaves a file behind if it is started.
"""

import pytest

from nixeryd.git.allowed import Allowed
from nixeryd.git.repository import open_repository
from nixeryd.git.trees import Trees
from nixeryd.sources.directory import describe

ATTRIBUTES = "* filter=evil diff=evil ident text eol=crlf\n"
# Each setting, with the canary for its value.
SETTINGS = [
    "core.fsmonitor",
    "core.sshCommand",
    "core.gitProxy",
    "core.pager",
    "core.editor",
    "core.askPass",
    "core.alternateRefsCommand",
    "credential.helper",
    "diff.evil.command",
    "diff.evil.textconv",
    "diff.external",
    "filter.evil.clean",
    "filter.evil.process",
    "filter.evil.smudge",
    "gpg.program",
    "remote.origin.uploadpack",
    "remote.origin.vcs",
    "uploadpack.packObjectsHook",
]


@pytest.fixture
def repo(make_repository):
    repo = make_repository()
    repo.one = repo.commit({"default.nix": "1\n", "a.txt": "$Id$\n"})
    repo.two = repo.commit({"default.nix": "2\n", ".gitattributes": ATTRIBUTES})
    return repo


@pytest.fixture
def canary(tmp_path):
    program = tmp_path / "canary"
    program.write_text(f"#!/bin/sh\n: > {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def config_at(repo, tmp_path, monkeypatch):
    """Write settings into the repository's configuration, the user's, or a third."""

    def write(place, settings):
        own = repo.path / ".git" / "config"
        file = own if place == "repository" else tmp_path / "gitconfig"
        for name, value in settings.items():
            repo.git("config", f"--file={file}", name, str(value))
        if place == "global":
            monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file))
        elif place == "included":
            repo.git("config", f"--file={own}", "include.path", str(file))

    return write


def assert_silent(tmp_path, what):
    assert not (tmp_path / "ran").exists(), f"{what} ran"


async def ask_everything(repo, tmp_path):
    """Look refs up, lay commits out, and tell whether the working tree is dirty."""
    repository = await open_repository(repo.path)
    for ref in ("main", "HEAD", repo.one, repo.one[:8]):
        await Allowed().resolve(repository, ref)
    trees = Trees(tmp_path / "trees")
    for commit in (repo.one, repo.two, repo.one):
        async with trees.hold(repository, commit):
            pass
    async with Trees(tmp_path / "trees").hold(repository, repo.two) as tree:
        text = (tree / "a.txt").read_bytes()
    # Files that look changed, so that git has to read them.
    for file in ("default.nix", "a.txt"):
        (repo.path / file).touch()
    return text, await describe(repo.path)


@pytest.mark.parametrize("place", ["repository", "global", "included"])
@pytest.mark.parametrize("without", ["filter.evil.process", "filter.evil.clean"])
async def test_no_setting_runs_anything(repo, canary, config_at, place, without):
    """All settings at once; of a filter's commands, git would run one kind only."""
    config_at(place, {name: canary for name in SETTINGS if name != without})
    said, revision = await ask_everything(repo, canary.parent)
    assert not (canary.parent / "ran").exists()
    assert said == b"$Id$\n", "as it was committed"
    assert revision == repo.two


async def test_no_submodule_runs_anything(repo, canary, tmp_path, make_repository):
    inner = make_repository("inner")
    inner.commit({"file": "1"})
    add = ("-c", "protocol.file.allow=always", "submodule", "add", "--quiet")
    repo.git(*add, str(inner.path), "inner")
    repo.two = repo.commit({"default.nix": "3\n"})
    # A submodule's own configuration: `git status` enters it and asks its monitor.
    with (repo.path / ".git" / "modules" / "inner" / "config").open("a") as config:
        config.write(f"[core]\nfsmonitor = {canary}\n")
    (repo.path / "inner" / "file").write_text("2")
    _, revision = await ask_everything(repo, tmp_path)
    assert_silent(tmp_path, "a submodule's monitor")
    assert revision == repo.two


async def test_no_hook_and_no_template_runs(repo, canary, tmp_path, monkeypatch):
    hooks = [repo.path / ".git" / "hooks", tmp_path / "template" / "hooks"]
    for directory in hooks:
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "post-index-change", "reference-transaction"):
            (directory / name).symlink_to(canary)
    (tmp_path / "gitconfig").write_text(f"[init]\ntemplateDir = {tmp_path}/template\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    await ask_everything(repo, tmp_path)
    assert_silent(tmp_path, "a hook")


@pytest.mark.parametrize(
    "change",
    [
        ({"default.nix": "changed\n"}, "-dirty"),
        ({"untracked": "u"}, ""),
    ],
)
async def test_a_changed_file_is_told_all_the_same(repo, tmp_path, change):
    files, ending = change
    repo.write(files)
    assert await describe(repo.path) == repo.two + ending
    listed = (repo.path / ".git" / "index").read_bytes()
    assert await describe(repo.path) == repo.two + ending
    assert (repo.path / ".git" / "index").read_bytes() == listed


async def test_a_deleted_or_staged_file_is_a_change(repo):
    repo.git("rm", "--quiet", "--cached", "a.txt")
    assert await describe(repo.path) == f"{repo.two}-dirty"
    repo.git("reset", "--quiet")
    assert await describe(repo.path) == repo.two
    (repo.path / "a.txt").unlink()
    assert await describe(repo.path) == f"{repo.two}-dirty"


async def test_a_checkout_in_a_linked_worktree_is_described(repo, tmp_path):
    repo.git("worktree", "add", "--quiet", str(tmp_path / "linked"), repo.one)
    assert await describe(tmp_path / "linked") == repo.one
    (tmp_path / "linked" / "default.nix").write_text("changed")
    assert await describe(tmp_path / "linked") == f"{repo.one}-dirty"
