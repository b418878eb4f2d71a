import pytest

from nixeryd.images.errors import NixerydError, RegistryError
from tests.sources.conftest import image, package_set, word


async def test_each_source_has_its_own_refs(nix, open_configured, make_repository):
    config = ""
    for name in ("one", "two"):
        repo = make_repository(name)
        repo.commit({"default.nix": package_set(name)})
        repo.write({"default.nix": package_set(f"{name}-dirty")})
        config += f'[sources.{name}]\npath = "{repo.path}"\n'
    async with open_configured('source = "two"\n' + config) as sources:
        said = {tag: await word(sources, nix, tag) for tag in ("latest", "one", "main")}
        assert said == {"latest": "two-dirty", "one": "one-dirty", "main": "two"}
        assert await word(sources, nix, "one..main") == "one"


async def test_a_bare_repository_is_what_its_head_says(
    nix, open_configured, make_repository, tmp_path
):
    repo = make_repository("nixpkgs")
    repo.one = repo.commit({"default.nix": package_set("one")})
    bare = tmp_path / "bare.git"
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(bare))
    async with open_configured(f'[sources.b]\npath = "{bare}"') as sources:
        assert await word(sources, nix) == "one"
        assert await word(sources, nix, repo.one[:8]) == "one"
        assert await sources.default.revision() == repo.one
        repo.commit({"default.nix": package_set("two")})
        repo.git("push", "--quiet", str(bare), "main")
        assert await word(sources, nix) == "two"


async def test_a_file_in_a_repository_is_a_source(
    nix, open_configured, make_repository
):
    repo = make_repository("nixpkgs")
    repo.commit({"sets/mine.nix": package_set("one")})
    repo.write({"sets/mine.nix": package_set("dirty")})
    path = repo.path / "sets" / "mine.nix"
    async with open_configured(f'[sources.f]\npath = "{path}"') as sources:
        assert await word(sources, nix) == "dirty"
        assert await word(sources, nix, "main") == "one"


async def test_a_path_that_is_not_there_is_named(open_configured, tmp_path):
    with pytest.RaisesGroup(
        pytest.RaisesExc(NixerydError, match="the source gone is not there"),
        allow_unwrapped=True,
        flatten_subgroups=True,
    ):
        async with open_configured(f'[sources.gone]\npath = "{tmp_path}/gone"'):
            pass


async def test_store_paths_have_no_tags(open_configured, tmp_path):
    (tmp_path / "set.nix").write_text(package_set("x"))
    async with open_configured(f'[sources.a]\npath = "{tmp_path}/set.nix"') as sources:
        asked = image(f"store/{'0' * 32}")
        assert (await sources.resolve(asked, "latest")).name == "store"
        with pytest.raises(RegistryError, match="it is what it is") as told:
            await sources.resolve(asked, "main")
        assert told.value.status == 404
