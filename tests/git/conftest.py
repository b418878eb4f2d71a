"""Repositories to ask about: real git, nobody's configuration but the tests'."""

import os
import subprocess

import pytest


@pytest.fixture(autouse=True)
def own_configuration(monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def make_repository(tmp_path):
    """Make a repository at `tmp_path/NAME`; gives its `Repo`."""

    def make(name="nixpkgs"):
        repo = Repo(tmp_path / name)
        repo.path.mkdir()
        repo.git("init", "--quiet", "--initial-branch=main")
        return repo

    return make


class Repo:
    def __init__(self, path):
        self.path = path

    def git(self, *arguments):
        """Run git there as a developer with a name; gives what it says."""
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "dev"), ("EMAIL", "dev@localhost"))
        }
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            env={**os.environ, **who},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def write(self, files):
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def commit(self, files):
        """Commit these files; gives the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")
