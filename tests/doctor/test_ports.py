"""Ports are looked at for real: a child that listens is found and named."""

import socket
import subprocess
import sys

import pytest

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Level
from nixeryd.doctor.ports import check_ports, port_owners

LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as sock:
    print(sock.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stranger():
    """A process that listens; gives it and its port."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        yield child, int(child.stdout.readline())
        child.stdin.close()


def look(port, daemon=None):
    settings = Settings(listen=(f"127.0.0.1:{port}",), mirror_listen=())
    (finding,) = check_ports(settings, daemon)
    return finding


def test_a_free_port_is_free():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert look(port).level is Level.OK


def test_who_has_a_port_is_named(stranger):
    child, port = stranger
    assert [owner.pid for owner in port_owners(port)] == [child.pid]
    finding = look(port)
    assert finding.level is Level.BROKEN
    assert f"(pid {child.pid})" in finding.text
    assert "--listen" in finding.advice


def test_the_daemons_own_port_is_fine(stranger):
    child, port = stranger
    assert look(port, daemon=child.pid).level is Level.OK


def test_an_address_that_is_none_is_broken():
    assert look("many").level is Level.BROKEN
