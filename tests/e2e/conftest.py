"""Fixtures of the end-to-end tests: real clients, and daemons to point them at.

Whatever needs a program that is not installed is skipped with its name; in CI
that fails (tests/no_skips.py). Engines are started once for the whole run.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.engines import (
    Docker,
    Podman,
    Skopeo,
    docker_engine,
    podman_engine,
)
from tests.e2e.serving import ODD, Daemon, odd_source, serving

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)


def need(*programs: str, root: bool = False) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if missing := [name for name in programs if not shutil.which(name, path=path)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if root and os.geteuid() != 0:
        pytest.skip(f"{programs[0]} runs containers as root only")


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    need("dockerd", "docker", "runc", root=True)
    with docker_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    need("podman", "runc", root=True)
    with podman_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def skopeo() -> Skopeo:
    need("skopeo")
    return Skopeo()


@pytest.fixture(scope="session")
def daemon(tmp_path_factory) -> Iterator[Daemon]:
    """A daemon with the embedded demo set, for tests that only ask."""
    need("nix-instantiate")
    with serving(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def odd_daemon(tmp_path_factory) -> Iterator[Daemon]:
    """A daemon whose source `odd` is the package set beside this file."""
    need("nix-instantiate")
    place = tmp_path_factory.mktemp("odd-daemon")
    with serving(place, *odd_source(place), environ=ODD) as daemon:
        yield daemon
