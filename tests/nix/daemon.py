"""A Nix daemon of our own, and the Nix of a user whom it trusts or does not.

It serves this machine's store, as root, over a socket of its own. That is how most
installations are, where the user is not trusted; the tests as root are the exception.
"""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nixeryd.nix.process import Nix

TRUSTED, UNTRUSTED = "daemon", "nobody"
_PROGRAMS = ("nix", "nix-store", "nix-instantiate", "nix-build")
# What the tests make is root's; to the daemon it is the user all the same.
_FILES = "--inh-caps=+dac_override --ambient-caps=+dac_override"
_FEATURES = "experimental-features = nix-command flakes ca-derivations"


@contextmanager
def place_of_all() -> Iterator[Path]:
    """Make a directory that every user can read and write."""
    directory = Path(tempfile.mkdtemp(prefix="nix-daemon-"))
    directory.chmod(0o777)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def nix_daemon(directory: Path, settings: Mapping[str, str]) -> Iterator[Path]:
    """Run a daemon with these settings; gives its socket, which is open at once."""
    path = directory / "socket"
    lines = [f"{name} = {value}" for name, value in settings.items()]
    environment = {
        **os.environ,
        "NIX_CONFIG": "\n".join([*lines, _FEATURES, f"trusted-users = root {TRUSTED}"]),
        "HOME": str(directory),
        "XDG_CACHE_HOME": str(directory / "cache"),
    }
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        # As systemd would start it, so that nobody has to wait until it listens.
        fd = listener.fileno()
        script = f'exec 3<&{fd}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0"'
        daemon = subprocess.Popen(
            ["/bin/bash", "-c", script, shutil.which("nix-daemon") or "nix-daemon"],
            env=environment,
            pass_fds=[fd],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield path
    finally:
        daemon.terminate()
        daemon.wait()


def nix_of_user(nix: Nix, user: str, daemon: Path, directory: Path) -> Nix:
    """Return the Nix that a user of this machine calls, who asks the daemon."""
    programs = directory / f"bin-{user}"
    if not programs.exists():
        programs.mkdir(mode=0o755)
        ids = f"--reuid={pwd.getpwnam(user).pw_uid} --regid={_group(user)}"
        for name in _PROGRAMS:
            script = programs / name
            real = nix.directory / name
            script.write_text(
                f'#!/bin/sh\nexec setpriv {ids} {_FILES} --clear-groups {real} "$@"\n'
            )
            script.chmod(0o755)
    home = directory / f"home-{user}"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    environment = {
        "NIX_REMOTE": "daemon",
        "NIX_DAEMON_SOCKET_PATH": str(daemon),
        "NIX_CONFIG": _FEATURES,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
    }
    return replace(nix, directory=programs, environment=environment)


def _group(user: str) -> int:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_gid
