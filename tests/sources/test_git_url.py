from dataclasses import replace

import pytest

from nixeryd.git import history, lsremote, remote as remote_module
from nixeryd.images.errors import RegistryError
from nixeryd.runtime.offline import Offline
from tests.sources.conftest import image, package_set, word


@pytest.fixture
def repo(make_repository):
    repo = make_repository("upstream")
    repo.git("config", "uploadpack.allowFilter", "true")
    repo.one = repo.commit({"default.nix": package_set("one")})
    repo.git("tag", "-a", "v1", "-m", "annotated")
    repo.git("branch", "feature/x")
    repo.two = repo.commit({"default.nix": package_set("two")})
    return repo


@pytest.fixture
def config(repo):
    return f'[sources.far]\ngit = "file://{repo.path}"\n'


@pytest.fixture
def asked(monkeypatch):
    """The git commands that may use a network."""
    commands = []
    real = remote_module.git

    async def noted(directory, *arguments, **options):
        if options.get("network"):
            commands.extend({"fetch", "ls-remote"} & {*arguments})
        return await real(directory, *arguments, **options)

    for module in (remote_module, lsremote, history):
        monkeypatch.setattr(module, "git", noted)
    return commands


async def test_its_refs_are_tags(nix, open_configured, repo, config):
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "two"
        for tag in ("far..main", "main", repo.two):
            assert await word(sources, nix, tag) == "two", tag
        for tag in ("v1", "feature-x", repo.one, "far..feature-x"):
            assert await word(sources, nix, tag) == "one", tag
        source = await (await sources.resolve(image("word"), "v1")).ready()
        assert await source.revision() == repo.one
        assert await sources.default.revision() == repo.two


async def test_a_ref_may_be_configured(nix, open_configured, config):
    async with open_configured(config + 'ref = "feature/x"') as sources:
        assert await word(sources, nix) == "one"
        assert sources.default.place.endswith("upstream at feature/x")


async def test_the_network_is_asked_once_in_a_while(
    nix, open_configured, repo, config, asked
):
    async with open_configured(config) as sources:
        for tag in ("latest", "main", "latest", "main"):
            assert await word(sources, nix, tag) == "two"
        assert asked == ["ls-remote", "ls-remote", "fetch"]
        repo.commit({"default.nix": package_set("three")})
        assert await word(sources, nix) == "two"
        far = sources.default.remote
        far._looked -= remote_module.FRESH
        assert await word(sources, nix) == "three"


async def test_without_a_network_it_is_what_it_was(
    nix, open_configured, repo, config, asked
):
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "two"
    repo.commit({"default.nix": package_set("three")})
    asked.clear()
    cut = replace(nix, offline=Offline(told=True))
    async with open_configured(config, cut) as sources:
        assert await word(sources, cut) == "two"
        with pytest.raises(RegistryError, match=r"v1 of it was never fetched") as told:
            await word(sources, cut, "v1")
        assert told.value.status == 403
        with pytest.raises(RegistryError, match=r"offline.*never fetched"):
            await word(sources, cut, repo.one)
        cut.offline.told = False
        if not cut.offline.on:
            assert await word(sources, cut, "v1") == "one"
    cut.offline.told = True


async def test_a_source_out_of_reach_is_what_it_was(nix, open_configured, repo, config):
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "two"
    repo.path.rename(repo.path.with_name("gone"))
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "two"
        with pytest.raises(RegistryError, match=r"cannot be asked.*never fetched"):
            await word(sources, nix, "v1")


async def test_what_is_not_there_is_404_and_names_what_is(nix, open_configured, config):
    async with open_configured(config) as sources:
        with pytest.raises(RegistryError, match="did you mean feature-x") as told:
            await word(sources, nix, "feature-y")
        assert told.value.status == 404
        for digits in ("0123456789" * 4, "abcdef1234"):
            with pytest.raises(RegistryError, match="no branch or tag with") as told:
                await word(sources, nix, digits)
            assert told.value.status == 404


async def test_what_nobody_means_any_more_is_left_to_gits_sweeping(
    nix, open_configured, repo, config
):
    async with open_configured(config) as sources:
        ours = sources.default.remote
        refs = set()
        for tag in (repo.one, "latest", repo.two, "v1", repo.one):
            await word(sources, nix, tag)
            listed = await remote_module.git(
                ours.directory, "for-each-ref", "--format=%(refname:lstrip=2)"
            )
            refs = {*listed.split()}
        assert refs == {repo.one, repo.two}, "v1 and HEAD mean these"
        repo.three = repo.commit({"default.nix": package_set("three")})
        ours._looked -= remote_module.FRESH
        assert await word(sources, nix) == "three"
        listed = await remote_module.git(
            ours.directory, "for-each-ref", "--format=%(refname:lstrip=2)"
        )
        assert {*listed.split()} == {repo.one, repo.three}
