"""A Nix for tests: this machine's store, settings of our own, no network."""

from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import settings

from nixeryd.images.errors import NixerydError
from nixeryd.nix.demo import prepare_demo
from nixeryd.nix.installation import open_nix
from nixeryd.nix.process import Nix

# No test asserts on time: hypothesis would, at 200 ms an example, and a machine that
# does other things takes longer. All else is as it is, and in CI as it is there.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

# Nix wants the spaces around "=".
_SETTINGS = "substitute = false\nbuild-users-group =\nsandbox = false\n"


@pytest.fixture(scope="session")
def nix_environment() -> dict[str, str]:
    """Variables for any process that runs Nix, such as a whole daemon."""
    return {"NIX_CONFIG": _SETTINGS}


@pytest.fixture(scope="session")
def nix(nix_environment) -> Nix:
    try:
        return trio.run(partial(open_nix, environment=nix_environment))
    except NixerydError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def demo_source(tmp_path_factory) -> Path:
    """A package source made of this machine's programs."""
    return prepare_demo(tmp_path_factory.mktemp("demo-set"))
