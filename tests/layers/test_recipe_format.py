"""Recipes: whatever part is read, it is that part of the whole."""

from contextlib import suppress

import msgspec
import pytest
import zstandard
from hypothesis import given, strategies as st

from nixeryd.layers import recipe_format
from nixeryd.layers.recipe_format import (
    TICK,
    TRAILER_SIZE,
    FilePart,
    Recorder,
    UnreadableRecipe,
    cut,
    is_unchanged,
    read_table,
    read_trailer,
)


def content(number, size):
    return bytes([number % 251 + 1]) * size


def record(layout):
    """Write the recipe of literal bytes and of files; gives it, and the whole."""
    written, whole = bytearray(), bytearray()
    recorder = Recorder(written.extend)
    for number, one in enumerate(layout):
        if isinstance(one, bytes):
            recorder.add(one)
            whole += one
        else:
            recorder.add_file(f"/nix/store/{number}-\udcff\u00fc", one)
            whole += content(number, one)
    recorder.finish(["/nix/store/x"], 7)
    return bytes(written), bytes(whole)


def read(recipe, part):
    trailer = read_trailer(recipe[-TRAILER_SIZE:])
    table = read_table(recipe[trailer.table : -TRAILER_SIZE])
    found = bytearray()
    for place, start in table.sections(part):
        for piece in cut(recipe[place.start : place.stop], start, part):
            if isinstance(piece, FilePart):
                number = int(piece.path.removeprefix("/nix/store/").partition("-")[0])
                whole = content(number, piece.size)
                assert piece.part, "a part of nothing"
                found += whole[piece.part.start : piece.part.stop]
            else:
                found += piece
    return bytes(found)


LAYOUTS = st.lists(st.one_of(st.binary(max_size=700), st.integers(0, 5000)))


@given(LAYOUTS, st.data())
def test_any_part_is_that_part_of_the_whole(layout, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_format, "SECTION", data.draw(st.integers(1, 2000)))
        recipe, whole = record(layout)
    assert read_trailer(recipe[-TRAILER_SIZE:]).size == len(whole)
    assert read(recipe, range(len(whole))) == whole
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    assert read(recipe, range(start, stop)) == whole[start:stop]


def table_of(recipe):
    trailer = read_trailer(recipe[-TRAILER_SIZE:])
    return read_table(recipe[trailer.table : -TRAILER_SIZE])


def test_a_part_needs_only_the_sections_that_it_lies_in(monkeypatch):
    monkeypatch.setattr(recipe_format, "SECTION", 10)
    recipe, _ = record([b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 10])
    table = table_of(recipe)
    assert table.starts == (0, 10, 20, 30, 40)
    assert [start for _, start in table.sections(range(15, 21))] == [10, 20]
    assert [start for _, start in table.sections(range(10, 20))] == [10]
    assert list(table.sections(range(40, 40))) == []
    assert [start for _, start in table.sections(range(35, 100))] == [30]


def test_an_empty_tar_has_no_sections():
    recipe, whole = record([])
    assert table_of(recipe).starts == (0,)
    assert read(recipe, range(10)) == whole == b""


def test_a_section_holds_many_headers_and_not_all():
    recipe, _ = record([bytes([number % 7]) * 512 for number in range(1280)])
    assert len(table_of(recipe).starts) == 10 + 1


def test_a_recipe_of_an_earlier_daemon_is_read():
    """Of version 1, as it is on disks."""
    recipe = bytes.fromhex(
        "28b52ffd64b902cd0100e40292c503846865616465729293cd0258c4102f6e69782f73746f7265"
        "2f312dffc3bccd0bb893cd0384332dffc3bc110200f23cdcde540509e161f41528b52ffd2417b9"
        "00009391ac2f6e69782f73746f72652f789200cd0f4d9200474e420f5d6e697865727964010000"
        "000000000f4d00000000000000070000000000000047"
    )
    _, whole = record([b"header" * 100, 3000, b"header" * 50, 17])
    assert read(recipe, range(len(whole))) == whole
    assert table_of(recipe).paths == ("/nix/store/x",)


def test_a_recipe_knows_its_store_paths_and_when_it_was_sealed():
    recipe, _ = record([b"x"])
    trailer = read_trailer(recipe[-TRAILER_SIZE:])
    assert trailer.sealed == 7
    assert table_of(recipe).paths == ("/nix/store/x",)


@given(st.integers(0), st.integers(1, 255))
def test_damage_is_noticed_or_makes_no_difference(at, flip):
    layout = [b"header" * 100, 3000, b"header" * 50, 17]
    recipe, whole = record(layout)
    damaged = bytearray(recipe)
    # The size and the time of sealing are compared with the index and the clock.
    at %= len(recipe) - TRAILER_SIZE
    damaged[at] ^= flip
    try:
        found = read(bytes(damaged), range(len(whole)))
    except UnreadableRecipe:
        return
    assert found == whole


def test_each_byte_of_a_frames_head_may_be_damaged():
    """It says how long the size is that follows, and so that it may be anything."""
    recipe, whole = record([b"header" * 100, 3000])
    for at in range(8):
        for flip in range(1, 256):
            damaged = bytearray(recipe)
            damaged[at] ^= flip
            with suppress(UnreadableRecipe):
                assert read(bytes(damaged), range(len(whole))) == whole


def test_a_section_that_is_too_large_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(recipe_format, "LARGEST", 1000)
    for with_size in (True, False):
        compressor = zstandard.ZstdCompressor(write_content_size=with_size)
        packed = compressor.compress(msgspec.msgpack.encode((bytes(1000), [])))
        with pytest.raises(UnreadableRecipe, match=r"^the recipe is damaged: "):
            list(cut(packed, 0, range(1000)))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (([], [0, 1], [0]), "its table does not add up"),
        (([], [0], 7), "Expected `array`, got `int`"),
    ],
)
def test_a_table_that_is_wrong_is_damage(table, why):
    packed = zstandard.compress(msgspec.msgpack.encode(table))
    with pytest.raises(UnreadableRecipe, match=f"^the recipe is damaged: {why}"):
        read_table(packed)


@pytest.mark.parametrize("data", [b"", b"short", b"x" * TRAILER_SIZE])
def test_what_is_no_recipe_is_refused(data):
    with pytest.raises(UnreadableRecipe, match=r"^no recipe"):
        read_trailer(data)


@pytest.mark.parametrize(
    ("changed", "sealed", "now", "expected"),
    [
        (1, 100, 100, True),
        (1, 100, 200, True),  # before it was sealed
        (150, 100, 200, False),
        (99, 100, 200, False),  # by a clock that ticks slowly
        (201, 100, 200, False),
        (300, 100, 200, True),  # a clock was wrong when it was made
        (1, 300, 200, False),  # the clock was put back since
    ],
)
def test_a_file_changed_if_its_ctime_is_after_the_seal(changed, sealed, now, expected):
    ticks = (changed * TICK, sealed * TICK, now * TICK)
    assert is_unchanged(*ticks) is expected
