"""What a build looks like while it runs, and that watching it stays small."""

import tracemalloc
from types import SimpleNamespace

import pytest
import trio

from nixeryd.api.builds import Transfer
from nixeryd.builder import progress as events
from nixeryd.builder.build_monitor import BuildMonitor
from nixeryd.builder.log_tail import LONGEST, MOST, MOST_BYTES, LogTail
from nixeryd.builder.progress import Progress
from nixeryd.builder.run import Run
from nixeryd.images.names import NamePolicy, parse_image
from nixeryd.runtime.changes import Changes
from nixeryd.runtime.flight import Waiters

HELLO = "/nix/store/00000000000000000000000000000000-hello-2.12.drv"
GLIBC = "/nix/store/11111111111111111111111111111111-glibc-2.40"


@pytest.fixture
def board():
    return BuildMonitor(Changes())


def make_run(name, progress):
    """A run of `name`, whose source is only a name."""
    image = parse_image(tuple(name.split("/")), NamePolicy("x86_64-linux"))
    return Run(image, "latest", SimpleNamespace(name="here"), 0.0, progress)


def watch(board, progress, waiters=None):
    run = make_run("git/curl", progress)
    if waiters is not None:
        run.flight.waiters = waiters
    return board.watch(run)


async def test_events_add_up_to_what_is_so_now(board):
    progress = Progress()
    with watch(board, progress) as build:
        progress.tell(events.Phase(phase="realise"))
        progress.tell(events.Totals(kind="builds", done=1, expected=3, running=1))
        progress.tell(events.Totals(kind="downloads", done=4, expected=9))
        progress.tell(events.Building(drv=HELLO, phase="unpackPhase"))
        progress.tell(events.Building(drv=HELLO, phase="buildPhase"))
        progress.tell(events.Downloading(path=GLIBC, done=5, expected=9))
        told = build.snapshot()
        assert (told.state, told.phase, told.name) == ("running", "realise", "git/curl")
        assert [(d.name, d.phase) for d in told.derivations] == [
            ("hello-2.12", "buildPhase")
        ]
        assert [(d.name, d.done, d.expected) for d in told.downloads] == [
            ("glibc-2.40", 5, 9)
        ]
        assert (told.builds.done, told.builds.expected) == (1, 3)
        assert (told.fetches.done, told.fetches.expected) == (4, 9)
        progress.tell(events.Built(drv=HELLO))
        progress.tell(events.Downloaded(path=GLIBC))
        assert not build.snapshot().derivations
        assert not build.snapshot().downloads
        progress.tell(events.LayerDone(done=1, total=2, size=100, cached=False))
        progress.tell(events.Done(repository="", digest="x", size=7, cached=False))
    assert board.running() == []
    (ended,) = board.ended()
    told = ended.snapshot()
    assert (told.state, told.size, told.digest, told.packed) == ("done", 7, "x", 100)
    assert board.find(told.id) is ended


async def test_downloads_have_a_total_a_speed_and_an_end(board, autojump_clock):
    progress = Progress()
    with watch(board, progress) as build:
        progress.tell(events.Phase(phase="realise"))
        progress.tell(events.Planned(builds=0, downloads=2, size=10_000))
        progress.tell(events.Downloading(path=GLIBC))
        assert (build.snapshot().transfer.expected, build.snapshot().transfer.left) == (
            10_000,
            None,
        )
        await trio.sleep(2)
        progress.tell(events.Downloading(path=GLIBC, done=3000, expected=9000))
        progress.tell(events.Fetching(done=2000, expected=10_000))
        told = build.snapshot()
        assert told.transfer == Transfer(2000, 10_000, 1000, 8.0)
        assert told.downloads[0].rate == 1500
        progress.tell(events.Downloaded(path=GLIBC))
        assert build.snapshot().transfer == Transfer(2000, 10_000), "nothing comes now"


async def test_what_nix_does_not_say_has_ended_is_told_by_its_silence(board):
    def drv(name):
        return f"/nix/store/{'0' * 32}-{name}.drv"

    progress = Progress()
    with watch(board, progress) as build:

        def told():
            return [one.name for one in build.snapshot().derivations]

        for name in "abc":
            progress.tell(events.Building(drv=drv(name)))
        progress.tell(events.Totals(kind="builds", done=0, expected=3, running=3))
        assert told() == ["a", "b", "c"]
        progress.tell(events.LogLine(line="a> still at it"))
        progress.tell(events.Building(drv=drv("c"), phase="buildPhase"))
        progress.tell(events.Totals(kind="builds", done=1, expected=3, running=2))
        assert told() == ["a", "c"], "b was the last to say anything"
        progress.tell(events.Totals(kind="builds", done=3, expected=3, running=0))
        assert told() == []


async def test_who_waits_is_named(board):
    waiters = Waiters()
    with watch(board, Progress(), waiters) as build:
        version = board.changes.version
        with waiters.added("docker"), waiters.added("docker"), waiters.added(""):
            assert build.snapshot().waiting == ("docker", "docker")
        assert board.changes.version > version
        assert build.snapshot().waiting == ()


async def test_a_log_line_wakes_only_who_reads_the_log(board):
    progress = Progress()
    with watch(board, progress) as build:
        everybody, readers = board.changes.version, build.changes.version
        progress.tell(events.LogLine(line="checking for gcc"))
        assert board.changes.version == everybody
        assert build.changes.version > readers
        assert build.log(0).lines == ("checking for gcc",)


async def test_what_was_cut_off_is_not_shown_as_ended(board):
    with watch(board, Progress()) as build:
        pass
    assert board.ended() == []
    assert build.changes.is_closed


async def test_only_the_last_builds_are_kept(board):
    for _ in range(30):
        progress = Progress()
        with watch(board, progress) as build:
            progress.tell(events.Failed(message="no"))
    assert len(board.ended()) == 12
    assert board.ended()[0] is build


def test_lines_have_numbers_and_the_oldest_go():
    lines = LogTail()
    for number in range(MOST + 10):
        lines.add(str(number))
    assert (lines.start, lines.total) == (10, MOST + 10)
    assert lines.since(0)[0] == 10
    assert lines.since(MOST) == (MOST, tuple(map(str, range(MOST, MOST + 10))))
    assert lines.since(0, most=2) == (MOST + 8, (str(MOST + 8), str(MOST + 9)))
    assert lines.since(MOST + 10) == (MOST + 10, ())


def test_long_lines_are_cut_and_many_of_them_take_bounded_memory():
    lines = LogTail()
    tracemalloc.start()
    for _ in range(20_000):
        lines.add("x" * 100_000)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < MOST_BYTES * 1.2
    assert len(lines.since(0)[1][0]) < LONGEST + 10
