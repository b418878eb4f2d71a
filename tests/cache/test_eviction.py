"""Eviction carried out: what is there afterwards, and what nobody may lose."""

import math

import pytest
import trio
import trio.testing

from nixeryd.cache.eviction import GRACE, RETRY, Evictor
from nixeryd.images.digests import Digest
from nixeryd.images.freshness import Entry
from nixeryd.store.index import StoredManifest
from nixeryd.store.mirrored import UpstreamRepository
from nixeryd.store.names import Kind
from nixeryd.store.snapshot import read_holdings
from tests.cache.conftest import KB


@pytest.fixture
def make(shelf):
    """Return an evictor of the shelf; what it ended is in `.ended` and `.gone`."""

    def make(cap=None, **options):
        ended, gone = [], []
        evictor = Evictor(
            shelf.blobs,
            shelf.index,
            shelf.index_path,
            shelf.uses,
            cap=cap,
            on_forgotten=lambda name: ended.append(name.repository),
            on_gone=gone.append,
            **options,
        )
        evictor.ended, evictor.gone = ended, gone
        return evictor

    return make


async def test_the_least_recently_used_image_goes_and_all_that_told_of_it(shelf, make):
    old = shelf.image("old", "base", "a", used=1)
    shelf.image("new", "base", "b", used=2)
    layer = shelf.index.layer("a").digest
    evictor = make()
    evicted = await evictor.evict(250 * KB)
    assert [name.repository for name in evicted.names] == ["old"]
    assert evictor.ended == ["old"]
    assert evictor.gone == [str(old)]
    assert evicted.left == shelf.size <= 250 * KB
    assert evicted.manifests == 1
    assert shelf.names == {"new"}
    assert shelf.index.manifest(old) is None
    assert shelf.index.build("old") is None
    assert shelf.index.layer("a") is None
    assert shelf.blobs.size(layer) is None
    assert shelf.index.layer("base") is not None
    shelf.check()


async def test_a_use_that_is_not_written_yet_counts(shelf, make):
    first = shelf.image("first", "a", used=1)
    shelf.image("second", "b", used=2)
    shelf.uses.manifest(first)
    shelf.blobs.leases._until.clear()
    await make().evict(150 * KB)
    assert shelf.names == {"first"}


async def test_a_dry_run_says_the_same_and_does_nothing(shelf, make):
    shelf.image("old", "base", "a", used=1)
    shelf.image("new", "base", "b", used=2)
    evictor = make()
    foreseen = await evictor.evict(250 * KB, dry_run=True)
    assert shelf.names == {"old", "new"}
    shelf.check()
    assert await evictor.evict(250 * KB) == foreseen


async def test_what_is_pinned_stays_whatever_it_leads_to(shelf, make):
    shelf.image("one", "a", used=1)
    shelf.image("two", "b", used=2)
    shelf.index.names.pin(shelf.index.names.find(Kind.NIX, '"one"', "latest"))
    shelf.image("one", "c", used=0)
    await make().evict(0)
    assert shelf.names == {"one"}
    assert shelf.index.layer("c") is not None
    assert shelf.index.layer("a") is None
    shelf.check()
    shelf.index.names.unpin(shelf.index.names.find(Kind.NIX, '"one"', "latest"))
    await make().evict(0)
    assert shelf.size == 0


async def test_what_a_client_asked_for_just_now_stays(shelf, make):
    old = shelf.image("old", "a", used=1)
    shelf.image("new", "b", used=2)
    shelf.uses.manifest(old)
    evicted = await make().evict(0)
    assert shelf.names == {"old"}
    assert evicted.left > 0
    shelf.check()


async def test_what_a_build_counts_on_stays_though_its_image_goes(shelf, make):
    shelf.image("old", "shared", "a", used=1)
    shared = shelf.index.layer("shared")
    with shelf.blobs.leases.open() as lease:
        lease.add(shared.digest)
        await make().evict(0)
    assert shelf.names == set()
    assert shelf.index.layer("shared") == shared
    assert shelf.size == shared.size


async def test_what_is_leased_while_the_plan_is_made_stays(shelf, make):
    for number in range(5):
        shelf.image(f"image{number}", f"layer{number}", used=number)
    layer = shelf.index.layer("layer2")
    with shelf.blobs.leases.open() as lease:
        # A plan asks for the time: in that moment a build finds the layer.
        evictor = make(now=lambda: lease.add(layer.digest) or 0.0)
        await evictor.evict(0)
    assert shelf.names == set()
    assert shelf.size == layer.size
    shelf.check()


@pytest.mark.parametrize("spare_pulls", [True, False])
async def test_what_a_build_found_and_used_while_the_plan_was_made_stays(
    shelf, make, spare_pulls
):
    """Its lease has ended by then, and its image is in no plan (found by torture)."""
    shelf.image("old", "shared", "a", used=1)

    def build():
        if "new" not in shelf.names:
            with shelf.blobs.leases.open() as lease:
                lease.add(shelf.index.layer("shared").digest)
                shelf.image("new", "shared", "b", used=2)

    def build_in_between():
        trio.from_thread.run_sync(build)  # a plan, in a thread, asks for the time
        return 0.0

    evicted = await make(now=build_in_between).evict(150 * KB, spare_pulls=spare_pulls)
    assert evicted.left == shelf.size
    shelf.check()


@pytest.mark.parametrize("spare_pulls", [True, False])
@pytest.mark.parametrize("looking_at", ["index", "blobs"])
async def test_what_a_build_counted_on_before_the_plan_and_let_go_meanwhile_stays(
    shelf, make, monkeypatch, looking_at, spare_pulls
):
    """Its lease ends after the look at the manifests (found by torture)."""
    shelf.image("old", "shared", "a", used=1)
    lease = shelf.blobs.leases.open()
    lease.__enter__().add(shelf.index.layer("shared").digest)

    def end_build():
        if "new" not in shelf.names:
            shelf.image("new", "shared", "b", used=2)
            lease.__exit__(None, None, None)

    def after_reading(path):
        holdings = read_holdings(path)
        trio.from_thread.run_sync(end_build)
        return holdings

    def after_scanning():
        found = list(scan())
        trio.from_thread.run_sync(end_build)
        return found

    scan = shelf.blobs.scan
    if looking_at == "index":
        monkeypatch.setattr("nixeryd.cache.eviction.read_holdings", after_reading)
    else:
        monkeypatch.setattr(shelf.blobs, "scan", after_scanning)
    evictor = make()
    shelf.blobs.on_growth = evictor.grow
    await evictor.evict(150 * KB, spare_pulls=spare_pulls)
    monkeypatch.undo()  # the check lists, too
    assert shelf.names == {"new"}
    assert evictor.total == shelf.size
    shelf.check()


@pytest.mark.parametrize("spare_pulls", [True, False])
async def test_what_is_pinned_while_the_plan_is_made_stays(shelf, make, spare_pulls):
    shelf.image("other", "a", used=1)
    shelf.image("image", "b", used=2)
    (name,) = (one for one in shelf.index.names.all() if one.repository == "image")

    def pin():
        shelf.blobs.leases.pin(name.manifest)
        shelf.index.names.pin(name)

    def pin_in_between():
        trio.from_thread.run_sync(pin)  # a plan, in a thread, asks for the time
        return 0.0

    await make(now=pin_in_between).evict(0, spare_pulls=spare_pulls)
    assert shelf.names == {"image"}
    shelf.check()


async def test_whoever_asks_for_room_gets_that_of_images_pulled_lately(shelf, make):
    shelf.uses.manifest(shelf.image("pulled", "a", used=1))
    shelf.image("building", "b", used=1)
    with shelf.blobs.leases.open() as lease:
        lease.add(shelf.index.names.find(Kind.NIX, '"building"', "latest").manifest)
        await make().evict(0, spare_pulls=False)
    assert shelf.names == {"building"}
    shelf.check()


async def test_a_name_is_removed_with_what_only_it_leads_to(shelf, make):
    shelf.image("one", "base", "a", used=1)
    shelf.image("two", "base", "b", used=2)
    name = shelf.index.names.find(Kind.NIX, '"one"', "latest")
    shelf.uses.manifest(name.manifest)
    evictor = make()
    removed = await evictor.remove([name])
    assert [str(one) for one in removed.names] == ["one:latest"]
    assert evictor.ended == ["one"]
    assert evictor.gone == [str(name.manifest)]
    assert removed.manifests == 1
    assert removed.left == shelf.size
    assert shelf.names == {"two"}
    assert shelf.index.layer("a") is None
    shelf.check()


async def test_what_has_another_name_stays_when_one_is_removed(shelf, make):
    digest = shelf.image("one", "a", used=1)
    shelf.index.set_tag('"one"', "work", "one", digest, 1)
    evictor = make()
    removed = await evictor.remove([shelf.index.names.find(Kind.NIX, '"one"', "work")])
    assert (removed.freed, removed.manifests) == (0, 0)
    assert evictor.gone == []
    assert [str(name) for name in shelf.index.names.all()] == ["one:latest"]
    shelf.check()


async def test_a_mirrored_image_goes_with_what_its_index_names(shelf, make):
    shelf.image("nix", "base", used=1)
    place = UpstreamRepository("docker.io", "library/nginx")
    base = shelf.index.layer("base").digest
    digests = []
    for body, needs in [(b"amd64", (base, shelf.layer("n").digest)), (b"index", ())]:
        digest = shelf.blobs.put(body)
        stored = StoredManifest(digest, "type", needs or tuple(digests), 0)
        shelf.index.add_manifest(stored)
        shelf.index.mirrored.add_manifest(place, digest, "type")
        digests.append(digest)
    for tag, gone in [("1.27", False), ("1.0", True)]:
        shelf.index.mirrored.set_tag(place, tag, Entry(digests[1], 5.0, gone))
    name = shelf.index.names.find(Kind.MIRRORED, str(place), "1.27")
    assert str(name) == "docker.io/library/nginx:1.27"
    assert (name.manifest, name.since) == (digests[1], 5.0)
    assert shelf.index.names.find(Kind.MIRRORED, str(place), "1.0") is None
    removed = await make().remove([name])
    assert removed.manifests == 2
    assert shelf.names == {"nix"}
    assert shelf.index.mirrored.places(digests[0]) == []
    assert shelf.blobs.size(base) is not None
    shelf.check()


async def test_blobs_of_no_manifest_go_first_but_not_young_ones(shelf, make):
    shelf.image("image", "a", used=1)
    old, young = shelf.layer("old"), shelf.layer("young")
    shelf.age(old.digest, GRACE + 1)
    evicted = await make().evict(250 * KB)
    assert (evicted.freed, evicted.names) == (100 * KB, ())
    assert shelf.index.layer("old") is None
    await make().evict(0)
    assert shelf.size == young.size


async def test_a_clock_that_was_set_back_keeps_no_blob_for_ever(shelf, make):
    shelf.image("image", "a", used=1)
    late, young = shelf.layer("late"), shelf.layer("young")
    shelf.age(late.digest, -80 * 365 * 86400)
    shelf.age(young.digest, -GRACE / 2)
    evicted = await make().evict(250 * KB)
    assert (evicted.freed, evicted.names) == (100 * KB, ())
    assert shelf.index.layer("late") is None
    await make().evict(0)
    assert shelf.size == young.size


async def test_what_was_used_before_the_clock_was_set_back_goes_in_its_turn(
    shelf, make
):
    year = 365 * 86400
    for name, used in (("second", year + 2), ("first", year + 1)):
        shelf.image(name, name, used=used)
    shelf.index.set_used({}, now=100.0)
    shelf.image("third", "third", used=101)
    order = []
    while shelf.names:
        await make().evict(shelf.size - 1)
        (gone,) = {"first", "second", "third"} - {*shelf.names, *order}
        order.append(gone)
    assert order == ["first", "second", "third"]


async def test_a_manifest_written_again_meanwhile_is_whole(shelf, make):
    """Rows first, then blobs: who comes between finds nothing, and makes all anew."""
    shelf.image("image", "a", used=1)
    evictor = make()
    await evictor.evict(0)
    shelf.image("image", "a", used=2)
    shelf.check()
    assert shelf.names == {"image"}


async def test_a_reader_keeps_what_is_evicted(shelf, make):
    shelf.image("image", "a", used=1)
    path = shelf.blobs.path(shelf.index.layer("a").digest)
    with path.open("rb") as reader:
        await make().evict(0)
        assert not path.exists()
        assert len(reader.read()) == 100 * KB


async def until(ready):
    """Look again and again, and leave the interpreter to the threads meanwhile."""
    while not ready():  # noqa: ASYNC110  nothing tells of it
        await trio.sleep(0.005)


async def test_the_daemon_evicts_at_start_and_when_blobs_grow(shelf, make):
    for number in range(4):
        shelf.image(f"image{number}", f"layer{number}", used=number)
    evictor = make(cap=250 * KB)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        await trio.testing.wait_all_tasks_blocked()
        await until(lambda: evictor.total is not None and evictor.total <= 250 * KB)
        assert shelf.names == {"image2", "image3"}
        await trio.to_thread.run_sync(shelf.blobs.put, bytes(100 * KB))
        await until(lambda: set(evictor.ended) == {"image0", "image1", "image2"})
        nursery.cancel_scope.cancel()
    assert shelf.names == {"image3"}
    assert evictor.total == shelf.size
    shelf.check()


async def test_what_is_kept_beside_the_blobs_has_up_to_half_of_the_cap(shelf, make):
    for number in range(4):
        shelf.image(f"image{number}", f"layer{number}", used=number)
    evictor = make(cap=500 * KB)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        await until(lambda: evictor.total is not None)
        evictor.set_beside(150 * KB)
        await until(lambda: set(evictor.ended) == {"image0"})
        evictor.set_beside(10_000 * KB)
        await until(lambda: set(evictor.ended) == {"image0", "image1"})
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert shelf.names == {"image2", "image3"}
    shelf.check()


async def test_without_a_cap_nothing_goes(shelf, make):
    shelf.image("image", "a", used=1)
    evictor = make(cap=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        await until(lambda: evictor.total is not None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (shelf.names, evictor.total) == ({"image"}, shelf.size)


async def test_a_lower_cap_is_kept_at_once(shelf, make):
    shelf.image("old", "a", used=1)
    shelf.image("new", "b", used=2)
    evictor = make(cap=None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        await until(lambda: evictor.total is not None)
        evictor.set_cap(150 * KB)
        await until(lambda: evictor.ended == ["old"])
        nursery.cancel_scope.cancel()
    assert shelf.names == {"new"}


async def test_the_cap_may_go_while_it_is_kept(shelf, make):
    shelf.image("old", "a", used=1)
    shelf.image("new", "b", used=2)
    evictor = make(cap=150 * KB)
    evictor.meanwhile = lambda: evictor.set_cap(None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        await until(lambda: evictor.ended == ["old"])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert shelf.names == {"new"}


async def test_an_index_that_takes_nothing_does_not_end_it(shelf, make, autojump_clock):
    shelf.image("image", "a", used=1)
    evictor = make(cap=1)
    shelf.index.names._db.execute("PRAGMA query_only = ON")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(evictor.run)
        while evictor.total is None:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        shelf.check()
        assert shelf.names == {"image"}
        shelf.index.names._db.execute("PRAGMA query_only = OFF")
        await trio.sleep(RETRY * 2)
        while evictor.ended != ["image"]:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert shelf.size == 0


async def test_a_cache_of_many_images_goes_in_batches(shelf, make):
    """More steps than a batch has; every one of them leaves a whole cache."""

    def put(body):
        digest = Digest.of(body)
        path = shelf.blobs.path(digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)  # without the fsync of each
        return digest

    for number in range(300):
        digest = put(b"%d" % number)
        layers = tuple(put(b"%d/%d" % (number, k)) for k in range(3))
        stored = StoredManifest(digest, "type", layers, 0)
        shelf.index.add_build(str(number), stored)
        shelf.index.set_used({digest: number}, math.inf)
    evicted = await make().evict(0)
    assert (evicted.manifests, evicted.blobs) == (300, 1200)
    assert shelf.blobs.listing() == {}


async def test_foreign_files_among_the_blobs_are_left_alone(shelf, make):
    digest = shelf.blobs.put(b"blob")
    foreign = shelf.blobs.path(digest).with_name("README")
    foreign.write_text("not ours")
    (shelf.root / "blobs" / "sha256" / "lost+found").mkdir()
    shelf.age(digest, GRACE + 1)
    await make().evict(0)
    assert foreign.exists()
    assert shelf.blobs.size(digest) is None


async def test_a_crash_between_rows_and_blobs_leaves_blobs_that_go_the_next_time(
    shelf, make, monkeypatch
):
    shelf.image("image", "a", used=1)
    size = shelf.size

    def crash(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shelf.blobs, "discard", crash)
        with pytest.raises(KeyboardInterrupt):
            await make().evict(0)
    assert (shelf.names, shelf.size) == (set(), size)
    shelf.check()
    for digest in shelf.blobs.listing():
        shelf.age(Digest.parse(digest), GRACE + 1)
    evicted = await make().evict(0)
    assert (evicted.freed, evicted.left) == (size, 0)
