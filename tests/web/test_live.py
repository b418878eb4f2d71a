"""Builds and their logs as JSON and as events, over real sockets."""

import json

import pytest
import trio
import trio.testing

from nixeryd.api.builds import Build, Failure, LogPart
from nixeryd.builder import progress as events
from nixeryd.builder.log_tail import MOST
from nixeryd.builder.progress import Progress
from tests.builder.test_build_status import make_run


class Reader:
    """Reads events one by one from an open response."""

    def __init__(self, client):
        self._client = client
        self._text = ""

    async def next(self):
        """Return the next event as (event, id, data); comments are passed over."""
        while True:
            while "\n\n" not in self._text:
                event = await self._client.event()
                if not hasattr(event, "data"):
                    return None
                self._text += bytes(event.data).decode()
            block, _, self._text = self._text.partition("\n\n")
            fields = [line.partition(": ")[::2] for line in block.split("\n")]
            found = dict(reversed(fields))
            if "data" in found:
                data = "\n".join(text for name, text in fields if name == "data")
                return found["event"], found["id"], json.loads(data)


async def read(client, path, **headers):
    await client.ask("GET", path, **headers)
    head = await client.head()
    assert head.status_code == 200
    assert (b"content-type", b"text/event-stream") in list(head.headers)
    return Reader(client)


def watch(control, progress, name="git"):
    return control.board.watch(make_run(name, progress))


async def test_what_goes_on_is_told_when_it_changes(main, control):
    progress = Progress()
    async with await main.connect() as client:
        reader = await read(client, "/api/v1/events")
        assert (await reader.next())[2] == {
            "builds": [],
            "fetches": [],
            "queued": [],
        }
        with watch(control, progress):
            event, _, now = await reader.next()
            assert event == "now"
            assert [build["state"] for build in now["builds"]] == ["running"]
            progress.tell(events.Phase(phase="pack"))
            _, _, now = await reader.next()
            assert now["builds"][0]["phase"] == "pack"
            progress.tell(events.Done(repository="", digest="d", size=1, cached=False))
        _, _, now = await reader.next()
        assert [build["state"] for build in now["builds"]] == ["done"]


async def test_many_changes_are_few_events_and_the_last_is_told(main, control):
    progress = Progress()
    told = 0
    async with await main.connect() as client:
        reader = await read(client, "/api/v1/events")
        await reader.next()
        with watch(control, progress):
            for number in range(1000):
                totals = events.Totals(kind="builds", done=number, expected=1000)
                progress.tell(totals)
                if number % 100 == 0:
                    await trio.testing.wait_all_tasks_blocked()
            while True:
                told += 1
                _, _, now = await reader.next()
                if now["builds"][0]["builds"]["done"] == 999:
                    break
    assert told < 20


async def test_a_log_is_told_once_line_by_line_to_the_end(main, control):
    progress = Progress()
    with watch(control, progress) as build:
        progress.tell(events.LogLine(line="<script>"))
        async with await main.connect() as client:
            reader = await read(client, f"/api/v1/builds/{build.id}/events")
            event, number, part = await reader.next()
            assert (event, number) == ("log", "1")
            assert part == {"start": 0, "total": 1, "lines": ["<script>"]}
            event, _, state = await reader.next()
            assert (event, state["id"]) == ("build", build.id)
            progress.tell(events.LogLine(line="two"))
            event, number, part = await reader.next()
            assert (event, number, part["lines"]) == ("log", "2", ["two"])
        # A browser that comes back says what it has.
        progress.tell(events.LogLine(line="three"))
        async with await main.connect() as client:
            path = f"/api/v1/builds/{build.id}/events"
            reader = await read(client, path, last_event_id="2")
            _, number, part = await reader.next()
            assert (number, part["start"], part["lines"]) == ("3", 2, ["three"])
            progress.tell(events.Failed(message="no"))
            with trio.fail_after(20):
                while (await reader.next())[2].get("state") != "failed":
                    pass
            control.board.running()[0].changes.close()
            assert (await reader.next())[0] == "end"
            assert await reader.next() is None


@pytest.mark.parametrize("told", ["7", "x", "-1", "9" * 99])
async def test_an_id_of_another_log_begins_at_the_start(main, control, told):
    progress = Progress()
    with watch(control, progress) as build:
        progress.tell(events.LogLine(line="one"))
        async with await main.connect() as client:
            path = f"/api/v1/builds/{build.id}/events"
            reader = await read(client, path, last_event_id=told)
            assert (await reader.next())[2]["lines"] == ["one"]


async def test_a_reader_that_is_behind_is_told_how_much_it_missed(main, control):
    progress = Progress()
    with watch(control, progress) as build:
        for number in range(2 * MOST):
            progress.tell(events.LogLine(line=str(number)))
        async with await main.connect() as client:
            reader = await read(client, f"/api/v1/builds/{build.id}/events")
            _, _, part = await reader.next()
    assert part["total"] == 2 * MOST
    assert part["start"] + len(part["lines"]) == part["total"]
    assert part["lines"][-1] == str(2 * MOST - 1)
    assert part["start"] > 0


async def test_streams_end_when_the_daemon_stops(main, control):
    with watch(control, Progress()) as build:
        async with await main.connect() as all_of_it, await main.connect() as one:
            readers = [
                await read(all_of_it, "/api/v1/events"),
                await read(one, f"/api/v1/builds/{build.id}/events"),
            ]
            for reader in readers:
                await reader.next()
            control.board.close()
            for reader in readers:
                while (event := await reader.next()) is not None:
                    assert event[0] != "end", "the build goes on"


async def test_builds_and_failures_are_told_as_they_are_described(main, control):
    progress = Progress()
    with watch(control, progress) as build:
        progress.tell(events.LogLine(line="one"))
        progress.tell(events.Failed(message="no"))
        control.history.add(build.failure(None), build.log_tail())
    (told,) = (await main.get("/api/v1/builds")).json
    assert Build(**{**told, "waiting": ()}).state == "failed"
    assert (await main.get(f"/api/v1/builds/{build.id}")).json == told
    log = (await main.get(f"/api/v1/builds/{build.id}/log?start=0")).json
    assert LogPart(**log).lines == ["one"]
    (failed,) = (await main.get("/api/v1/failures")).json
    assert Failure(**failed).message == "no"
    assert (await main.get(f"/api/v1/failures/{build.id}")).json == failed
    answer = await main.get(f"/api/v1/failures/{build.id}/log")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body == b"one\n"


@pytest.mark.parametrize("what", ["builds/x", "builds/x/log", "builds/x/events"])
@pytest.mark.parametrize("kind", ["builds", "failures"])
async def test_what_is_not_known_is_404(main, what, kind):
    answer = await main.get("/api/v1/" + what.replace("builds", kind))
    assert (answer.status, answer.code) == (404, "UNKNOWN")
