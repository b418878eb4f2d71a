"""A short torture; `make torture` is the long one."""

from tests.e2e.conftest import need
from tests.torture.rounds import torture


async def test_a_daemon_that_is_killed_loses_nothing(tmp_path):
    need("nix-instantiate", "docker-registry")
    ledger, counts = await torture(tmp_path, seed=8, rounds=5)
    assert ledger.losses == [], counts
    assert ledger.kills + ledger.power_cuts == 5
    assert ledger.pulls > 0
