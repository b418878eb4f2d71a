"""Recipes among blobs: each is one, of the size that it makes."""

import time

import pytest
from structlog.testing import capture_logs

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.layers.recipe_format import UnreadableRecipe
from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import open_data_dir
from nixeryd.store.recipe import Recipe
from nixeryd.store.recipes import weigh
from tests.store.layers import make_layer


@pytest.fixture
def blobs(tmp_path):
    with open_data_dir(tmp_path / "data") as places:
        yield Blobs(places.blobs, places.staging)


@pytest.fixture
def layer(tmp_path):
    return make_layer(tmp_path / "store" / "abc-package")


def test_a_recipe_is_a_blob_of_the_size_that_it_makes(blobs, layer):
    grown = []
    blobs.on_growth = grown.append
    digest = layer.record(blobs)
    assert digest in blobs
    assert blobs.is_streamed(digest)
    assert blobs.size(digest) == len(layer.whole)
    assert blobs.find(digest).digest == digest
    assert blobs.file(digest) is None
    assert blobs.read_part(digest, range(500, 90_000)) == layer.whole[500:90_000]
    assert b"".join(blobs.chunks(digest)) == layer.whole
    (listed,) = blobs.listing().items()
    assert (listed[0], listed[1].size) == (str(digest), len(layer.whole))
    assert grown == [len(layer.whole)]
    path = blobs.recipes.path(digest)
    assert path.stat().st_size < 10_000
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_same_bytes_takes_the_place_of_a_recipe(blobs, layer):
    digest = layer.record(blobs)
    assert blobs.put(layer.whole) == digest
    assert not blobs.is_streamed(digest)
    assert not blobs.recipes.path(digest).exists()
    assert len(blobs.listing()) == 1


def test_a_recipe_takes_the_place_of_a_file_that_is_damaged(blobs, layer):
    digest = blobs.put(layer.whole)
    blobs.path(digest).write_bytes(b"short")
    layer.record(blobs)
    assert blobs.is_streamed(digest)
    assert b"".join(blobs.chunks(digest)) == layer.whole


def test_a_recipe_is_discarded_and_who_reads_it_goes_on(blobs, layer):
    digest = layer.record(blobs)
    reading = blobs.chunks(digest)
    first = next(reading)
    (trash,) = blobs.discard([digest])
    assert trash.name == f"discarded-{digest.hex}.recipe"
    assert digest not in blobs
    assert blobs.listing() == {}
    assert first + b"".join(reading) == layer.whole
    with pytest.raises(FileNotFoundError):
        blobs.read_part(digest, range(1))


def test_a_lost_recipe_is_not_here_until_it_is_written_again(blobs, layer):
    digest = layer.record(blobs)
    blobs.recipes.lose(digest, NixerydError("gone"))
    assert digest not in blobs
    assert blobs.find(digest) is None
    assert blobs.size(digest) is None
    layer.record(blobs)
    assert isinstance(blobs.find(digest), Recipe)


def test_what_is_found_right_again_is_here_again(blobs, layer):
    digest = layer.record(blobs)
    recipe = blobs.find(digest)
    assert blobs.recipes.sealed(recipe) == recipe.sealed
    blobs.recipes.lose(digest, NixerydError("gone"))
    now = time.time_ns()
    blobs.recipes.seal(digest, now)
    assert blobs.find(digest) == recipe
    assert blobs.recipes.sealed(recipe) == now > recipe.sealed


def test_when_an_earlier_recipe_was_right_says_nothing_of_a_new_one(blobs, layer):
    digest = layer.record(blobs)
    blobs.recipes.seal(digest, 1)
    layer.record(blobs)
    recipe = blobs.find(digest)
    assert blobs.recipes.sealed(recipe) == recipe.sealed > 1


def test_what_is_lost_is_told_once_with_the_reason(blobs, layer):
    digest = layer.record(blobs)
    blobs.recipes.path(digest).write_bytes(b"rot" * 100)
    with capture_logs() as logs:
        assert blobs.find(digest) is None
        blobs.recipes.lose(digest, NixerydError("again"))
    (told,) = logs
    assert told["blob"] == str(digest)
    assert told["why"] == "no recipe, or one of another version"
    assert told["event"].startswith("a streamed layer is lost; the next pull by a tag")


def test_a_recipe_that_goes_while_it_is_listed_weighs_what_it_did(blobs, layer):
    gone = blobs.recipes.path(layer.record(blobs))
    assert weigh(str(gone), 300) == len(layer.whole)
    gone.unlink()
    assert weigh(str(gone), 300) == 300


def test_a_damaged_recipe_is_lost_and_still_listed(blobs, layer):
    digest = layer.record(blobs)
    blobs.recipes.path(digest).write_bytes(b"rot" * 100)
    assert blobs.find(digest) is None
    assert digest not in blobs
    assert blobs.listing()[str(digest)].size == 300
    with pytest.raises(UnreadableRecipe):
        list(blobs.chunks(digest))


def test_a_recipe_that_is_not_committed_leaves_nothing(blobs, layer):
    with blobs.stage() as staged:
        staged.write(b"x")
    assert blobs.listing() == {}
    assert Digest.of(b"x") not in blobs
