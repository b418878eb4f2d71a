import pytest

from nixeryd.config.settings import ConfigError, load_settings
from nixeryd.daemon.reload import Reloading
from nixeryd.images.errors import NixerydError


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[nix]\ntimeout = 1\n")
    return file


@pytest.fixture
def reloading(file):
    def load():
        return load_settings(file, environ={})

    return Reloading(load(), load)


async def test_a_taker_gets_the_new_settings_once(file, reloading):
    taken = []
    reloading.on("nix", "idle_exit", take=taken.append)
    file.write_text("idle_exit = 5\n[nix]\ntimeout = 2\n")
    outcome = await reloading.reload()
    assert outcome.changed == ("idle_exit", "nix.timeout")
    assert outcome.needs_restart == ()
    assert taken == [reloading.settings]
    assert reloading.settings.nix.timeout == 2


async def test_what_did_not_change_is_not_taken(reloading):
    reloading.on("nix", take=lambda _: pytest.fail("nothing changed"))
    assert (await reloading.reload()).changed == ()


async def test_what_nobody_takes_needs_a_restart_until_it_is_as_before(file, reloading):
    file.write_text("offline = true\n[nix]\ntimeout = 1\n")
    assert (await reloading.reload()).needs_restart == ("offline",)
    assert (await reloading.reload()).needs_restart == ("offline",)
    file.write_text("[nix]\ntimeout = 1\n")
    assert (await reloading.reload()).needs_restart == ()


async def test_a_mistake_changes_nothing(file, reloading):
    reloading.on("nix", take=lambda _: pytest.fail("half a reload"))
    before = reloading.settings
    file.write_text("[nix]\ntimeout = 2\nspeed = 3\n")
    with pytest.raises(ConfigError, match="speed"):
        await reloading.reload()
    assert reloading.settings is before
    await reloading.on_signal()  # logs it, and goes on
    assert reloading.settings is before


async def test_what_cannot_be_had_changes_nothing(file, reloading):
    async def fail(_):
        raise NixerydError("it is not there")

    reloading.on("nix", take=lambda _: pytest.fail("half a reload"))
    reloading.prepare("sources", prepare=fail)
    before = reloading.settings
    file.write_text('[nix]\ntimeout = 2\n[sources.work]\npath = "/nowhere"\n')
    with pytest.raises(NixerydError, match="it is not there"):
        await reloading.reload()
    assert reloading.settings is before
    file.write_text("[nix]\ntimeout = 1\n")
    assert (await reloading.reload()).changed == ()


async def test_what_is_prepared_is_taken_when_all_is_ready(file, reloading):
    told = []

    async def prepare(new):
        told.append("ready")
        return lambda: told.append(new.source)

    reloading.prepare("source", "sources", prepare=prepare)
    reloading.on("nix", take=lambda _: told.append("nix"))
    file.write_text(
        'source = "work"\n[nix]\ntimeout = 2\n[sources.work]\npath = "/nowhere"\n'
    )
    await reloading.reload()
    assert told[0] == "ready"
    assert sorted(told[1:]) == ["nix", "work"]
