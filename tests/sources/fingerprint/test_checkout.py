import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from nixeryd.sources.fingerprint import contents, open_checkout, opening

QUEUE = 1 << 15  # twice the kernel's usual fs.inotify.max_queued_events


async def test_a_directory_without_git_has_a_fingerprint_too(tmp_path, opened, way):
    source = tmp_path / "set"
    source.mkdir()
    (source / "default.nix").write_text("1")
    async with opened(source, **way) as checkout:
        before = await checkout.fingerprint()
        (source / "default.nix").write_text("2")
        after = await checkout.fingerprint()
        (source / "default.nix").write_text("1")
        assert None not in {before, after}
        assert before != after
        assert await checkout.fingerprint() == before


async def test_what_it_sees_while_starting_is_nothing(repository, nursery, tmp_path):
    async with open_checkout(repository, nursery, home=tmp_path) as checkout:
        assert checkout.state == "starting"
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert await checkout.fingerprint() is not None


async def test_the_state_says_how_many_directories_are_watched(repository, opened):
    async with opened(repository) as checkout:
        assert checkout.state == "watching 5 directories"  # and not those in .git


async def test_more_directories_than_may_be_watched_are_compared(repository, opened):
    async with opened(repository, watch_limit=4) as checkout:
        assert checkout.state == (
            "reading file times at each pull: it has more than 4 directories"
        )


async def test_a_tree_that_outgrows_the_limit_is_compared_from_then_on(
    repository, opened
):
    async with opened(repository, watch_limit=5) as checkout:
        before = await checkout.fingerprint()
        (repository / "pkgs" / "new").mkdir()
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert checkout.state.endswith("it has more than 5 directories")
        (repository / "pkgs" / "new").rmdir()
        assert await checkout.fingerprint() == before


KERNEL_LIMIT = """
import pathlib, sys, trio
from nixeryd.sources.fingerprint import open_checkout

async def main():
    async with trio.open_nursery() as nursery:
        path = pathlib.Path(sys.argv[1])
        async with open_checkout(path, nursery, home=path.parent) as checkout:
            await checkout.wait_opened()
            print("STATE", checkout.state, await checkout.fingerprint())

trio.run(main)
"""


@pytest.mark.parametrize("limit", ["watches", "instances"])
async def test_the_kernels_own_limits_name_the_sysctl_to_raise(
    repository, opened, limit
):
    """A user namespace has limits of its own."""
    where = f"/proc/sys/user/max_inotify_{limit}"
    value = {"watches": 3, "instances": 0}[limit]
    script = f'echo {value} > {where} && exec "$0" -c "$1" "$2"'
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", script]
    done = await trio.run_process(
        [*words, sys.executable, KERNEL_LIMIT, repository],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    if b"unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    async with opened(repository) as checkout:
        fingerprint = await checkout.fingerprint()
    [line] = [x for x in done.stdout.decode().splitlines() if x.startswith("STATE")]
    assert f"fs.inotify.max_user_{limit}" in line
    assert line.endswith(f" {fingerprint}")
    assert done.stdout.count(b"not watching a checkout") == 1


async def test_a_queue_that_overflows_is_begun_anew(repository, opened):
    async with opened(repository) as checkout:
        before = await checkout.fingerprint()
        one, two = (repository / "pkgs" / name / "x.nix" for name in ("git", "curl"))
        with one.open("wb", 0) as first, two.open("wb", 0) as second:
            for _ in range(QUEUE // 2):
                first.write(b"1")
                second.write(b"2")
        (repository / "pkgs" / "unseen").mkdir()
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        (repository / "pkgs" / "unseen" / "default.nix").write_text("1")
        seen = await checkout.fingerprint()
        (repository / "pkgs" / "unseen" / "default.nix").write_text("2")
        assert len({None, before, seen, await checkout.fingerprint()}) == 4


async def test_a_flood_is_drained_while_nobody_asks(repository, opened):
    async with opened(repository) as checkout:
        await checkout.fingerprint()
        one, two = (repository / "pkgs" / name / "x.nix" for name in ("git", "curl"))
        with one.open("wb", 0) as first, two.open("wb", 0) as second:
            for number in range(QUEUE):
                first.write(b"1")
                second.write(b"2")
                if number % 1000 == 0:
                    await trio.sleep(0.025)
        assert await checkout.fingerprint() is not None
        assert checkout.state.startswith("watching")


async def test_another_directory_in_its_place_is_noticed(
    repository, git, opened, way, tmp_path
):
    async with opened(repository, **way) as checkout:
        before = await checkout.fingerprint()
        repository.rename(tmp_path / "old")
        git(tmp_path)("clone", "-q", "old", "nixpkgs")
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert await checkout.fingerprint() == before
        (repository / "default.nix").write_text("2")
        assert await checkout.fingerprint() not in {None, before}


async def test_a_source_that_is_a_symlink_follows_it(repository, opened, way, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    source = tmp_path / "source"
    source.symlink_to(repository)
    async with opened(source, **way) as checkout:
        before, changes = await checkout.fingerprint(), checkout.changes
        source.unlink()
        source.symlink_to(other)
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert await checkout.fingerprint() not in {None, before}
        assert checkout.changes > changes


async def test_a_source_that_comes_later_is_found(tmp_path, opened, way):
    source = tmp_path / "later"
    async with opened(source, **way) as checkout:
        assert checkout.state == f"evaluating each time: {source} is not there"
        source.mkdir()
        with trio.fail_after(60):
            while await checkout.fingerprint() is None:
                await checkout.wait_opened()


async def test_a_source_that_goes_away_has_none(repository, opened, way, tmp_path):
    async with opened(repository, **way) as checkout:
        assert await checkout.fingerprint() is not None
        repository.rename(tmp_path / "away")
        assert await checkout.fingerprint() is None


async def test_part_of_a_repository_sees_the_rest_of_it(repository, opened, way):
    """`import ../../default.nix` is no rarity."""
    async with opened(repository / "pkgs" / "hello", **way) as checkout:
        before = await checkout.fingerprint()
        (repository / "default.nix").write_text("2")
        assert await checkout.fingerprint() not in {None, before}


async def test_a_source_may_be_a_file(repository, opened, way):
    async with opened(repository / "default.nix", **way) as checkout:
        before = await checkout.fingerprint()
        new = repository / "new"
        new.write_text("2")
        new.replace(repository / "default.nix")
        assert await checkout.fingerprint() not in {None, before}


async def test_a_link_is_seen_and_what_it_leads_to_outside_is_not(
    repository, opened, way, tmp_path
):
    """That is `outside`'s, if it is read at all."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(repository, **way) as checkout:
        before = await checkout.fingerprint()
        (repository / "more").symlink_to(elsewhere)
        linked = await checkout.fingerprint()
        assert linked not in {None, before}
        (elsewhere / "word").write_text("word")
        assert await checkout.fingerprint() == linked
        (repository / "more").unlink()
        assert await checkout.fingerprint() == before


async def test_edits_undone_between_two_questions_are_counted(repository, opened, way):
    """Else what was evaluated in between would be kept under the wrong name."""
    file = repository / "default.nix"
    text = file.read_text()
    async with opened(repository, **way) as checkout:
        before, changes = await checkout.fingerprint(), checkout.changes
        assert (await checkout.fingerprint(), checkout.changes) == (before, changes)
        file.write_text("2")
        file.write_text(text)
        assert await checkout.fingerprint() == before
        assert checkout.changes > changes


async def test_a_request_that_gives_up_takes_no_event_with_it(repository, opened, way):
    async with opened(repository, **way) as checkout:
        before = await checkout.fingerprint()
        (repository / "default.nix").write_text("2")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(checkout.fingerprint)
                with trio.fail_after(60):
                    while not checkout._lock.locked():
                        await trio.lowlevel.checkpoint()
                scope.cancel()
        assert await checkout.fingerprint() not in {None, before}


async def test_all_who_ask_at_once_share_one_look(repository, opened):
    async with opened(repository, watch_limit=0) as checkout:
        before = checkout._refreshes
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(checkout.fingerprint)
        assert checkout._refreshes - before <= 2


async def test_nothing_is_left_open(repository, nursery, tmp_path):
    def descriptors():
        links = [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        return sorted(str(fd.readlink()) for fd in links)

    before = descriptors()
    for _ in range(3):
        async with open_checkout(repository, nursery, home=tmp_path) as checkout:
            await checkout.wait_opened()
            assert "anon_inode:inotify" in descriptors()
        async with open_checkout(repository, nursery, home=tmp_path):
            await trio.lowlevel.checkpoint()
    assert descriptors() == before


async def test_the_next_daemon_reads_no_file_again(
    repository, opened, way, tmp_path, monkeypatch
):
    monkeypatch.setattr(contents, "SETTLING", -(10**18))  # nothing is too young
    read = []
    genuine = contents.read_file
    monkeypatch.setattr(
        contents,
        "read_file",
        lambda path, name: read.append(name) or genuine(path, name),
    )
    memory = tmp_path / "digests"
    async with opened(repository, memory=memory, **way) as checkout:
        before = await checkout.fingerprint()
    assert b"package.nix" in read
    read.clear()
    (repository / "default.nix").write_text("2")
    async with opened(repository, memory=memory, **way) as checkout:
        assert await checkout.fingerprint() not in {None, before}
    assert read == [b"default.nix"]


@pytest.mark.parametrize(
    "damage", [b"", b"\xc1", b"\0\0\0\1\xc1", b"\0\0\0\5\x92\1\xc4\1/"]
)
async def test_a_memory_that_is_damaged_or_anothers_is_no_memory(
    repository, opened, tmp_path, damage
):
    memory = tmp_path / "digests"
    memory.write_bytes(damage)
    async with opened(repository, memory=memory) as checkout:
        before = await checkout.fingerprint()
    async with opened(repository) as checkout:
        assert await checkout.fingerprint() == before


async def test_a_memory_that_cannot_be_written_is_done_without(
    repository, opened, tmp_path, capsys
):
    async with opened(repository, memory=tmp_path / "no" / "digests") as checkout:
        assert await checkout.fingerprint() is not None
    assert "cannot keep file digests" in capsys.readouterr().out


@pytest.fixture(params=["worktree", "shallow", "sparse", "submodule"])
def kind_of_checkout(request, repository, git, tmp_path):
    """Return the checkout, and where its package set is."""
    kind, at = request.param, git(repository)
    place = tmp_path / kind
    if kind == "worktree":
        at("worktree", "add", "-q", place, "other")
    elif kind == "shallow":
        at("clone", "-q", "--depth=1", f"file://{repository}", place)
    elif kind == "sparse":
        at("clone", "-q", repository, place)
        git(place)("sparse-checkout", "set", "pkgs/hello")
    else:
        at("init", "-q", place)
        git(place)("submodule", "--quiet", "add", str(repository), "part")
    return place, place / "part" if kind == "submodule" else place


async def test_every_kind_of_checkout_is_just_files(git, opened, way, kind_of_checkout):
    place, inside = kind_of_checkout
    file = inside / "pkgs" / "hello" / "package.nix"
    text = file.read_text()
    async with opened(place, **way) as checkout:
        before = await checkout.fingerprint()
        file.write_text("2")
        assert await checkout.fingerprint() not in {None, before}
        file.write_text(text)
        assert await checkout.fingerprint() == before
        git(place)("commit", "-q", "--allow-empty", "-m", "only HEAD moves")
        assert await checkout.fingerprint() not in {None, before}


async def test_what_git_does_inside_its_own_directory_is_not_seen(
    repository, git, opened, way
):
    async with opened(repository, **way) as checkout:
        before, changes = await checkout.fingerprint(), checkout.changes
        (repository / ".git" / "scratch").mkdir()
        git(repository)("gc", "-q")
        git(repository)("status")
        assert (await checkout.fingerprint(), checkout.changes) == (before, changes)


async def test_a_writer_that_never_stops_gets_no_stale_answer(repository, opened, way):
    """Each write that has returned is in the next fingerprint."""
    file = repository / "default.nix"
    loop = "import sys\nwhile True: open(sys.argv[1], 'w').write('12')"
    noisy = repository / "pkgs" / "noise.nix"
    words = [sys.executable, "-c", loop, noisy]
    with subprocess.Popen(words) as writer:  # noqa: ASYNC220  no pipe to wait for
        try:
            async with opened(repository, **way) as checkout:
                for number in range(50):
                    text = f"{number:02}"
                    file.write_text(text)
                    if await checkout.fingerprint() is not None:
                        known = checkout._tree.get(b"")
                        [found] = [f for f in known.files if f.name == b"default.nix"]
                        fresh = contents.read_file(os.fsencode(file), b"")
                        assert found.digest == fresh.digest
        finally:
            writer.kill()


async def test_a_comparison_dearer_than_evaluating_is_not_made(
    repository, opened, monkeypatch
):
    """Nor tried again at once: that would be as dear."""
    monkeypatch.setattr(opening, "_WORTH", 0)
    async with opened(repository, watch_limit=0) as checkout:
        checkout._retry_at = trio.current_time() + 3600
        for _ in range(3):
            assert await checkout.fingerprint() is None
            assert checkout.state == (
                "evaluating each time: comparing its file times takes 0 s"
            )
        checkout._retry_at = 0
        monkeypatch.undo()
        assert await checkout.fingerprint() is None
        await checkout.wait_opened()
        assert await checkout.fingerprint() is not None
