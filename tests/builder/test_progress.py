"""A build's events: Nix's in our words, and told to all who follow."""

import pytest
import trio

from nixeryd.builder import progress as events
from nixeryd.builder.progress import Progress, of_nix
from nixeryd.nix import progress as nix
from nixeryd.nix.plan import Planned
from nixeryd.nix.transfers import Transferred

DRV = "/nix/store/0000-hello-2.12.drv"
PATH = "/nix/store/1111-hello-2.12"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (nix.BuildStarted(DRV), events.Building(drv=DRV)),
        (nix.BuildPhase(DRV, "check"), events.Building(drv=DRV, phase="check")),
        (nix.BuildStopped(DRV), events.Built(drv=DRV)),
        (nix.BuildLog(DRV, "cc x.c"), events.LogLine(line="hello-2.12> cc x.c")),
        (nix.DownloadStarted(PATH, "cache"), events.Downloading(path=PATH)),
        (
            nix.DownloadProgress(PATH, 3, 7),
            events.Downloading(path=PATH, done=3, expected=7),
        ),
        (nix.DownloadStopped(PATH), events.Downloaded(path=PATH)),
        (
            nix.Totals("builds", 1, 5, 2, 0),
            events.Totals(kind="builds", done=1, expected=5, running=2),
        ),
        (Transferred(3, 7), events.Fetching(done=3, expected=7)),
        (Planned(2, 5, 70, 90), events.Planned(builds=2, downloads=5, size=70)),
        (nix.TransferStarted("http://cache/nar"), None),
        (nix.Message(0, "error: no"), events.LogLine(line="error: no")),
        (nix.Message(1, "warning: old"), events.LogLine(line="warning: old")),
        (nix.Message(3, "copying"), None),
    ],
)
def test_what_nix_says_is_told_in_our_words(said, told):
    assert of_nix(said) == told


async def test_downloads_push_nothing_else_out():
    progress = Progress()
    planned = events.Planned(builds=0, downloads=1, size=9)
    progress.tell(planned)
    for done in range(2 * events.KEPT):
        progress.tell(events.Downloading(path=PATH, done=done, expected=10_000))
        progress.tell(events.Fetching(done=done, expected=10_000))
    progress.tell(events.Downloading(path=f"{PATH}-man"))
    progress.tell(events.Downloaded(path=f"{PATH}-man"))
    with progress.follow() as late:
        progress.close()
        last = 2 * events.KEPT - 1
        assert [event async for event in late] == [
            planned,
            events.Downloading(path=PATH, done=last, expected=10_000),
            events.Fetching(done=last, expected=10_000),
        ]
    with progress.follow() as later:
        assert len([event async for event in later]) == 3
    progress.tell(events.Failed(message="no"))
    with progress.follow() as last_one:
        assert [event async for event in last_one][-1] == events.Failed(message="no")


async def test_who_is_behind_loses_events_and_slows_nobody():
    progress = Progress()
    told = [events.LogLine(line=str(number)) for number in range(events._BEHIND + 5)]
    with progress.follow() as slow:
        for event in told:
            progress.tell(event)
        with progress.follow() as late:
            progress.close()
            with trio.fail_after(20):
                assert [event async for event in slow] == told[:-5]
                assert [event async for event in late] == told[-events.KEPT :]
