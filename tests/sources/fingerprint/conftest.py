import os
import subprocess
from contextlib import asynccontextmanager

import pytest
import trio

from nixeryd.sources.fingerprint import open_checkout

WAYS = {"watched": None, "walked": 0}  # by the limit of watches


class Git:
    """A real git that knows nothing of whoever runs the tests."""

    def __init__(self, directory):
        self.directory = directory
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }

    def __call__(self, *words):
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.directory,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@pytest.fixture
def git():
    return Git


@pytest.fixture
def repository(tmp_path):
    """A small package set, committed on `main`, with another branch `other`."""
    root = tmp_path / "nixpkgs"
    for name in ("hello", "git", "curl"):
        (root / "pkgs" / name).mkdir(parents=True)
        (root / "pkgs" / name / "package.nix").write_text(f"{{ }}: {name}")
    (root / "default.nix").write_text("{ }: import ./pkgs")
    (root / "link.nix").symlink_to("pkgs/hello/package.nix")
    (root / ".gitignore").write_text("ignored*\nresult*\n")
    git = Git(root)
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "first")
    git("switch", "-qc", "other")
    (root / "pkgs" / "hello" / "package.nix").write_text("{ }: another")
    (root / "pkgs" / "only-here").mkdir()
    (root / "pkgs" / "only-here" / "default.nix").write_text("{ }: 1")
    git("add", "-A")
    git("commit", "-qm", "second")
    git("switch", "-q", "main")
    return root


@pytest.fixture
def opened(nursery, tmp_path):
    """Open a checkout and wait until it is; for `async with`."""

    @asynccontextmanager
    async def opened(path, **options):
        home = options.pop("home", tmp_path)
        async with open_checkout(path, nursery, home=home, **options) as checkout:
            with trio.fail_after(60):
                await checkout.wait_opened()
            yield checkout

    return opened


@pytest.fixture(params=WAYS)
def way(request):
    """Options for `opened`: each way to know a tree."""
    return {"watch_limit": WAYS[request.param]}
