"""Whole sources from a configuration, with real Nix and git, and no network."""

import platform
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from nixeryd.config.settings import load_settings
from nixeryd.images.names import NamePolicy, parse_image
from nixeryd.nix.reads import Reads
from nixeryd.sources.opening import open_sources
from tests.git.conftest import make_repository, own_configuration

__all__ = ["make_repository", "own_configuration"]


@pytest.fixture
def nix(nix):
    """A Nix whose builders have a sandbox: else it refuses what nobody vouches for."""
    settings = nix.environment["NIX_CONFIG"] + "sandbox = true\n"
    return replace(nix, environment={**nix.environment, "NIX_CONFIG": settings})


@pytest.fixture
def open_configured(nix, tmp_path):
    """Open the sources of a configuration; `nix` may be another one."""

    @asynccontextmanager
    async def open_them(text, nix=nix):
        file = tmp_path / "config.toml"
        file.write_text(text)
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        settings = load_settings(file, environ={})
        async with (
            trio.open_nursery() as nursery,
            open_sources(settings, nix, data, nursery) as sources,
        ):
            yield sources
            nursery.cancel_scope.cancel()

    return open_them


POLICY = NamePolicy(f"{platform.machine()}-linux", always=("cacert",))


def image(name, policy=POLICY):
    return parse_image(tuple(name.split("/")), policy)


def package_set(word):
    """A package set whose package `word` says this word."""
    return f"""{{ system }}: {{
      cacert = derivation {{
        name = "cacert"; inherit system; builder = "/bin/sh";
        args = [ "-c" "echo > $out" ];
      }};
      word = derivation {{
        name = "word-{word}"; inherit system; builder = "/bin/sh";
        args = [ "-c" "echo {word} > $out" ];
      }};
    }}"""


async def word(sources, nix, tag="latest"):
    """What the package `word` says, by its name."""
    source = await (await sources.resolve(image("word"), tag)).ready()
    found = {
        p.attribute: p.name
        for p in (await source.evaluate(nix, image("word"), Reads())).packages
    }
    return found["word"].removeprefix("word-")
