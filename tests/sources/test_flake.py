import shutil

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.images.names import NamePolicy
from nixeryd.nix.reads import Reads
from tests.sources.conftest import POLICY, image

FLAKE = """{{
  outputs = {{ self }}: {{
    packages.{system} = rec {{
      default = derivation {{
        name = "app-{word}"; system = "{system}"; builder = "/bin/sh";
        args = [ "-c" "echo > $out" ]; rev = self.rev or "none";
      }};
      tool = default // {{ name = "tool-{word}"; }};
    }};
  }};
}}"""


def flake(word):
    return {"flake.nix": FLAKE.format(word=word, system=POLICY.default_system)}


@pytest.fixture
def repo(make_repository):
    repo = make_repository("app")
    repo.one = repo.commit(flake("one"))
    return repo


@pytest.fixture
def config(repo):
    return f'[sources.app]\nflake = "{repo.path}"\n'


async def names(sources, nix, name, tag="latest"):
    source = await (await sources.resolve(image(name), tag)).ready()
    evaluation = await source.evaluate(nix, image(name), Reads())
    return [package.name for package in evaluation.packages]


async def test_the_default_package_and_named_ones(nix, open_configured, config):
    async with open_configured(config) as sources:
        assert await names(sources, nix, "flake/app") == ["app-one"]
        assert await names(sources, nix, "flake/app/tool") == ["tool-one"]
        assert await names(sources, nix, "tool", "app") == ["tool-one"]
        assert await sources.default.revision()


async def test_a_dirty_tree_is_as_it_is_now_and_commits_are_tags(
    nix, open_configured, config, repo
):
    repo.write(flake("two"))
    async with open_configured(config) as sources:
        assert await names(sources, nix, "flake/app") == ["app-two"]
        for tag in ("main", "HEAD", repo.one, repo.one[:8]):
            assert await names(sources, nix, "flake/app", tag) == ["app-one"], tag
        source = await (await sources.resolve(image("flake/app"), "main")).ready()
        assert await source.revision() == repo.one
        assert repo.one in await source.fingerprint()
        with pytest.raises(RegistryError, match="did you mean main") as told:
            await sources.resolve(image("flake/app"), "mian")
        assert told.value.status == 404


async def test_what_git_does_not_know_is_explained(
    nix, open_configured, make_repository
):
    repo = make_repository("new")
    repo.commit({"README": "x"})
    repo.write(flake("new"))
    async with open_configured(f'[sources.new]\nflake = "{repo.path}"') as sources:
        with pytest.raises(RegistryError, match=f"git -C {repo.path} add"):
            await names(sources, nix, "flake/new")
        before = await sources.default.fingerprint()
        repo.git("add", "flake.nix")
        assert await sources.default.fingerprint() != before
        assert await names(sources, nix, "flake/new") == ["app-new"]


async def test_a_flake_without_git_and_one_below_the_top(
    nix, open_configured, repo, tmp_path
):
    plain = tmp_path / "plain"
    shutil.copytree(repo.path, plain, ignore=shutil.ignore_patterns(".git"))
    repo.commit({f"sub dir/{name}": text for name, text in flake("sub").items()})
    config = f'[sources.plain]\nflake = "{plain}"\n'
    config += f'[sources.sub]\nflake = "{repo.path}/sub dir"\n'
    async with open_configured(config) as sources:
        assert await names(sources, nix, "flake/plain") == ["app-one"]
        assert await names(sources, nix, "flake/sub") == ["app-sub"]
        assert await names(sources, nix, "flake/sub", "HEAD") == ["app-sub"]


async def test_a_flake_below_the_top_is_evaluated_each_time(open_configured, repo):
    """It may read what is above it, where nobody watches."""
    repo.commit({f"sub/{name}": text for name, text in flake("sub").items()})
    config = f'[sources.sub]\nflake = "{repo.path}/sub"\n'
    config += f'[sources.top]\nflake = "{repo.path}"\n'
    async with open_configured(config) as sources:
        sub, top = sources
        await sub.checkout.wait_opened()
        await top.checkout.wait_opened()
        assert await sub.fingerprint() is None
        assert await top.fingerprint() is not None


async def test_its_nixpkgs_gives_shells_and_certificates(
    nix, open_configured, make_repository, tmp_path
):
    nixpkgs = make_repository("nixpkgs")
    text = FLAKE.format(word="bash", system=POLICY.default_system)
    text = text.replace("packages", "legacyPackages").replace("tool", "cacert")
    nixpkgs.commit({"flake.nix": text.replace("default", "bash")})
    app = make_repository("uses")
    (text,) = flake("uses").values()
    url = f"git+file://{nixpkgs.path}?rev={nixpkgs.git('rev-parse', 'HEAD')}"
    text = text.replace("{ self }", "{ self, nixpkgs }")
    text = text.replace("{", f'{{ inputs.nixpkgs.url = "{url}";', 1)
    app.commit({"flake.nix": text})
    config = f'[sources.uses]\nflake = "{app.path}"'
    async with open_configured(config) as sources:
        # Without a lock file Nix 2.8 refuses; 2.26 makes one in memory, so that what it
        # is locked to may be another at the next pull.
        reads, asked = Reads(), image("flake/uses")
        source = await (await sources.resolve(asked, "latest")).ready()
        refused = ""
        try:
            await source.evaluate(nix, asked, reads)
        except RegistryError as error:
            refused = str(error)
        if refused:
            assert f"nix flake lock {app.path}" in refused
        else:
            assert reads.unknown is not None
    features = ["--extra-experimental-features", "nix-command flakes"]
    await nix.run(["nix", *features, "flake", "lock", str(app.path)])
    policy = NamePolicy(POLICY.default_system, ("bash",), always=("cacert",))
    async with open_configured(config) as sources:
        asked = image("shell/flake/uses", policy)
        source = await (await sources.resolve(asked, "latest")).ready()
        found = {
            p.attribute: p.name
            for p in (await source.evaluate(nix, asked, Reads())).packages
        }
    assert found == {
        "bash": "app-bash",
        "cacert": "cacert-bash",
        "default": "app-uses",
    }


async def test_a_reference_is_locked_and_fetched_by_nix(nix, open_configured, repo):
    config = f'[sources.far]\nflake = "git+file://{repo.path}?ref=main"'
    async with open_configured(config) as sources:
        assert await names(sources, nix, "flake/far") == ["app-one"]
        source = await (await sources.resolve(image("flake/far"), "latest")).ready()
        assert repo.one in await source.fingerprint()
        assert await sources.default.revision() == repo.one
        with pytest.raises(RegistryError, match="another source") as told:
            await sources.resolve(image("flake/far"), "main")
        assert told.value.status == 404


async def test_a_reference_to_nothing_is_an_error_in_nixs_words(
    nix, open_configured, tmp_path
):
    config = f'[sources.far]\nflake = "git+file://{tmp_path}/gone"'
    async with open_configured(config) as sources:
        with pytest.raises(RegistryError, match="gone cannot be had") as told:
            await names(sources, nix, "flake/far")
        assert told.value.status == 403


async def test_an_unknown_flake_names_the_known_ones(open_configured, config):
    async with open_configured(config) as sources:
        with pytest.raises(RegistryError, match=r"no flake web \(known: app\)") as told:
            await sources.resolve(image("flake/web"), "latest")
        assert told.value.status == 404


READS = """{{
  outputs = {{ self }}: {{
    packages.{system}.default = derivation {{
      name = "app"; system = "{system}"; builder = "/bin/sh"; salt = {salt};
    }};
  }};
}}"""


@pytest.mark.parametrize(
    ("salt", "unknown"),
    [
        ('builtins.readFile ./word + builtins.getEnv "HOME"', False),
        ("builtins.pathExists /nowhere", False),
        ("builtins.readFile OUTSIDE", True),
    ],
)
async def test_a_flake_reads_what_is_in_it_or_is_evaluated_each_time(  # noqa: PLR0917  fixtures
    nix, open_configured, make_repository, tmp_path, salt, unknown
):
    """As for `nix build`, what is outside is not there; but a flake may want more."""
    outside = tmp_path / "outside"
    outside.write_text("outside")
    text = READS.format(
        system=POLICY.default_system, salt=salt.replace("OUTSIDE", str(outside))
    )
    repo = make_repository("reads")
    repo.commit({"flake.nix": text, "word": "word"})
    async with open_configured(f'[sources.reads]\nflake = "{repo.path}"\n') as sources:
        source = sources.default
        reads = Reads()
        evaluation = await (await source.now()).evaluate(
            nix, image("flake/reads"), reads
        )
        assert [package.name for package in evaluation.packages] == ["app"]
        assert (reads.unknown is not None) is unknown
        assert not reads.paths
