"""A binary cache's failure is not the package's: it is not remembered."""

import platform
from uuid import uuid4

import pytest

from nixeryd.images.errors import ErrorCode, RegistryError
from tests.builder.conftest import open_builder
from tests.nix import binarycache

PATHS = 31


async def test_a_pull_goes_on_where_a_failed_cache_left_it(nix, tmp_path):
    source = tmp_path / "set.nix"
    source.write_text(binarycache.chain(PATHS, str(uuid4())))
    with binarycache.binary_cache() as cache:
        served = binarycache.served_only_by(cache, nix, tmp_path / "home")
        given = served, cache, source, PATHS, f"{platform.machine()}-linux", 500
        await binarycache.chain_of_packages(*given)
        image = (f"p{PATHS - 1}",)
        async with open_builder(served, source, tmp_path / "data") as builder:
            cache.faults = lambda path: binarycache.CUT if "-p20" in path else None
            with pytest.raises(RegistryError) as caught:
                await builder.manifest(image, "latest")
            assert caught.value.code is ErrorCode.DENIED
            assert f"the binary cache {cache.url} failed" in caught.value.message
            assert "20 store paths have arrived and are kept" in caught.value.message
            arrived = set(cache.nars_asked())
            cache.faults = lambda _: None
            cache.asked.clear()
            assert await builder.manifest(image, "latest")
            again = set(cache.nars_asked())
            assert len(arrived & again) == 1, "the one that failed"
            assert len(again) == PATHS - 20
