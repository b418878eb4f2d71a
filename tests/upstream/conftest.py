from collections.abc import AsyncIterator

import pytest

from nixeryd.upstream import Upstream, open_upstream
from tests.upstream.fixtures import (
    elsewhere,
    faults,
    gated,
    private_registry,
    realm,
    registry,
    retry_policy,
    waits,
)

__all__ = [
    "elsewhere",
    "faults",
    "gated",
    "private_registry",
    "realm",
    "registry",
    "retry_policy",
    "waits",
]


@pytest.fixture
async def upstream(faults, retry_policy) -> AsyncIterator[Upstream]:
    """The client under test, behind the fault-injecting proxy."""
    async with open_upstream(
        "hub.test", faults.url, retry_policy=retry_policy
    ) as client:
        yield client
