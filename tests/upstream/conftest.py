from collections.abc import AsyncIterator

import pytest

from nixeryd.upstream import Upstream, open_upstream
from tests.upstream.fixtures import (
    elsewhere,
    faults,
    gated,
    pace,
    private_registry,
    realm,
    registry,
    waits,
)

__all__ = [
    "elsewhere",
    "faults",
    "gated",
    "pace",
    "private_registry",
    "realm",
    "registry",
    "waits",
]


@pytest.fixture
async def upstream(faults, pace) -> AsyncIterator[Upstream]:
    """The client under test, behind the fault-injecting proxy."""
    async with open_upstream("hub.test", faults.url, pace=pace) as client:
        yield client
