import pytest

from nixeryd.config import ConfigError, load_settings
from nixeryd.reload import Reloading


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


def test_a_taker_gets_the_new_settings_once(file, reloading):
    taken = []
    reloading.on("nix", "idle_exit", take=taken.append)
    file.write_text("idle_exit = 5\n[nix]\ntimeout = 2\n")
    outcome = reloading.reload()
    assert outcome.changed == ("idle_exit", "nix.timeout")
    assert outcome.needs_restart == ()
    assert taken == [reloading.settings]
    assert reloading.settings.nix.timeout == 2


def test_what_did_not_change_is_not_taken(reloading):
    reloading.on("nix", take=lambda _: pytest.fail("nothing changed"))
    assert reloading.reload().changed == ()


def test_what_nobody_takes_needs_a_restart_until_it_is_as_before(file, reloading):
    file.write_text("offline = true\n[nix]\ntimeout = 1\n")
    assert reloading.reload().needs_restart == ("offline",)
    assert reloading.reload().needs_restart == ("offline",)
    file.write_text("[nix]\ntimeout = 1\n")
    assert reloading.reload().needs_restart == ()


def test_a_mistake_changes_nothing(file, reloading):
    reloading.on("nix", take=lambda _: pytest.fail("half a reload"))
    before = reloading.settings
    file.write_text("[nix]\ntimeout = 2\nspeed = 3\n")
    with pytest.raises(ConfigError, match="speed"):
        reloading.reload()
    assert reloading.settings is before
    reloading.on_signal()  # logs it, and goes on
    assert reloading.settings is before
