"""Referrers of mirrored images: the upstream's, page by page, or the last it gave."""

import pytest
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from nixeryd.images.referrers import Referrers
from nixeryd.mirror import referrers
from tests.mirror.conftest import HOST, ROUTE
from tests.upstream.faults import HangUp, Hold, Reply
from tests.upstream.fixtures import IMAGE

SUBJECT = Digest.parse(IMAGE.digest)
PATH = f"/v2/{IMAGE.repository}/referrers/{SUBJECT}"


def item(name: str) -> bytes:
    digest = Digest.of(name.encode())
    return b'{"mediaType":"m","digest":"%s","size":1}' % str(digest).encode()


def page(*names: str, link: str | None = None) -> Reply:
    headers = {} if link is None else {"Link": f'<{link}>; rel="next"'}
    body = b'{"manifests":[%s]}' % b",".join(map(item, names))
    return Reply(200, headers, body)


async def refused(mirror) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        await mirror.referrers(ROUTE, SUBJECT)
    return caught.value


async def test_all_pages_are_one_list(mirror, faults):
    faults.on("referrers", page("a", link=f"{PATH}?page=2"))
    faults.on("page=2", page("b", "a", link=f"{faults.url}{PATH}?page=3"))
    faults.on("page=3", page("c"))
    listed = await mirror.referrers(ROUTE, SUBJECT)
    assert listed == Referrers((item("a"), item("b"), item("c")))
    assert faults.count() == 3
    assert "image.index" in faults.seen[0].headers["accept"]


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test" + PATH,
        "/v2/library/other/referrers/x",
        PATH,
        "http://[::1",
        "",
    ],
)
async def test_what_is_no_next_page_is_not_asked_for(mirror, faults, link):
    faults.on("referrers", page("a", link=link))
    assert await mirror.referrers(ROUTE, SUBJECT) == Referrers((item("a"),))
    assert faults.count() == 1


async def test_pages_without_an_end_are_broken_off(mirror, faults):
    faults.on("referrers", lambda _: page("a", link=f"{PATH}?page={faults.count()}"))
    error = await refused(mirror)
    assert (error.code, "pages" in error.message) == ("DENIED", True)
    assert faults.count() == 100


async def test_an_upstream_without_this_api_is_404(mirror, faults):
    """A real one: docker-registry 2.8 has none."""
    assert (await refused(mirror)).status == 404
    mirror.set_offline(offline=True)
    assert (await refused(mirror)).status == 404
    assert faults.count() == 1


@pytest.mark.parametrize("failure", [HangUp(), Reply(429), Reply(500), Reply()])
async def test_the_last_list_serves_when_none_comes(mirror, faults, failure):
    faults.on("referrers", page("a"))
    await mirror.referrers(ROUTE, SUBJECT)
    faults.on("", failure)
    listed = await mirror.referrers(ROUTE, SUBJECT)
    assert listed.items == (item("a"),)
    assert HOST in listed.warning


async def test_what_was_never_asked_for_is_denied_while_it_cannot_be(mirror, faults):
    faults.on("", HangUp())
    assert (await refused(mirror)).status == 403
    mirror.set_offline(offline=True)
    error = await refused(mirror)
    assert (error.status, "offline" in error.message) == (403, True)


async def test_the_tag_that_stands_in_is_not_there_while_it_cannot_be_asked_for(
    mirror, faults
):
    """Or containerd would break off the pull of an image that is here."""
    faults.on("", HangUp())
    for _ in range(2):
        with pytest.raises(RegistryError) as caught:
            await mirror.manifest(ROUTE, str(SUBJECT).replace(":", "-"))
        assert caught.value.code == "MANIFEST_UNKNOWN"
        mirror.set_offline(offline=True)


async def test_a_silent_upstream_is_not_waited_for(mirror, faults, monkeypatch):
    monkeypatch.setattr(referrers, "PATIENCE", 0.01)
    hold = Hold()
    faults.on("referrers", hold, times=1)
    faults.on("referrers", page("a"), times=1)
    with trio.fail_after(20):
        await mirror.referrers(ROUTE, SUBJECT)
        listed = await mirror.referrers(ROUTE, SUBJECT)
    assert "did not answer" in listed.warning
    hold.release()
