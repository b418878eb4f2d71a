"""Recipes beside packed layers: the same digest, and the same bytes in any part."""

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.layers import tar
from nixeryd.layers.packing import (
    pack_entries,
    pack_store_paths,
    record_entries,
    record_store_paths,
)
from nixeryd.layers.recipe_format import (
    TRAILER_SIZE,
    FilePart,
    UnreadableRecipe,
    read_trailer,
)
from nixeryd.store.recipe import (
    CHUNK,
    LostContent,
    find_recipe,
    open_part,
    read_part,
)


class Bytes:
    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data


def make_tree(root):
    """Make all that a store path may hold, and enough for several sections."""
    rng = random.Random(7)
    (root / "bin").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "bin" / "large").write_bytes(rng.randbytes(2 * CHUNK + 77))
    (root / "bin" / "link").symlink_to("large")
    (root / "nothing").touch()
    (root / ("long-" * 40)).write_text("a name beyond ustar")
    (root / "grüße").write_text("beyond ASCII")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff")).mkdir()
    (root / "small").write_bytes(b"x" * 100)
    (root / "many").mkdir()
    for number in range(300):
        data = rng.randbytes(rng.choice([0, 1, 511, 512, 513, 3000]))
        (root / "many" / f"{number}").write_bytes(data)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    place = tmp_path_factory.mktemp("nix-store")
    make_tree(place / "abc-package")
    (place / "abd-file").write_text("x")
    (place / "abe-link").symlink_to("abd-file")
    return [str(path) for path in sorted(place.iterdir())]


def record(paths, directory):
    sink = Bytes()
    packed = record_store_paths(paths, sink)
    place = directory / f"{packed.digest.hex}.recipe"
    place.write_bytes(sink.data)
    return packed, find_recipe(place, packed.digest)


@pytest.fixture(scope="module")
def layer(trees, tmp_path_factory):
    """The packed bytes, and the recipe of the same paths."""
    sink = Bytes()
    packed = pack_store_paths(trees, sink, "none")
    recorded, recipe = record(trees, tmp_path_factory.mktemp("recipes"))
    assert recorded == packed
    return bytes(sink.data), recipe


def test_packed_and_recorded_layers_are_the_same_bytes(layer):
    whole, recipe = layer
    assert recipe.size == len(whole)
    assert recipe.digest == Digest.of(whole)
    assert b"".join(recipe.chunks()) == whole
    assert recipe.is_right(lambda: None)
    assert recipe.path.stat().st_size < len(whole) / 50


@settings(deadline=None)
@given(st.data())
def test_any_range_of_both_is_the_same(layer, data):
    whole, recipe = layer
    start = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.one_of(st.integers(0, 2000), st.integers(0, len(whole))))
    part = range(start, min(start + length, len(whole)))
    assert recipe.read(part) == whole[part.start : part.stop]


def test_entries_without_content_have_a_recipe_of_their_own(tmp_path):
    entries = [
        tar.Entry(f"bin/{number}", tar.Kind.SYMLINK, 0o777, target=f"/nix/{number}")
        for number in range(1000)
    ]
    packed, recorded = Bytes(), Bytes()
    known = pack_entries(entries, packed, "none")
    assert record_entries(entries, recorded) == known
    place = tmp_path / "recipe"
    place.write_bytes(recorded.data)
    recipe = find_recipe(place, known.digest)
    assert recipe.read(range(recipe.size)) == packed.data
    assert recipe.missing() is None
    assert len(recorded.data) < len(packed.data) / 20


def damage(root):
    """Return each way to change a store path that a reader may meet."""
    small, large = root / "small", root / "bin" / "large"
    return {
        "gone": lambda: shutil.rmtree(root),
        "a file gone": small.unlink,
        "shorter": lambda: os.truncate(large, 5),
        "longer": lambda: os.truncate(large, 3 * CHUNK),
        # To the same bytes, even: what it leads to may be anything a moment later.
        "a link": lambda: large.symlink_to(large.rename(root.with_name("elsewhere"))),
        "a directory": lambda: (small.unlink(), small.mkdir()),
    }


@pytest.mark.parametrize("how", damage(Path()))
def test_what_has_changed_is_not_read(tmp_path, how):
    root = tmp_path / "abc-package"
    make_tree(root)
    _, recipe = record([str(root)], tmp_path)
    assert recipe.missing() is None
    damage(root)[how]()
    assert recipe.missing() == (str(root) if how == "gone" else None)
    with pytest.raises(LostContent, match=str(root)):
        recipe.read(range(recipe.size))


def test_a_file_that_becomes_shorter_while_it_is_read_is_noticed(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    fd, _ = open_part(FilePart(str(file), 10, range(10)))
    try:
        os.truncate(file, 7)
        assert read_part(fd, range(2, 7), str(file)) == b"23456"
        with pytest.raises(LostContent, match="has become shorter"):
            read_part(fd, range(2, 10), str(file))
    finally:
        os.close(fd)


def test_a_file_that_becomes_shorter_between_two_chunks_is_named(tmp_path):
    root = tmp_path / "abc-package"
    make_tree(root)
    large = root / "bin" / "large"
    _, recipe = record([str(root)], tmp_path)
    reading = recipe.chunks()
    assert any(len(chunk) == CHUNK for chunk in reading)
    os.truncate(large, CHUNK)
    with pytest.raises(LostContent, match=f"{large} has become shorter"):
        next(reading)


def test_other_bytes_of_the_same_size_are_noticed_by_who_reads_all(tmp_path):
    root = tmp_path / "abc-package"
    make_tree(root)
    _, recipe = record([str(root)], tmp_path)
    (root / "grüße").write_text("BEYOND ASCII")
    assert not recipe.is_right(lambda: None)


def test_a_recipe_that_is_cut_off_is_damaged(layer, tmp_path):
    _, recipe = layer
    data = recipe.path.read_bytes()
    for size in (0, 10, len(data) - 1):
        place = tmp_path / "cut"
        place.write_bytes(data[:size])
        why = "damaged: it is too short" if size < TRAILER_SIZE else "no recipe"
        with pytest.raises(UnreadableRecipe, match=why):
            find_recipe(place, recipe.digest)
    assert find_recipe(tmp_path / "none", recipe.digest) is None


def test_a_recipe_whose_middle_is_missing_is_damaged(layer, tmp_path):
    _, recipe = layer
    data = recipe.path.read_bytes()
    place = tmp_path / "cut"
    place.write_bytes(data[:100] + data[-TRAILER_SIZE:])
    with pytest.raises(UnreadableRecipe, match=r"^the recipe is damaged: "):
        find_recipe(place, recipe.digest).read(range(10))
    # A table that is there and leads beyond the end.
    table = read_trailer(data[-TRAILER_SIZE:]).table
    trailer = bytearray(data[-TRAILER_SIZE:])
    trailer[-8:] = (100).to_bytes(8, "big")
    place.write_bytes(data[:100] + data[table:-TRAILER_SIZE] + trailer)
    with pytest.raises(UnreadableRecipe, match=r"damaged: it is too short$"):
        find_recipe(place, recipe.digest).read(range(recipe.size))
