"""What it costs to tell whether a branch contains a commit, in a long history.

    python -m benchmarks.ancestry [--commits N]

A repository is made with `git fast-import`, merges included, as nixpkgs has them, and
asked by `nixeryd.git.allowed` without git's commit-graph and with one.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import trio

from nixeryd.git.allowed import Allowed
from nixeryd.git.command import GitFailed, git
from nixeryd.git.repository import NoSuchRef, Repository, open_repository

_BEGIN = 1_400_000_000  # seconds, of the first commit
_BETWEEN = 400  # seconds
_NEAR = 2000  # commits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ancestry")
    parser.add_argument("--commits", type=int, default=400_000, metavar="N")
    trio.run(_run, parser.parse_args().commits)


async def _run(commits: int) -> None:
    with tempfile.TemporaryDirectory(prefix="nixeryd-ancestry-") as directory:
        path = Path(directory)
        await trio.to_thread.run_sync(_make, path, commits)
        repository = await open_repository(path)
        for title in ("without a commit-graph", "with one"):
            print(f"{commits} commits, {title}:")
            for name, commit in (await _commits(repository, commits)).items():
                await _ask(repository, name, commit)
            await git(path, "commit-graph", "write", "--reachable", "--no-progress")


async def _ask(repository: Repository, name: str, commit: str) -> None:
    allowed = Allowed()
    took: list[float] = []
    answer = "yes"
    for _ in range(2):
        began = time.perf_counter()
        try:
            await allowed.resolve(repository, commit)
        except NoSuchRef:
            answer = "no"
        except GitFailed as error:
            answer = str(error)
        took.append(time.perf_counter() - began)
    print(f"  {name:22} {took[0]:7.3f} s, again {took[1]:6.3f} s: {answer}")


async def _commits(repository: Repository, commits: int) -> dict[str, str]:
    async def find(name: str) -> str:
        return await git(repository.directory, "rev-parse", f"master~{name}")

    async def hide(parent: str) -> str:
        who = {
            f"GIT_{role}_{what}": "x"
            for role in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        tree = f"{parent}^{{tree}}"
        make = ("commit-tree", "-p", parent, "-m", "hidden", tree)
        return await git(repository.directory, *make, environment=who)

    near, half = await find(str(_NEAR)), await find(str(commits // 4))
    oldest = await find(str(commits // 2 - 2))
    return {
        "a recent one": near,
        "one of half its age": half,
        "the oldest": oldest,
        "hidden, of a recent one": await hide(near),
        "hidden, of the oldest": await hide(oldest),
    }


def _make(path: Path, commits: int) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    importing = ["git", "-C", str(path), "fast-import", "--quiet"]
    with subprocess.Popen(importing, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.writelines(_history(commits))
    subprocess.run(
        ["git", "-C", str(path), "symbolic-ref", "HEAD", "refs/heads/master"],
        check=True,
    )


def _history(commits: int) -> Iterator[str]:
    """Write merges of one commit each, for `git fast-import`."""
    yield "blob\nmark :1\ndata 2\nx\n\n"
    for mark in range(2, commits + 2):
        is_merge = mark % 2 == 1
        branch = "master" if is_merge else "topic"
        when = f"x <x@localhost> {_BEGIN + mark * _BETWEEN} +0000"
        yield (
            f"commit refs/heads/{branch}\nmark :{mark}\ncommitter {when}\n"
            f"data <<end\nupdate {mark}\nend\n"
        )
        if is_merge:
            yield f"from :{max(mark - 2, 2)}\n"
            if mark > 3:
                yield f"merge :{mark - 1}\n"
        elif mark > 2:
            yield f"from :{mark - 1}\n"
        yield f"M 100644 :1 pkgs/{mark % 50}/{mark % 2000}\n\n"


if __name__ == "__main__":
    main()
