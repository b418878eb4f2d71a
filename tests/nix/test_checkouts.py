import json

import pytest

from nixeryd.nix.checkouts import find_checkout


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home with nothing in it; `checkout(path)` makes one that looks like nixpkgs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NIX_PATH", "")
    return tmp_path


def checkout(path):
    (path / "pkgs" / "top-level").mkdir(parents=True)
    (path / "default.nix").write_text("{ }: { }")
    return path


def pin(place, to):
    file = place / "config" / "nix" / "registry.json"
    file.parent.mkdir(parents=True)
    entry = {"from": {"id": "nixpkgs", "type": "indirect"}, "to": to}
    file.write_text(json.dumps({"version": 2, "flakes": [entry]}))


async def test_nothing_is_found_where_nothing_is(nix, place):
    assert await find_checkout(nix, place) is None


async def test_where_the_developer_stands_comes_first(nix, place, monkeypatch):
    here = checkout(place / "here")
    monkeypatch.setenv("NIX_PATH", f"nixpkgs={checkout(place / 'other')}")
    assert await find_checkout(nix, here / "pkgs") == here
    assert await find_checkout(nix, place) == place / "other"


async def test_the_registrys_pin_comes_before_the_usual_places(nix, place):
    usual = checkout(place / "nixpkgs")
    assert await find_checkout(nix, place / "x") == usual
    pinned = checkout(place / "pinned")
    pin(place, {"type": "path", "path": str(pinned)})
    assert await find_checkout(nix, place / "x") == pinned


@pytest.mark.parametrize(
    "to", [{"type": "github", "owner": "NixOS"}, {"type": "path", "path": "/gone"}, 1]
)
async def test_other_pins_are_nothing_on_this_machine(nix, place, to):
    pin(place, to)
    assert await find_checkout(nix, place) is None
