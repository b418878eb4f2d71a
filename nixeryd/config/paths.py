"""Where things are: the user's directories, and the Nix expressions we ship.

Everything is where the platform wants it (XDG on Linux, ~/Library on macOS);
nothing is a dot directory of our own.
"""

import os
from pathlib import Path

import platformdirs

_APP = "nixeryd"


def data_dir() -> Path:
    """Return the directory of blobs, index and GC roots."""
    return platformdirs.user_data_path(_APP, appauthor=False)


def config_file() -> Path:
    """Return the place of config.toml, which need not exist."""
    return platformdirs.user_config_path(_APP, appauthor=False) / "config.toml"


def runtime_dir(data: Path) -> Path:
    """Return the directory of the admin socket.

    $XDG_RUNTIME_DIR if the session has one, else the data directory: a daemon
    started by hand or by cron has no session, and its socket must still be
    found by the command line.
    """
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and data == data_dir():
        return Path(session) / _APP
    return data


def nix_dir() -> Path:
    """Return the directory of resolve.nix and demo/.

    In a wheel it lies inside the package; in a checkout (editable install)
    beside it.
    """
    return _shipped("_nix", "nix")


def units_dir() -> Path:
    """Return the directory of systemd's units; where it is, is as for `nix_dir`."""
    return _shipped("_systemd", "contrib/systemd")


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    package = Path(__file__).parents[1]
    shipped = package / in_wheel
    return shipped if shipped.is_dir() else package.parent / in_checkout
