"""Tags that are refs: taken from the repository, not from the working tree."""

import json
from contextlib import AsyncExitStack

import pytest
import trio

from nixeryd.images.digests import Digest
from nixeryd.images.errors import RegistryError
from tests.builder.conftest import open_builder
from tests.builder.test_freshness import break_nix
from tests.git.conftest import Repo

WORD = 'word = make "word" "echo {} > $out";'


@pytest.fixture
def repo(write_set, tmp_path, monkeypatch):
    """A checkout whose package `word` says which branch it is of."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repo = Repo(tmp_path / "nixpkgs")
    repo.path.mkdir()
    repo.git("init", "--quiet", "--initial-branch=main")

    def say(word):
        return {"default.nix": write_set(WORD.format(word), str(tmp_path)).read_text()}

    repo.say = say
    for branch in ("two", "main"):
        repo.git("checkout", "--quiet", "-B", branch)
        repo.commit(say(branch))
    return repo


@pytest.fixture
async def builder(nix, repo, tmp_path):
    async with open_builder(nix, repo.path, tmp_path / "data", watch=True) as builder:
        yield builder


def words(builder, manifest):
    """What the package of an image says: the words in its layers."""
    found = set()
    for layer in json.loads(manifest.body)["layers"]:
        text = builder.blob(Digest.parse(layer["digest"])).path.read_bytes()
        found |= {word for word in (b"main\n", b"two\n", b"dirty\n") if word in text}
    return found


async def test_two_branches_and_a_dirty_tree_at_once_are_three_images(builder, repo):
    repo.write(repo.say("dirty"))
    made = {}

    async def ask(tag):
        made[tag] = await builder.manifest(("word",), tag)

    async with trio.open_nursery() as clients:
        for tag in ("latest", "main", "two", "HEAD"):
            clients.start_soon(ask, tag)
    assert {tag: words(builder, manifest) for tag, manifest in made.items()} == {
        "latest": {b"dirty\n"},
        "main": {b"main\n"},
        "two": {b"two\n"},
        "HEAD": {b"main\n"},
    }
    assert made["main"] == made["HEAD"]
    assert repo.git("status", "--porcelain") == "M default.nix"


async def test_a_commit_is_served_without_nix_once_it_is_made(builder, repo):
    made = await builder.manifest(("word",), "two")
    break_nix(builder)
    commit = repo.git("rev-parse", "two")
    for tag in ("two", commit, commit[:8]):
        assert await builder.manifest(("word",), tag) == made


async def test_a_branch_that_moved_is_another_image(builder, repo):
    before = await builder.manifest(("word",), "two")
    repo.git("branch", "--force", "two", "main")
    after = await builder.manifest(("word",), "two")
    assert after != before
    assert words(builder, after) == {b"main\n"}


async def test_a_branch_that_moves_before_its_build_begins_is_not_missed(builder, repo):
    """The old commit's build waits for its turn; a later pull must not join it."""
    places = builder._workshop._evaluations
    holders = AsyncExitStack()
    for _ in range(2):
        await holders.enter_async_context(places.one())
    async with builder.pull(("word",), "two") as before:
        repo.git("branch", "--force", "two", "main")
        async with builder.pull(("word",), "two") as after:
            await holders.aclose()
            last = [[event async for event in told][-1] for told in (before, after)]
    made = [
        await builder.manifest(("word",), Digest.parse(event.digest)) for event in last
    ]
    assert [words(builder, one) for one in made] == [{b"two\n"}, {b"main\n"}]
    assert await builder.manifest(("word",), "two") == made[1]


async def test_an_unknown_ref_is_404_with_near_ones(builder):
    with pytest.raises(RegistryError, match="did you mean main") as caught:
        await builder.manifest(("word",), "mian")
    assert caught.value.status == 404


async def test_an_error_names_source_ref_and_commit(builder, repo):
    with pytest.raises(RegistryError) as caught:
        await builder.manifest(("wrod",), "two")
    commit = repo.git("rev-parse", "two")[:12]
    assert str(caught.value) == (
        f"{repo.path} at two ({commit}): there is no package wrod; did you mean word?"
    )


async def test_without_git_a_tag_is_a_source_or_nothing(nix, write_set, tmp_path):
    write_set(WORD.format("x"))
    async with open_builder(nix, tmp_path / "set.nix", tmp_path / "data") as builder:
        with pytest.raises(RegistryError, match=r"'nope'.*no git repository") as caught:
            await builder.manifest(("word",), "nope")
    assert caught.value.status == 404
