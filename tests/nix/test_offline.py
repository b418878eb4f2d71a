"""Without a network: no waiting for one, and a clear word about what is missing."""

import socket
from uuid import uuid4

import pytest
import trio

from nixeryd.images.errors import RegistryError
from nixeryd.nix.evaluate import evaluate
from nixeryd.nix.installation import open_nix
from nixeryd.nix.missing import MissingOffline, query_missing
from nixeryd.nix.realise import realise
from nixeryd.runtime.offline import Offline


@pytest.fixture
def substituter():
    """A substituter that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


def was_asked(substituter):
    try:
        substituter.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.fixture
async def nix(substituter):
    port = substituter.getsockname()[1]
    lines = ["substitute = true", "build-users-group =", "sandbox = false"]
    lines += [f"substituters = http://127.0.0.1:{port}", "trusted-substituters ="]
    offline = Offline(told=True, has_network=lambda: True)
    environment = {"NIX_CONFIG": "\n".join(lines)}
    return await open_nix(environment=environment, offline=offline)


@pytest.fixture
def source(tmp_path):
    """`plain` needs building only, `fetched` needs a download that cannot be had."""
    salt = uuid4()
    file = tmp_path / "set.nix"
    file.write_text(f"""{{ system }}: rec {{
      plain = derivation {{
        name = "plain"; inherit system; salt = "{salt}";
        builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
      }};
      tarball = derivation {{
        name = "tarball-1.0"; system = "builtin"; builder = "builtin:fetchurl";
        url = "http://192.0.2.1/{salt}"; urls = [ ]; unpack = false;
        executable = false; preferLocalBuild = true;
        outputHash = builtins.hashString "sha256" "{salt}";
        outputHashAlgo = "sha256"; outputHashMode = "flat";
      }};
      fetched = derivation {{
        name = "fetched"; inherit system tarball;
        builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
      }};
    }}""")
    return file


async def installables(nix, source, system, *names):
    packages = (await evaluate(nix, source, names, system)).packages
    return [package.installable for package in packages]


async def test_what_needs_building_only_is_built(
    nix, source, system, tmp_path, substituter
):
    wanted = await installables(nix, source, system, "plain")
    with trio.fail_after(30):
        await realise(nix, wanted, roots=tmp_path / "roots")
    assert not was_asked(substituter)
    assert (await query_missing(nix, wanted)).paths == ()


async def test_what_must_be_downloaded_is_counted_and_named(
    nix, source, system, tmp_path, substituter
):
    wanted = await installables(nix, source, system, "fetched", "plain")
    with trio.fail_after(30), pytest.raises(MissingOffline) as caught:
        await realise(nix, wanted, roots=tmp_path / "roots")
    assert isinstance(caught.value, RegistryError)
    assert str(caught.value).startswith(
        "offline (told to be offline): 3 store paths are missing, and 1 of them can"
        " only be downloaded: tarball-1.0."
    )
    assert not was_asked(substituter)


async def test_what_nobody_here_can_make_is_missing(nix, tmp_path):
    path = f"/nix/store/{'0' * 32}-gone"
    with pytest.raises(MissingOffline, match=r"1 store path is missing.*gone"):
        await realise(nix, [path], roots=tmp_path / "roots")


async def test_going_online_again_needs_no_restart(
    nix, source, system, tmp_path, substituter
):
    wanted = await installables(nix, source, system, "fetched")
    nix.offline.told = False
    async with trio.open_nursery() as nursery:

        async def build():
            await realise(nix, wanted, roots=tmp_path / "roots")

        nursery.start_soon(build)
        await trio.lowlevel.wait_readable(substituter)
        assert was_asked(substituter), "it is the network that is waited for"
        nursery.cancel_scope.cancel()
    nix.offline.told = True
    with pytest.raises(MissingOffline):
        await realise(nix, wanted, roots=tmp_path / "roots")
