"""Commits that anybody can put into a repository: no tag has them evaluated.

A server hands out every object that it has, so that a pull request's commit comes
to who asks for it by its digits. Here is a real one, `git daemon`.
"""

import socket
import subprocess
import threading

import pytest

from nixeryd.git import history
from nixeryd.git.command import GitFailed, git
from nixeryd.images.errors import RegistryError
from tests.git.conftest import make_repository, own_configuration
from tests.sources.conftest import nix, open_configured, package_set, word

__all__ = ["make_repository", "nix", "open_configured", "own_configuration"]


@pytest.fixture
def serve(tmp_path):
    """Serve the repositories below `tmp_path` by git's protocol; gives the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    program = ["git", "daemon", "--inetd", "--export-all", f"--base-path={tmp_path}"]

    def answer():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                subprocess.run(
                    program, stdin=connection, stdout=connection, check=False
                )

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"git://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "id_ed25519"
    file.write_text("private")
    return file


@pytest.fixture
def repo(make_repository, key):
    repo = make_repository("upstream")
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.one = repo.commit({"default.nix": package_set("one")})
    repo.two = repo.commit({"default.nix": package_set("two")})
    stolen = package_set("x").replace("word-x", f"word-${{builtins.readFile {key}}}")
    repo.git("checkout", "--quiet", "--detach")
    repo.evil = repo.commit({"default.nix": stolen})
    repo.git("update-ref", "refs/pull/3/head", "HEAD")
    repo.git("checkout", "--quiet", "main")
    return repo


async def test_a_pull_requests_commit_is_not_evaluated(
    nix, open_configured, repo, serve
):
    async with open_configured(f'[sources.far]\ngit = "{serve}/upstream"') as sources:
        for tag in (repo.evil, repo.evil[:10], "pull-3-head", "refs-pull-3-head"):
            with pytest.raises(RegistryError) as told:
                await word(sources, nix, tag)
            assert told.value.status == 404
            assert "private" not in str(told.value)
        for place in sources.default.remote.directory.parent.iterdir():
            with pytest.raises(GitFailed):
                await git(place, "cat-file", "-e", repo.evil)
        assert await word(sources, nix, repo.one) == "one"
        assert await word(sources, nix, repo.one[:10]) == "one"


async def test_what_the_configuration_adds_reads_nothing(
    nix, open_configured, repo, serve
):
    config = f'[sources.far]\ngit = "{serve}/upstream"\nrefs = ["refs/pull/*"]'
    async with open_configured(config) as sources:
        for tag in ("pull-3-head", repo.evil):
            with pytest.raises(
                RegistryError, match="is forbidden in restricted"
            ) as told:
                await word(sources, nix, tag)
            assert told.value.status == 403
            assert "private" not in str(told.value)


async def test_an_unproven_commit_of_an_older_version_is_not_taken_for_proven(
    nix, open_configured, repo, serve
):
    async with open_configured(f'[sources.far]\ngit = "{serve}/upstream"') as sources:
        assert await word(sources, nix) == "two"
        ours = sources.default.remote.directory
        where = (f"{serve}/upstream", f"+{repo.evil}:refs/nixeryd/{repo.evil}")
        await git(ours, "fetch", "--quiet", "--depth=1", *where, network=True)
        with pytest.raises(RegistryError, match="no branch or tag"):
            await word(sources, nix, repo.evil)


async def test_a_server_that_cannot_leave_files_out_is_told(
    nix, open_configured, repo, serve
):
    repo.git("config", "uploadpack.allowFilter", "false")
    async with open_configured(f'[sources.far]\ngit = "{serve}/upstream"') as sources:
        assert await word(sources, nix, repo.two) == "two", "what a branch means"
        with pytest.raises(
            RegistryError, match=r"uploadpack\.allowFilter.*path"
        ) as told:
            await word(sources, nix, repo.one)
        assert told.value.status == 403


async def test_a_history_without_an_end_is_broken_off(
    nix, open_configured, repo, serve, monkeypatch
):
    monkeypatch.setattr(history, "MOST", 512)
    async with open_configured(f'[sources.far]\ngit = "{serve}/upstream"') as sources:
        with pytest.raises(RegistryError, match="more than 512 B: ask for a branch"):
            await word(sources, nix, repo.one)


async def test_a_commit_that_left_its_branch_is_not_found_any_more(
    nix, open_configured, repo, serve
):
    async with open_configured(f'[sources.far]\ngit = "{serve}/upstream"') as sources:
        assert await word(sources, nix, repo.one[:12]) == "one"
        repo.git("checkout", "--quiet", "--orphan", "new")
        repo.commit({"default.nix": package_set("new")})
        repo.git("branch", "--quiet", "--force", "main", "new")
        sources.default.remote._looked = float("-inf")
        with pytest.raises(RegistryError, match="no branch or tag"):
            await word(sources, nix, repo.two[:12])
