"""Digests say what is in an image; where it came from is kept for each tag."""

import json

import pytest

from nixeryd.images.digests import Digest
from nixeryd.store.origins import Origin
from tests.builder.conftest import open_builder
from tests.git.conftest import Repo


@pytest.fixture
def repo(write_set, tmp_path, monkeypatch):
    """A checkout with two commits that give the same package."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repo = Repo(tmp_path / "nixpkgs")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--initial-branch=main")
    source = write_set('word = make "word" "echo word > $out";', str(tmp_path))
    repo.commit({"default.nix": source.read_text()})
    repo.git("tag", "v1")
    repo.commit({"NEWS": "nothing that Nix reads"})
    return repo


async def pull(builder, *tags):
    return [(await builder.manifest(("word",), tag)).digest for tag in tags]


def builds(builder, tag):
    image = builder._index.names.all()[0].image
    return [
        (one.manifest, one.origin) for one in builder._index.origins.of_tag(image, tag)
    ]


async def test_a_digest_does_not_depend_on_what_was_pulled_before(nix, repo, tmp_path):
    found = set()
    for number, tags in enumerate((["v1"], ["main", "v1"], ["latest"])):
        data = tmp_path / f"data{number}"
        async with open_builder(nix, repo.path, data, watch=True) as builder:
            found |= {*await pull(builder, *tags)}
        repo.write({"NEWS": f"edited {number}"})  # the tree is dirty from now on
    assert len(found) == 1


async def test_no_config_says_where_its_image_came_from(nix, repo, tmp_path):
    async with open_builder(nix, repo.path, tmp_path / "data", watch=True) as builder:
        manifest = await builder.manifest(("word",), "latest")
        config = Digest.parse(json.loads(manifest.body)["config"]["digest"])
        text = builder.blob(config).path.read_text()
    assert repo.git("rev-parse", "main") not in text
    assert json.loads(text)["config"]["Labels"] == {
        "org.opencontainers.image.title": "word"
    }


async def test_each_tag_tells_its_own_builds(nix, repo, tmp_path):
    async with open_builder(nix, repo.path, tmp_path / "data", watch=True) as builder:
        (digest, _) = await pull(builder, "v1", "latest")
        repo.write({"NEWS": "edited"})
        await pull(builder, "latest")
        first, second = (repo.git("rev-parse", ref) for ref in ("v1", "main"))
        assert builds(builder, "v1") == [(digest, Origin("here", first))]
        assert builds(builder, "latest") == [
            (digest, Origin("here", f"{second}-dirty")),
            (digest, Origin("here", second)),
        ]


async def test_a_pull_that_needs_no_build_adds_none(nix, repo, tmp_path):
    async with open_builder(nix, repo.path, tmp_path / "data", watch=True) as builder:
        await pull(builder, "latest", "latest", "latest")
        assert len(builds(builder, "latest")) == 1


async def test_builds_go_with_their_tag(nix, repo, tmp_path):
    async with open_builder(nix, repo.path, tmp_path / "data", watch=True) as builder:
        await pull(builder, "v1", "latest")
        names = {name.tag: name for name in builder._index.names.all()}
        image = names["v1"].image
        builder._index.names.remove(names["v1"])
        assert builder._index.origins.of_tag(image, "v1") == []
        assert len(builder._index.origins.of_tag(image, "latest")) == 1
        builder._index.names.forget([str(names["latest"].manifest)], [])
        assert builder._index.origins.of_tag(image, "latest") == []
