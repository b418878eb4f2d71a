import pytest
import structlog
import trio

from nixeryd.builder.failures import MOST, Failures
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


async def test_an_error_that_is_raised_often_does_not_grow():
    """Each raising would add its frames, and hold on to what they know."""
    failures = Failures()
    failures.remember("image", BROKEN, 60)
    for _ in range(3):
        with pytest.raises(RegistryError, match="broken") as caught:
            failures.raise_remembered("image")
    assert len(caught.traceback) == 2  # here, and where it is raised
    assert caught.value.__cause__ is None


async def test_so_many_failures_are_remembered_and_no_more():
    failures = Failures()
    for number in range(MOST + 2):
        failures.remember(number, BROKEN, 60)
    assert len(failures) == MOST
    failures.raise_remembered(1)
    with pytest.raises(RegistryError):
        failures.raise_remembered(MOST + 1)


async def test_an_index_that_cannot_be_written_is_one_clear_error(demo_builder):
    database = demo_builder._index.names._db
    database.execute("PRAGMA query_only = ON")
    with pytest.raises(RegistryError, match=r"the index .* cannot be used") as caught:
        await demo_builder.manifest(("hello",), "latest")
    assert caught.value.code is ErrorCode.DENIED
    database.execute("PRAGMA query_only = OFF")
    # It may pass, so it is not remembered as the image's failure.
    manifest = await demo_builder.manifest(("hello",), "latest")
    # What is here is served though nothing can be noted of it.
    database.execute("PRAGMA query_only = ON")
    with structlog.testing.capture_logs() as logs:
        assert await demo_builder.manifest(("hello",), "here") == manifest
    assert "not tagged" in [entry["event"] for entry in logs]
    database.execute("PRAGMA query_only = OFF")
    assert demo_builder.tags(("hello",)) == ["latest"]
