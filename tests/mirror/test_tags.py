"""Lists of tags: the upstream's, whole, or the last it gave."""

import pytest
import trio

from nixeryd.images.errors import RegistryError
from nixeryd.images.routes import Upstream as Route
from nixeryd.images.served_manifests import TagList
from nixeryd.mirror import tags
from tests.mirror.conftest import HOST, ROUTE
from tests.upstream.faults import HangUp, Hold, Reply

LINK = '</v2/library/hello/tags/list?n=2&last=b>; rel="next"'
FIRST = Reply(200, {"Link": LINK}, b'{"tags":["a","b"]}')
SECOND = Reply(body=b'{"tags":["c"]}')
ALL = TagList(("a", "b", "c"))


@pytest.fixture
def two_pages(faults):
    faults.on("tags/list", FIRST)
    faults.on("last=b", SECOND)
    return faults


async def test_a_list_is_all_of_the_upstreams_pages(mirror, two_pages):
    assert await mirror.tags(ROUTE) == ALL
    assert two_pages.count() == 2


async def test_what_follows_the_first_page_is_cut_from_the_same_list(mirror, two_pages):
    await mirror.tags(ROUTE)
    assert await mirror.tags(ROUTE, "a") == ALL
    assert two_pages.count() == 2
    assert await mirror.tags(ROUTE) == ALL
    assert two_pages.count() == 4


async def test_who_asks_for_a_later_page_first_gets_it(mirror, two_pages):
    assert await mirror.tags(ROUTE, "a") == ALL


async def test_pages_that_go_round_have_an_end(mirror, faults):
    faults.on("tags/list", FIRST)
    with trio.fail_after(20):
        assert await mirror.tags(ROUTE) == TagList(("a", "b"))
    assert faults.count() == 2


async def test_pages_without_an_end_are_broken_off(mirror, faults, monkeypatch):
    monkeypatch.setattr(tags, "MOST_TAGS", 10)

    def another(request) -> Reply:
        number = faults.count()
        link = f'</v2/x/tags/list?last={number}>; rel="next"'
        return Reply(200, {"Link": link}, b'{"tags":["%d"]}' % number)

    faults.on("tags/list", another)
    with pytest.raises(RegistryError, match="more than 10 tags") as caught:
        await mirror.tags(ROUTE)
    assert caught.value.code == "DENIED"
    assert faults.count() < 20


@pytest.mark.parametrize(
    "failure", [HangUp(), Reply(429), Reply(500), Reply(body=b"{")]
)
async def test_the_last_answer_serves_when_none_comes(mirror, two_pages, failure):
    await mirror.tags(ROUTE)
    two_pages.on("", failure)
    listed = await mirror.tags(ROUTE)
    assert listed.names == ALL.names
    assert HOST in listed.warning
    with pytest.raises(RegistryError) as caught:
        await mirror.tags(Route(HOST, "library/other"))
    assert (caught.value.status, caught.value.code) == (403, "DENIED")


async def test_of_a_list_never_asked_for_there_is_what_was_pulled(mirror, faults):
    await mirror.manifest(ROUTE, "latest")
    await mirror.manifest(ROUTE, "1.0")
    faults.on("", HangUp())
    listed = await mirror.tags(ROUTE)
    assert listed.names == ("1.0", "latest")
    assert "pulled so far" in listed.warning
    mirror.set_offline(offline=True)
    assert (await mirror.tags(ROUTE)).names == ("1.0", "latest")


async def test_offline_nothing_is_asked(mirror, two_pages):
    await mirror.tags(ROUTE)
    mirror.set_offline(offline=True)
    listed = await mirror.tags(ROUTE)
    assert listed.names == ALL.names
    assert "offline" in listed.warning
    with pytest.raises(RegistryError, match="offline") as caught:
        await mirror.tags(Route(HOST, "other/app"))
    assert caught.value.code == "DENIED"
    assert two_pages.count() == 2


async def test_a_silent_upstream_is_not_waited_for(mirror, two_pages, monkeypatch):
    monkeypatch.setattr(tags, "PATIENCE", 0.01)
    await mirror.tags(ROUTE)
    hold = Hold()
    two_pages.on("", hold)
    listed = await mirror.tags(ROUTE)
    assert listed.names == ALL.names
    assert "did not answer" in listed.warning
    hold.release()


async def test_a_list_that_cannot_be_noted_is_given(setup, mirror, two_pages):
    setup.index.mirrored._db.execute("PRAGMA query_only = ON")
    assert await mirror.tags(ROUTE) == ALL
    assert await mirror.tags(ROUTE, "a") == ALL
    setup.index.mirrored._db.execute("PRAGMA query_only = OFF")
    mirror.set_offline(offline=True)
    with pytest.raises(RegistryError, match="offline"):
        await mirror.tags(ROUTE)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_gone_or_private_is_believed(mirror, two_pages, status):
    await mirror.tags(ROUTE)
    two_pages.on("", Reply(status))
    with pytest.raises(RegistryError) as caught:
        await mirror.tags(ROUTE)
    assert (caught.value.status, caught.value.code) == (404, "NAME_UNKNOWN")


async def test_one_question_for_all_who_ask(mirror, faults):
    hold = Hold()
    faults.on("", SECOND)
    faults.on("", hold, times=1)
    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(mirror.tags, ROUTE)
        await hold.reached.wait()
        await trio.testing.wait_all_tasks_blocked()
        hold.release()
    assert faults.count() == 1
