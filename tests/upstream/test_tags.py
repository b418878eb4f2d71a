import pytest

from nixeryd.upstream import (
    UpstreamBroken,
)
from tests.upstream.faults import Reply
from tests.upstream.fixtures import IMAGE

REPOSITORY = IMAGE.repository


async def test_tags_are_listed(upstream, registry):
    registry.push(IMAGE, "latest", "1.0")
    page = await upstream.tags(REPOSITORY)
    assert {"1.0", "latest"} <= set(page.names)
    assert page.next_last is None


async def test_a_page_of_tags_names_the_next(upstream, faults):
    link = f'</v2/{REPOSITORY}/tags/list?last=b&n=2>; rel="next"'
    faults.on("tags/list", Reply(200, {"Link": link}, b'{"tags":["a","b"]}'))
    page = await upstream.tags(REPOSITORY, n=2, last="0+1")
    assert (page.names, page.next_last) == (("a", "b"), "b")
    assert faults.seen[0].target.endswith("tags/list?n=2&last=0%2B1")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"tags":"a"}', b"[" * 99_999])
async def test_a_list_of_tags_that_is_none_is_refused(upstream, faults, body):
    faults.on("", Reply(body=body))
    with pytest.raises(UpstreamBroken, match="tags"):
        await upstream.tags(REPOSITORY)


async def test_a_list_of_tags_has_an_end(upstream, faults):
    faults.on("", Reply(body=b" " * (16 << 20) + b'{"tags":[]}'))
    with pytest.raises(UpstreamBroken, match="16777216"):
        await upstream.tags(REPOSITORY)


@pytest.mark.parametrize(
    ("link", "next_last"),
    [
        ('</v2/x/tags/list?next_page=opaque&n=2>; rel="next"', "b"),
        ('<http://[::1>; rel="next"', "b"),
        ('</v2/x/tags/list?last=z>; rel="prev"', None),
        ("nonsense", None),
    ],
)
async def test_the_next_page_follows_the_last_tag(upstream, faults, link, next_last):
    faults.on("tags/list", Reply(200, {"Link": link}, b'{"tags":["a","b"]}'))
    assert (await upstream.tags(REPOSITORY)).next_last == next_last


async def test_no_tags_may_be_null_and_nonsense_is_dropped(upstream, faults):
    faults.on("", Reply(body=b'{"tags":["ok",7,"../x","a b"]}'))
    assert (await upstream.tags(REPOSITORY)).names == ("ok",)
    faults.on("", Reply(body=b'{"tags":null}'))
    assert (await upstream.tags(REPOSITORY)).names == ()
