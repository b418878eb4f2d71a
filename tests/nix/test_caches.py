"""Binary caches that are down, slow, lie or lack half: named, bounded, passing.

Against a real HTTP server on the loopback interface, with 35 paths, or 7 where that is
enough.
"""

from dataclasses import replace
from uuid import uuid4

import pytest

from nixeryd.nix.caches import CacheFailed, TooMuchToBuild, cache_of
from nixeryd.nix.limits import Limits
from nixeryd.nix.plan import Planned
from nixeryd.nix.progress import BuildStarted, DownloadStopped, Message
from nixeryd.nix.realise import realise
from nixeryd.nix.transfers import Transferred
from tests.nix import binarycache
from tests.nix.binarycache import chain, chain_of_packages, served_only_by

PATHS = 35
SOME = 7
LARGE = 4_000_000  # bytes: longer than curl's first look at its progress


@pytest.fixture
def cache():
    with binarycache.binary_cache() as cache:
        yield cache


@pytest.fixture
def cached_nix(nix, cache, tmp_path):
    return served_only_by(cache, nix, tmp_path / "home")


@pytest.fixture
def offer(cached_nix, cache, system, tmp_path):
    """Have the cache offer a chain of packages; gives the last one's installable."""

    async def offer(number, size=500):
        source = tmp_path / "set.nix"
        source.write_text(chain(number, str(uuid4())))
        given = cached_nix, cache, source, number, system, size
        return await chain_of_packages(*given)

    return offer


@pytest.fixture
async def top(offer):
    return await offer(SOME)


def limited(nix, **limits):
    return replace(nix, limits=Limits(**limits))


def told(events, kind):
    return [event for event in events if isinstance(event, kind)]


async def test_what_a_cache_has_comes_with_totals(cached_nix, offer, tmp_path):
    events = []
    top = await offer(PATHS, LARGE)
    limited_nix = limited(cached_nix, builds=1, cache_seconds=60)
    await realise(limited_nix, [top], roots=tmp_path, on_event=events.append)
    (planned,) = told(events, Planned)
    assert (planned.builds, planned.downloads) == (0, PATHS)
    assert planned.download_size == pytest.approx(LARGE, rel=0.01)
    moved = told(events, Transferred)
    assert moved[-1].done == pytest.approx(LARGE, rel=0.01)
    for one in moved:
        assert one.expected == pytest.approx(LARGE, rel=0.01)
    assert len(told(events, DownloadStopped)) == PATHS
    assert told(events, BuildStarted) == []


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param((".narinfo", binarycache.HANG, ""), id="hangs when asked"),
        pytest.param((".narinfo", binarycache.BROKEN, "500"), id="is broken"),
        pytest.param((".narinfo", binarycache.LIE, "corrupt"), id="talks nonsense"),
        pytest.param(("-p5.nar", binarycache.HANG, ""), id="does not give a NAR"),
        pytest.param(("-p5.nar", binarycache.STALL, ""), id="stops in a NAR"),
        pytest.param(("-p5.nar", binarycache.CUT, "partial"), id="hangs up in a NAR"),
        pytest.param(("-p5.nar", binarycache.LIE, "bad archive"), id="gives no NAR"),
    ],
)
async def test_a_cache_that_fails_is_named_and_the_next_pull_goes_on(
    cached_nix, cache, top, tmp_path, fault
):
    part, what, said = fault
    cache.faults = lambda path: what if part in path else None
    impatient = limited(cached_nix, cache_seconds=1)
    with pytest.raises(CacheFailed) as caught:
        await realise(impatient, [top], roots=tmp_path)
    assert caught.value.is_transient
    assert caught.value.cache == cache.url
    assert caught.value.message.startswith(f"the binary cache {cache.url} failed: ")
    assert said in caught.value.message
    assert "read-log" not in caught.value.message
    before = len(cache.nars_asked())
    cache.faults = lambda _: None
    await realise(cached_nix, [top], roots=tmp_path)
    if "nar" in part.rpartition("-")[2] and "info" not in part:
        assert "5 store paths have arrived" in caught.value.message
        assert len(cache.nars_asked()) - before == SOME - 5


@pytest.mark.parametrize("fault", [binarycache.BROKEN, binarycache.HANG])
async def test_what_a_silent_cache_makes_us_build_is_said_or_refused(
    cached_nix, cache, top, tmp_path, fault
):
    cache.faults = lambda path: fault if "cache-info" in path else None
    why = f"because {cache.url} does not answer"
    strict = limited(cached_nix, cache_seconds=6, builds=SOME - 1)
    with pytest.raises(TooMuchToBuild, match=why) as caught:
        await realise(strict, [top], roots=tmp_path)
    assert caught.value.builds == SOME
    assert f"{SOME} derivations would have to be built" in caught.value.message
    if fault == binarycache.HANG:
        return  # Nix's patience, once, is enough
    events = []
    willing = limited(cached_nix, cache_seconds=6)
    await realise(willing, [top], roots=tmp_path, on_event=events.append)
    warned = Message(1, f"warning: {SOME} to build, {why}")
    assert events.index(warned) < events.index(told(events, BuildStarted)[0])


async def test_a_cache_that_answers_the_second_time_is_not_called_silent(
    cached_nix, cache, top, tmp_path
):
    failing = iter([binarycache.BROKEN])
    cache.faults = lambda path: next(failing, None) if "cache-info" in path else None
    events = []
    await realise(cached_nix, [top], roots=tmp_path, on_event=events.append)
    assert told(events, Planned)[0].builds == 0
    assert not [m for m in told(events, Message) if "does not answer" in m.text]


async def test_a_cache_that_lacks_what_it_offers_does_not_build_without_end(
    cached_nix, cache, top, tmp_path
):
    """Nix builds what a cache answers 404 for, whatever it said of it before."""
    cache.faults = lambda path: binarycache.MISSING if "/nar/" in path else None
    events = []
    strict = limited(cached_nix, builds=3)
    with pytest.raises(TooMuchToBuild, match="does not have what it offers"):
        await realise(strict, [top], roots=tmp_path, on_event=events.append)
    assert told(events, BuildStarted)


@pytest.mark.parametrize(
    ("url", "cache"),
    [
        ("https://c.example/nix-cache-info", "https://c.example"),
        ("https://c.example/a/b/nar/x.nar.xz", "https://c.example/a/b"),
        ("https://c.example/a/abc.narinfo", "https://c.example/a"),
        ("https://c.example/x/y", "https://c.example"),
        ("/nix/store/x", "/nix/store/x"),
    ],
)
def test_a_file_is_of_a_cache(url, cache):
    assert cache_of(url) == cache
