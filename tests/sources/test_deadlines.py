"""A server that never answers: fetching ends by itself, and names the setting."""

import socket
from dataclasses import replace

import pytest

from nixeryd.images.errors import RegistryError
from nixeryd.nix.limits import Limits
from tests.sources.conftest import word


@pytest.fixture
def silent():
    """The address of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    "source",
    [
        'git = "git://{}/x"',
        'git = "git://{}/x"\nref = "0123456789012345678901234567890123456789"',
        'channel = "http://{}/x.tar.gz"',
        'flake = "git+http://{}/x"',
    ],
)
async def test_it_is_given_up(nix, open_configured, silent, source):
    impatient = replace(nix, limits=Limits(fetching=1))
    config = f"[sources.far]\n{source.format(silent)}"
    async with open_configured(config, impatient) as sources:
        with pytest.raises(
            RegistryError, match=r"more than 1 s.*nix\.fetch_timeout"
        ) as told:
            await word(sources, impatient)
        assert told.value.status == 403
