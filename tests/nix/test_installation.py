import grp
import subprocess
import sys

import pytest
import trio

from nixeryd.images.errors import NixerydError
from nixeryd.nix import installation
from nixeryd.nix.installation import (
    builds_have_users,
    can_sandbox,
    find_nix,
    may_use_store,
    open_nix,
    parse_version,
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("nix (Nix) 2.8.0\n", ("nix", (2, 8, 0))),
        ("nix (Nix) 2.36.0pre20261101_abcdef\n", ("nix", (2, 36, 0))),
        ("nix (Lix, like Nix) 2.91.1\n", ("lix, like nix", (2, 91, 1))),
        (
            "warning: something\nnix (Determinate Nix 3.8.0) 2.30.0\n",
            ("determinate nix 3.8.0", (2, 30, 0)),
        ),
    ],
)
def test_version_and_fork_are_read(said, expected):
    assert parse_version(said) == expected


def test_another_program_named_nix_is_refused():
    with pytest.raises(NixerydError, match="no Nix"):
        parse_version("nix shell 1.0")


@pytest.fixture
def machine_without_nix(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(installation, "_USUAL_PLACES", ("~/.nix-profile/bin",))
    return tmp_path


def test_a_machine_without_nix_is_told_how_to_get_it(machine_without_nix):
    with pytest.raises(NixerydError, match="apt install nix-bin"):
        find_nix()


def test_nix_is_found_in_a_profile_that_is_not_on_path(machine_without_nix):
    profile = machine_without_nix / ".nix-profile/bin"
    profile.mkdir(parents=True)
    (profile / "nix").write_text("#!/bin/sh\n")
    (profile / "nix").chmod(0o755)
    assert find_nix() == profile


async def test_a_nix_that_does_not_run_says_why(machine_without_nix):
    program = machine_without_nix / "nix"
    program.write_text("#!/bin/sh\necho 'error: bad nix.conf' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(NixerydError, match=r"does not run: error: bad nix.conf"):
        await open_nix()


NO_GROUP = "build-users-group = no-such-group-here"


@pytest.mark.parametrize(
    ("user", "environment", "config", "expected"),
    [
        pytest.param(0, {}, NO_GROUP, False, id="root, and no such group"),
        pytest.param(1000, {}, NO_GROUP, True, id="another user"),
        pytest.param(0, {"NIX_REMOTE": "daemon"}, NO_GROUP, True, id="a daemon builds"),
        pytest.param(0, {"NIX_REMOTE": "auto"}, NO_GROUP, False, id="auto, as root"),
        pytest.param(0, {}, "build-users-group =", True, id="told to do without"),
        pytest.param(0, {}, "# build-users-group =\n" + NO_GROUP, False, id="comment"),
        pytest.param(
            0,
            {"NIX_CONFIG": "sandbox = true\nbuild-users-group ="},
            NO_GROUP,
            True,
            id="NIX_CONFIG wins",
        ),
    ],
)
def test_whether_builds_have_users(user, environment, config, expected, tmp_path):
    (tmp_path / "nix.conf").write_text(config)
    environment = {"NIX_CONF_DIR": str(tmp_path), **environment}
    assert builds_have_users(user, environment) is expected


@pytest.mark.parametrize(
    ("user", "remote", "there", "expected"),
    [
        pytest.param(1000, "", [], False, id="no store, no daemon"),
        pytest.param(1000, "auto", [], False, id="auto, no daemon"),
        pytest.param(1000, "", ["state"], True, id="a store of their own"),
        pytest.param(1000, "", ["socket"], True, id="a daemon"),
        pytest.param(1000, "ssh://there", [], True, id="a store elsewhere"),
        pytest.param(0, "", [], True, id="root makes the store"),
    ],
)
def test_whether_a_user_reaches_a_store(user, remote, there, expected, tmp_path):
    for name in there:
        (tmp_path / name).mkdir()
    environment = {
        "NIX_REMOTE": remote,
        "NIX_STATE_DIR": str(tmp_path / "state"),
        "NIX_DAEMON_SOCKET_PATH": str(tmp_path / "socket"),
    }
    assert may_use_store(user, environment) is expected


async def test_a_user_without_a_store_is_told_how_to_get_one(monkeypatch):
    monkeypatch.setattr(installation, "may_use_store", lambda *_: False)
    with pytest.raises(NixerydError, match=r"nix-daemon\.socket"):
        await open_nix()


def test_a_group_with_members_is_used(tmp_path):
    populated = next((group for group in grp.getgrall() if group.gr_mem), None)
    if populated is None:
        pytest.xfail("no group of this machine has members")
    (tmp_path / "nix.conf").write_text(f"build-users-group = {populated.gr_name}")
    assert builds_have_users(0, {"NIX_CONF_DIR": str(tmp_path)})


async def test_this_machines_nix_opens(nix):
    assert nix.version >= (2, 3)
    assert (nix.directory / "nix-store").exists()
    assert nix.directory.is_absolute()


NO_NAMESPACES = """\
echo 0 > /proc/sys/user/max_user_namespaces
exec "$0" -c 'import trio; from nixeryd.nix.installation import can_sandbox
print(trio.run(can_sandbox))'
"""


def test_a_system_without_user_namespaces_builds_without_a_sandbox():
    """A plain chroot is one; here it is a namespace that allows no others."""
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES]
    tried = subprocess.run(
        [*inside, sys.executable], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        assert tried.stdout == "False\n"
    else:  # the tests themselves run in such a place
        assert not trio.run(can_sandbox)
