"""Commits that nobody here vouches for: they read their own files, and fetch nothing.

Each row is what a hostile `default.nix` may try, and is tried by real Nix.
"""

import platform
from dataclasses import replace

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.images.names import NamePolicy
from nixeryd.nix.reads import Reads
from nixeryd.nix.restricted import is_refusal
from tests.sources.conftest import image, package_set

PACKAGE = """word{number} = derivation {{
  name = "word-${{{expression}}}"; inherit system; builder = "/bin/sh"; args = [ ];
}};
"""
POLICY = NamePolicy(f"{platform.machine()}-linux", always=())
# What is evaluated, in a directory with a link to the planted secret in it.
ATTEMPTS = {
    "a file of the user": "builtins.readFile {secret}/id",
    "a link to it": "builtins.readFile ./link/id",
    "a directory": "toString (builtins.attrNames (builtins.readDir {secret}))",
    "a path above": "builtins.readFile ../content.json",
    "a copy": '"${{builtins.path {{ path = {secret}; name = "s"; }}}}"',
    "a path in a string": '"${{{secret}/id}}"',
    "a filter": '"${{builtins.filterSource (_: _: true) {secret}}}"',
    "another file's code": "import {secret}/id",
    "a hash": 'builtins.hashFile "sha256" {secret}/id',
    "a URL": 'builtins.fetchurl "http://127.0.0.1:9/x"',
    "a file by URL": 'builtins.readFile (builtins.fetchurl "file://{secret}/id")',
    "a tarball": 'builtins.fetchTarball "http://127.0.0.1:9/x.tar.gz"',
    "a repository": '"${{builtins.fetchGit {secret}/repository}}"',
    "a repository by URL": 'toString (builtins.fetchGit "http://127.0.0.1:9/x")',
    "mercurial": 'toString (builtins.fetchMercurial "http://127.0.0.1:9/x")',
    "a tree": 'toString (builtins.fetchTree {{ type = "path"; path = "{secret}"; }})',
    "a flake": '(builtins.getFlake "path:{secret}").outPath',
    "a place on NIX_PATH": "builtins.readFile <secret/id>",
    "a program": 'builtins.exec [ "/bin/sh" "-c" "echo 1" ]',
    "building": 'builtins.readFile (derivation {{ name = "x"; inherit system;'
    ' builder = "/bin/sh"; args = [ "-c" "echo x > $out" ]; }})',
}


@pytest.fixture
def secret(tmp_path, make_repository):
    directory = tmp_path / "secret"
    directory.mkdir()
    repository = make_repository("secret/repository")
    repository.commit({"file": "private"})
    (directory / "id").write_text('"private"')
    return directory


@pytest.fixture
def repo(make_repository, secret):
    """A checkout; `plant` puts an evil commit where somebody else's branch is."""
    repo = make_repository()
    repo.commit({"default.nix": package_set("mine")})

    def plant(*expressions):
        repo.git("checkout", "--quiet", "--detach")
        (repo.path / "link").symlink_to(secret)
        packages = "".join(
            PACKAGE.format(number=number, expression=expression)
            for number, expression in enumerate(expressions)
        )
        text = f"{{ system }}: {{ {packages} }}"
        commit = repo.commit({"default.nix": text, "own": "own"})
        repo.git("checkout", "--quiet", "main")
        repo.git("update-ref", "refs/remotes/fork/evil", commit)
        return commit

    repo.plant = plant
    return repo


async def evaluate(sources, nix, tag, name="word0"):
    wanted = image(name, POLICY)
    source = await (await sources.resolve(wanted, tag)).ready()
    return [p.name for p in (await source.evaluate(nix, wanted, Reads())).packages]


async def test_it_gets_nothing(nix, open_configured, repo, secret, monkeypatch):
    monkeypatch.setenv("NIX_PATH", f"secret={secret}")
    repo.plant(*(text.format(secret=secret) for text in ATTEMPTS.values()))
    names = [f"word{number}" for number in range(len(ATTEMPTS))]
    async with open_configured(f'[sources.n]\npath = "{repo.path}"') as sources:
        with pytest.raises(RegistryError) as told:
            await evaluate(sources, nix, "fork-evil", "/".join(names))
    assert told.value.status == 403
    assert "private" not in str(told.value)
    assert "If you trust it: git -C" in str(told.value)
    for name, attempt in zip(names, ATTEMPTS, strict=True):
        said = str(told.value).partition(f"{name} does not evaluate: ")[2]
        assert is_refusal(said.partition("does not evaluate")[0]), (attempt, said)


async def test_it_sees_no_environment(nix, open_configured, repo):
    repo.plant('builtins.getEnv "HOME" + "nothing"')
    async with open_configured(f'[sources.n]\npath = "{repo.path}"') as sources:
        assert "word-nothing" in await evaluate(sources, nix, "fork-evil")


async def test_its_own_files_and_nixs_are_read(nix, open_configured, repo, tmp_path):
    expression = 'builtins.readFile ./own + (toString (<nix/fetchurl.nix> != ""))'
    commit = repo.plant(expression)
    data = tmp_path / "data"
    real = tmp_path / "elsewhere"
    real.mkdir()
    data.symlink_to(real)
    async with open_configured(f'[sources.n]\npath = "{repo.path}"') as sources:
        for tag in ("fork-evil", commit):
            assert "word-own1" in await evaluate(sources, nix, tag)


async def test_who_is_trusted_reads_what_they_like(nix, open_configured, repo, secret):
    commit = repo.plant(f"import {secret}/id")
    repo.git("branch", "vouched", commit)
    async with open_configured(f'[sources.n]\npath = "{repo.path}"') as sources:
        for tag in ("vouched", commit, "fork-evil"):
            assert "word-private" in await evaluate(sources, nix, tag)


async def test_what_the_configuration_adds_is_restricted(
    nix, open_configured, repo, secret
):
    commit = repo.plant(f"import {secret}/id")
    repo.git("update-ref", "refs/pull/3/head", commit)
    repo.git("update-ref", "-d", "refs/remotes/fork/evil")
    config = f'[sources.n]\npath = "{repo.path}"\n'
    async with open_configured(config) as sources:
        with pytest.raises(RegistryError) as told:
            await sources.resolve(image("word0"), "pull-3-head")
        assert told.value.status == 404
    async with open_configured(config + 'refs = ["refs/pull/*"]') as sources:
        with pytest.raises(RegistryError, match="If you trust it") as told:
            await evaluate(sources, nix, "pull-3-head")
        assert told.value.status == 403


async def test_a_flake_of_somebody_else_is_refused(nix, open_configured, repo):
    commit = repo.plant('"x"')
    async with open_configured(f'[sources.f]\nflake = "{repo.path}"') as sources:
        with pytest.raises(RegistryError, match="without fetching") as told:
            await sources.resolve(image("word0"), commit)
        assert told.value.status == 403


@pytest.mark.parametrize("sandbox", ["false", "relaxed"])
async def test_it_is_not_built_where_builders_could_read_the_users_files(
    nix, open_configured, repo, sandbox
):
    settings = nix.environment["NIX_CONFIG"] + f"sandbox = {sandbox}\n"
    open_ = replace(nix, environment={**nix.environment, "NIX_CONFIG": settings})
    repo.plant('"x"')
    async with open_configured(f'[sources.n]\npath = "{repo.path}"', open_) as sources:
        if open_.has_daemon:
            pytest.skip("the Nix daemon's builders are other users")
        with pytest.raises(RegistryError, match="turn Nix's sandbox on") as told:
            await evaluate(sources, open_, "fork-evil")
        assert told.value.status == 403
