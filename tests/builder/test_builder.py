import json
import shutil

import pytest
import trio
import trio.testing

from nixeryd.builder import build, progress as events
from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.layers.packing import pack_store_paths
from tests.builder.conftest import open_builder


def blobs_of(manifest):
    document = json.loads(manifest.body)
    return [
        Digest.parse(part["digest"])
        for part in (document["config"], *document["layers"])
    ]


async def test_an_image_is_built_and_all_its_blobs_are_there(demo_builder):
    manifest = await demo_builder.manifest(("hello",), "latest")
    assert Digest.of(manifest.body) == manifest.digest
    for digest in blobs_of(manifest):
        blob = demo_builder.blob(digest)
        assert Digest.of(blob.path.read_bytes()) == digest
        assert blob.size == blob.path.stat().st_size
    assert await demo_builder.manifest(("hello",), manifest.digest) == manifest


async def test_order_and_repeats_of_asking_make_one_image(demo_builder):
    first = await demo_builder.manifest(("python3", "hello"), "latest")
    assert await demo_builder.manifest(("hello", "python3"), "latest") == first
    assert demo_builder.tags(("hello", "python3")) == ["latest"]


async def test_a_wiped_cache_is_rebuilt_with_equal_digests(nix, demo_source, tmp_path):
    seen = []
    for _ in range(2):
        async with open_builder(nix, demo_source, tmp_path / "data") as builder:
            seen.append(await builder.manifest(("hello", "python3"), "latest"))
        shutil.rmtree(tmp_path / "data")
    assert seen[0] == seen[1]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
async def test_compression_changes_blobs_and_not_what_they_hold(
    nix, demo_source, tmp_path, compression
):
    configs = []
    for how in ("none", compression):
        async with open_builder(nix, demo_source, tmp_path / how, how) as builder:
            manifest = await builder.manifest(("hello",), "latest")
            configs.append(json.loads(manifest.body)["config"]["digest"])
            types = {
                layer["mediaType"] for layer in json.loads(manifest.body)["layers"]
            }
    assert configs[0] == configs[1], "the config names the tars, which are equal"
    assert types == {f"application/vnd.oci.image.layer.v1.tar+{compression}"}


async def test_a_restart_needs_no_packing(nix, demo_source, tmp_path):
    async with open_builder(nix, demo_source, tmp_path / "data") as builder:
        first = await builder.manifest(("hello",), "latest")
    async with open_builder(nix, demo_source, tmp_path / "data") as builder:
        async with builder.pull(("hello",), "latest") as channel:
            told = [event async for event in channel]
        assert await builder.manifest(("hello",), "latest") == first
    assert told[-1].cached
    assert not [event for event in told if isinstance(event, events.LayerDone)]


async def test_a_lost_layer_is_packed_again(demo_builder):
    first = await demo_builder.manifest(("hello",), "latest")
    lost = blobs_of(first)[-1]
    demo_builder.blob(lost).path.unlink()
    with pytest.raises(RegistryError) as caught:
        demo_builder.blob(lost)
    assert caught.value.code is ErrorCode.BLOB_UNKNOWN
    assert await demo_builder.manifest(("hello",), "latest") == first
    assert demo_builder.blob(lost).size


async def test_a_lost_layer_is_missed_though_nothing_was_evaluated(
    nix, demo_source, tmp_path
):
    data = tmp_path / "data"
    async with open_builder(nix, demo_source, data, watch=True) as builder:
        first = await builder.manifest(("hello",), "latest")
        assert await builder.manifest(("hello",), "latest") == first
        lost = blobs_of(first)[-1]
        builder.blob(lost).path.unlink()
        builder._workshop._last_look = None  # it was more than a moment ago
        assert await builder.manifest(("hello",), "latest") == first
        assert builder.blob(lost).size


async def test_a_layer_that_is_removed_before_the_manifest_is_written_is_packed_again(
    demo_builder, monkeypatch
):
    """A repair found it damaged."""
    write, removed = build.assemble, []

    async def assemble(*args, blobs, **more):
        made = await write(*args, blobs=blobs, **more)
        if not removed:
            removed.extend(blobs.discard([made[0].blobs[-1]]))
        return made

    monkeypatch.setattr(build, "assemble", assemble)
    manifest = await demo_builder.manifest(("hello",), "latest")
    assert removed
    for digest in blobs_of(manifest):
        assert demo_builder.blob(digest).size > 0


async def test_many_who_ask_at_once_get_one_build(nix, write_set, tmp_path):
    source = write_set('slow = make "slow" "echo x >> ${ran}; echo made > $out";')
    async with open_builder(nix, source, tmp_path / "data") as builder:
        manifests = []

        async def ask():
            manifests.append(await builder.manifest(("slow",), "latest"))

        async with trio.open_nursery() as clients:
            for _ in range(50):
                clients.start_soon(ask)
    assert len(manifests) == 50
    assert len({manifest.digest for manifest in manifests}) == 1
    assert (tmp_path / "ran").read_text() == "x\n"


async def test_images_that_share_layers_pack_each_of_them_once(
    demo_builder, monkeypatch
):
    packed = []

    def note(paths, *rest):
        packed.append(tuple(paths))
        return pack_store_paths(paths, *rest)

    monkeypatch.setattr("nixeryd.builder.layers.pack_store_paths", note)
    names = [("hello",), ("python3",), ("hello", "python3"), ("nano", "hello")]
    async with trio.open_nursery() as clients:
        for name in names * 5:
            clients.start_soon(demo_builder.manifest, name, "latest")
    assert len(packed) > len(names)
    assert len(packed) == len(set(packed))


async def test_a_client_that_leaves_stops_nothing(nix, write_set, tmp_path):
    source = write_set('left = make "left" "echo x >> ${ran}; echo made > $out";')
    async with open_builder(nix, source, tmp_path / "data") as builder:
        with trio.CancelScope() as client:
            client.cancel()
            await builder.manifest(("left",), "latest")
        assert client.cancelled_caught
        assert [run.image.repository for run in builder.runs()] == ["left"]
        await builder.manifest(("left",), "latest")
        assert builder.runs() == []
    assert (tmp_path / "ran").read_text() == "x\n"


async def test_a_failed_build_says_why_and_where_its_log_is(nix, write_set, tmp_path):
    source = write_set('bad = make "bad" "echo x >> ${ran}; echo the reason; false";')
    async with open_builder(nix, source, tmp_path / "data") as builder:
        for _ in range(2):  # a client asks twice: HEAD, then GET
            with pytest.raises(RegistryError) as caught:
                await builder.manifest(("bad",), "latest")
            assert caught.value.code is ErrorCode.DENIED
            assert "bad" in caught.value.message
            assert "the reason" in caught.value.message
        assert (tmp_path / "ran").read_text() == "x\n", "built once"
        log = tmp_path / "data" / "logs" / "bad.log"
        assert f"Log: {log}" in caught.value.message
        assert "bad> the reason" in log.read_text()


async def test_a_person_who_pulls_again_gets_another_try(nix, write_set, tmp_path):
    write_set('bad = make "bad" "false";', salt="first")
    source = tmp_path / "set.nix"
    async with open_builder(nix, source, tmp_path / "data") as builder:
        async with builder.pull(("bad",), "latest") as channel:
            told = [event async for event in channel]
        assert isinstance(told[-1], events.Failed)
        write_set('bad = make "bad" "echo mended > $out";')
        async with builder.pull(("bad",), "latest") as channel:
            told = [event async for event in channel]
        assert isinstance(told[-1], events.Done)
        # And with that the failure is forgotten for everybody.
        assert await builder.manifest(("bad",), "latest")


@pytest.mark.parametrize(
    ("repository", "tag", "code", "words"),
    [
        (("no-such-thing",), "latest", ErrorCode.MANIFEST_UNKNOWN, "no-such-thing"),
        (("hello",), "no-such-tag", ErrorCode.MANIFEST_UNKNOWN, "no-such-tag"),
        (("hello", "hello"), "latest", ErrorCode.MANIFEST_UNKNOWN, "twice"),
        (("arm64",), "latest", ErrorCode.NAME_INVALID, "names no package"),
    ],
)
async def test_bad_names_are_told_apart(demo_builder, repository, tag, code, words):
    with pytest.raises(RegistryError) as caught:
        await demo_builder.manifest(repository, tag)
    assert caught.value.code is code
    assert words in caught.value.message


async def test_unknown_digests_are_unknown(demo_builder):
    with pytest.raises(RegistryError) as caught:
        await demo_builder.manifest(("hello",), Digest.of(b"nobody made this"))
    assert caught.value.code is ErrorCode.MANIFEST_UNKNOWN


async def test_tags_are_those_built(demo_builder):
    with pytest.raises(RegistryError) as caught:
        demo_builder.tags(("hello",))
    assert caught.value.code is ErrorCode.NAME_UNKNOWN
    await demo_builder.manifest(("hello",), "latest")
    await demo_builder.manifest(("hello",), "here")
    assert demo_builder.tags(("hello",)) == ["here", "latest"]


async def test_a_shell_image_starts_bash_and_a_program_itself(demo_builder):
    for repository, command in [
        (("shell", "hello"), ["bash"]),
        (("hello",), ["hello"]),
    ]:
        manifest = await demo_builder.manifest(repository, "latest")
        config = json.loads(demo_builder.blob(blobs_of(manifest)[0]).path.read_bytes())
        assert config["config"]["Cmd"] == command


async def test_one_directory_of_roots_and_no_staging_file_is_left(
    demo_builder, tmp_path
):
    await demo_builder.manifest(("hello",), "latest")
    await demo_builder.manifest(("hello",), "latest")
    (roots,) = (tmp_path / "data" / "gcroots").iterdir()
    assert "hello" in (roots / "image.json").read_text()
    assert list((tmp_path / "data" / "staging").iterdir()) == []


async def test_a_stopped_build_leaves_nothing_behind(nix, write_set, tmp_path):
    source = write_set('slow = make "slow" "echo x >> ${ran}; while :; do :; done";')
    async with (
        open_builder(nix, source, tmp_path / "data") as builder,
        builder.pull(("slow",), "latest") as channel,
    ):
        async for event in channel:
            if isinstance(event, events.Building):
                break
    assert list((tmp_path / "data" / "gcroots").iterdir()) == []
    assert list((tmp_path / "data" / "staging").iterdir()) == []
