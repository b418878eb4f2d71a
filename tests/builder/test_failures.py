import pytest
import trio

from nixeryd.builder.failures import Failures
from nixeryd.images.errors import ErrorCode, RegistryError

BROKEN = RegistryError(ErrorCode.DENIED, "broken")


async def test_a_failure_is_remembered_for_its_time(autojump_clock):
    failures = Failures()
    failures.remember("image", BROKEN, 60)
    await trio.sleep(59)
    with pytest.raises(RegistryError, match="broken"):
        failures.raise_remembered("image")
    failures.raise_remembered("another image")
    await trio.sleep(2)
    failures.raise_remembered("image")


async def test_what_is_mended_is_forgotten():
    failures = Failures()
    failures.remember("image", BROKEN, 60)
    failures.forget("image")
    failures.raise_remembered("image")
    failures.forget("image")


async def test_names_that_nobody_asks_for_again_do_not_pile_up(autojump_clock):
    failures = Failures()
    for number in range(100):
        failures.remember(number, BROKEN, 10)
    await trio.sleep(11)
    failures.remember("new", BROKEN, 10)
    assert len(failures) == 1
