"""Images of what is in the store already."""

import json
import platform

import pytest

from nixeryd.images.errors import RegistryError
from tests.builder.conftest import open_builder


async def build(nix, file, name):
    argv = ["nix-build", str(file), "-A", name, "--no-out-link"]
    system = ["--argstr", "system", f"{platform.machine()}-linux"]
    return (await nix.run([*argv, *system])).decode().strip()


async def test_a_store_path_is_an_image_with_or_without_its_name(
    nix, write_set, tmp_path
):
    file = write_set('app = make "App-1.0" "echo > $out";')
    path = await build(nix, file, "app")
    async with open_builder(nix, file, tmp_path / "data") as builder:
        digest, name = path.removeprefix("/nix/store/").split("-", 1)
        made = await builder.manifest(("store", digest), "latest")
        assert await builder.manifest(("store", digest), "latest") == made
        named = await builder.manifest(("store", f"{digest}-{name.lower()}"), "latest")
        layers = [json.loads(one.body)["layers"] for one in (made, named)]
        assert layers[0] == layers[1]


async def test_what_is_not_there_yet_is_404_until_it_is(nix, write_set, tmp_path):
    file = write_set('app = make "app" "echo > $out";')
    system = ["--argstr", "system", f"{platform.machine()}-linux"]
    ask = ["nix-instantiate", "--eval", str(file), "-A", "app.outPath", *system]
    asked = await nix.run(ask)
    digest = asked.decode().strip().strip('"').removeprefix("/nix/store/")[:32]
    async with open_builder(nix, file, tmp_path / "data", keep=False) as builder:
        with pytest.raises(RegistryError, match=f"no /nix/store/{digest}") as told:
            await builder.manifest(("store", digest), "latest")
        assert told.value.status == 404
        path = await build(nix, file, "app")
        made = await builder.manifest(("store", digest), "latest")
        with pytest.raises(RegistryError, match=r"other.*, but .*-app"):
            await builder.manifest(("store", f"{digest}-other"), "latest")
        # Collected, it is still served from the cache.
        await nix.run(["nix-store", "--delete", path])
        assert await builder.manifest(("store", digest), "latest") == made


async def test_store_paths_are_added_to_packages(nix, write_set, tmp_path):
    file = write_set(
        'app = make "app" "echo > $out"; other = make "other" "echo other > $out";'
    )
    path = await build(nix, file, "app")
    digest = path.removeprefix("/nix/store/")[:32]
    async with open_builder(nix, file, tmp_path / "data") as builder:
        made = await builder.manifest(("other", "store", digest), "latest")
        inside = builder._index.insides.find(made.digest)
        assert inside.packages.keys() == {"other", digest}
        assert path in inside.closure
        with pytest.raises(RegistryError, match=f"no /nix/store/{'a' * 32}"):
            await builder.manifest(("other", "store", "a" * 32), "latest")
