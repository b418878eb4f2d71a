import tarfile
from dataclasses import replace

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.nix.installation import open_nix
from nixeryd.runtime.offline import Offline
from nixeryd.sources import opening, tarball
from nixeryd.sources.tarball import tarball_url
from tests.sources.conftest import image, package_set, word


def pack(place, text, revision="abc123"):
    """Write a tarball as channels are: one directory with the package set in it."""
    directory = place / "nixos-99.05"
    directory.mkdir(exist_ok=True)
    (directory / "default.nix").write_text(text)
    (directory / ".git-revision").write_text(revision)
    with tarfile.open(place / "nixexprs.tar.xz", "w:xz") as tar:
        tar.add(directory, arcname=directory.name)
    return f"file://{place}/nixexprs.tar.xz"


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("nixos-25.05", "https://channels.nixos.org/nixos-25.05/nixexprs.tar.xz"),
        ("a" * 40, f"https://github.com/NixOS/nixpkgs/archive/{'a' * 40}.tar.gz"),
        ("http://localhost/x.tar", "http://localhost/x.tar"),
    ],
)
def test_a_channel_is_a_name_a_commit_or_a_url(channel, url):
    assert tarball_url(channel) == url


async def test_a_tarball_is_a_package_set(nix, open_configured, tmp_path):
    url = pack(tmp_path, package_set("channel"))
    async with open_configured(f'[sources.c]\nchannel = "{url}"') as sources:
        assert await sources.default.revision() is None
        assert await word(sources, nix) == "channel"
        source = await (await sources.resolve(image("word"), "latest")).ready()
        assert str(source.path).startswith("/nix/store/")
        assert await source.fingerprint() == str(source.path)
        assert await sources.default.revision() == "abc123"
        root = tmp_path / "data" / "gcroots" / "source-c"
        assert root.resolve() == source.path
        with pytest.raises(RegistryError, match="has no refs") as told:
            await sources.resolve(image("word"), "nixos-25.05")
        assert told.value.status == 404


async def test_what_cannot_be_had_says_which(nix, open_configured, tmp_path):
    url = f"file://{tmp_path}/gone.tar.xz"
    async with open_configured(f'[sources.c]\nchannel = "{url}"') as sources:
        with pytest.raises(RegistryError, match=r"gone\.tar\.xz cannot be had") as told:
            await word(sources, nix)
        assert told.value.status == 403


async def test_offline_an_old_tarball_is_good(
    nix, nix_environment, open_configured, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = pack(tmp_path, package_set("channel"))
    config = f'[sources.c]\nchannel = "{url}"'
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "channel"
    (tmp_path / "nixexprs.tar.xz").unlink()
    settings = nix_environment["NIX_CONFIG"] + "tarball-ttl = 0\n"
    expired = await open_nix(environment={"NIX_CONFIG": settings})
    cut = replace(expired, offline=Offline(told=True))
    async with open_configured(config, cut) as sources:
        assert await word(sources, cut) == "channel"


@pytest.fixture
def nixpkgs(make_repository, tmp_path, monkeypatch):
    """A nixpkgs elsewhere, and archives of its commits; `evil` is a fork's."""
    repo = make_repository("nixpkgs")
    repo.git("config", "uploadpack.allowFilter", "true")
    (tmp_path / "id").write_text("private")
    stolen = package_set("x").replace(
        "word-x", f"word-${{builtins.readFile {tmp_path}/id}}"
    )
    repo.one = repo.commit({"default.nix": package_set("one")})
    repo.nosy = repo.commit({"default.nix": stolen})
    repo.commit({"default.nix": package_set("two")})
    repo.git("checkout", "--quiet", "--detach")
    repo.evil = repo.commit({"default.nix": stolen + " "})
    repo.git("checkout", "--quiet", "main")
    for commit in (repo.one, repo.nosy, repo.evil):
        to = f"--output={tmp_path}/{commit}.tar.gz"
        repo.git("archive", "--prefix=nixpkgs/", to, commit)
    monkeypatch.setattr(tarball, "COMMITS", f"file://{tmp_path}/{{}}.tar.gz")
    monkeypatch.setattr(opening, "NIXPKGS", f"file://{repo.path}")
    return repo


async def test_a_commit_of_nixpkgs_is_one_that_its_branches_contain(
    nix, open_configured, nixpkgs
):
    async with open_configured('[sources.c]\nchannel = "nixos-99.05"') as sources:
        for commit in (nixpkgs.one, nixpkgs.one[:10]):
            assert await word(sources, nix, commit) == "one"
        with pytest.raises(RegistryError, match="no branch or tag with") as told:
            await word(sources, nix, nixpkgs.evil)
        assert told.value.status == 404
        with pytest.raises(RegistryError, match="forbidden in restricted") as told:
            await word(sources, nix, nixpkgs.nosy)
        assert told.value.status == 403
        assert "If you trust it: configure it as a source" in str(told.value)


async def test_a_commit_that_is_configured_needs_no_proof(
    nix, open_configured, nixpkgs
):
    config = f'[sources.c]\nchannel = "{nixpkgs.evil}"'
    async with open_configured(config) as sources:
        assert await word(sources, nix) == "private"


@pytest.mark.parametrize("tag", ["main", "release-25.05", "nixos", "Nixos-25.05"])
async def test_what_is_no_channel_is_404_before_anything_is_asked(open_configured, tag):
    async with open_configured('[sources.c]\nchannel = "nixos-99.05"') as sources:
        with pytest.raises(RegistryError, match="git = ") as told:
            await sources.resolve(image("word"), tag)
        assert told.value.status == 404
