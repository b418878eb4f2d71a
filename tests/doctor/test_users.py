"""Who is answered, as the doctor says it."""

import sys

import pytest

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Level
from nixeryd.doctor.running import Running
from nixeryd.doctor.users import check_users


def running(settings: Settings, *, tells: bool) -> Running:
    return Running(1, settings, "nixpkgs", "watching", tells_users=tells)


@pytest.mark.parametrize(
    ("users", "tells", "level", "said"),
    [
        ((), True, Level.OK, "only you and root are answered"),
        (("alice", 12), True, Level.OK, "only you, root, alice and 12 are answered"),
        (
            "all",
            True,
            Level.NOTE,
            'every user of this machine is answered (users = "all")',
        ),
        ((), False, Level.NOTE, "does not tell who connects: every user"),
    ],
)
def test_who_is_answered_is_said(users, tells, level, said):
    settings = Settings(users=users)
    finding = check_users(settings, running(settings, tells=tells))
    assert finding.level is level
    assert said in finding.text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_without_a_daemon_the_kernel_is_asked():
    assert check_users(Settings(), None).level is Level.OK
