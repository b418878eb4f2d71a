"""Lists of tags: the upstream's, page by page, or the last it gave."""

import pytest
import trio

from nixeryd.images.errors import RegistryError
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served import TagPage
from nixeryd.mirror import tags
from tests.mirror.conftest import HOST, ROUTE
from tests.upstream.faults import HangUp, Hold, Reply

LINK = '</v2/library/hello/tags/list?n=2&last=b>; rel="next"'
FIRST = Reply(200, {"Link": LINK}, b'{"tags":["a","b"]}')


async def test_a_page_is_the_upstreams(mirror, faults):
    faults.on("list\\?n=2$", FIRST)
    faults.on("list\\?n=2&last=b", Reply(body=b'{"tags":["c"]}'))
    assert await mirror.tags(ROUTE, 2, None) == TagPage(("a", "b"), "b")
    assert await mirror.tags(ROUTE, 2, "b") == TagPage(("c",))
    assert await mirror.tags(ROUTE, 2, "b") == TagPage(("c",))
    assert faults.count() == 3


@pytest.mark.parametrize(
    "failure", [HangUp(), Reply(429), Reply(500), Reply(body=b"{")]
)
async def test_the_last_answer_serves_when_none_comes(mirror, faults, failure):
    faults.on("", FIRST, times=1)
    await mirror.tags(ROUTE, 2, None)
    faults.on("", failure)
    page = await mirror.tags(ROUTE, 2, None)
    assert (page.tags, page.next_last) == (("a", "b"), "b")
    assert HOST in page.warning
    with pytest.raises(RegistryError) as caught:
        await mirror.tags(ROUTE, 3, None)
    assert (caught.value.status, caught.value.code) == (404, "NAME_UNKNOWN")


async def test_offline_nothing_is_asked(mirror, faults):
    faults.on("", FIRST)
    await mirror.tags(ROUTE, 2, None)
    mirror.set_offline(offline=True)
    page = await mirror.tags(ROUTE, 2, None)
    assert page.tags == ("a", "b")
    assert "offline" in page.warning
    with pytest.raises(RegistryError, match="offline"):
        await mirror.tags(Route(HOST, "other/app"), None, None)
    assert faults.count() == 1


async def test_a_silent_upstream_is_not_waited_for(mirror, faults, monkeypatch):
    monkeypatch.setattr(tags, "PATIENCE", 0.01)
    hold = Hold()
    faults.on("", FIRST)
    await mirror.tags(ROUTE, 2, None)
    faults.on("", hold)
    page = await mirror.tags(ROUTE, 2, None)
    assert page.tags == ("a", "b")
    assert "did not answer" in page.warning
    hold.release()


async def test_a_page_that_cannot_be_noted_is_given(setup, mirror, faults):
    faults.on("", FIRST)
    setup.index.mirrored._db.execute("PRAGMA query_only = ON")
    page = await mirror.tags(ROUTE, 2, None)
    assert (page.tags, page.warning) == (("a", "b"), None)
    setup.index.mirrored._db.execute("PRAGMA query_only = OFF")
    mirror.set_offline(offline=True)
    with pytest.raises(RegistryError, match="offline"):
        await mirror.tags(ROUTE, 2, None)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_gone_or_private_is_believed(mirror, faults, status):
    faults.on("", FIRST, times=1)
    await mirror.tags(ROUTE, 2, None)
    faults.on("", Reply(status))
    with pytest.raises(RegistryError) as caught:
        await mirror.tags(ROUTE, 2, None)
    assert caught.value.status == 404


async def test_one_question_for_all_who_ask(mirror, faults):
    hold = Hold()
    faults.on("", FIRST)
    faults.on("", hold, times=1)
    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(mirror.tags, ROUTE, 2, None)
        await hold.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    assert faults.count() == 1
