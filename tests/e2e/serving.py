"""The daemon as a user starts it: `nixeryd serve`, a process of its own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import Process, environment, run
from tests.e2e.registry import Registry

NIXERYD = Path(sys.executable).with_name("nixeryd")
PACKAGES = Path(__file__).with_name("packages")
NIX_PROGRAMS = ("nix", "nix-build", "nix-env", "nix-instantiate", "nix-store")

# No time is lost on asking for binary caches that tests do not need.
NIX_CONFIG = "substitute = false\n"
NO_SANDBOX = NIX_CONFIG + "sandbox = false\n"


ODD = {"NIX_CONFIG": NO_SANDBOX}
"""The environment that builds need of the package set beside this file."""


def odd_source(place: Path) -> tuple[str, ...]:
    """Configure the package set beside this file as the source `odd`."""
    place.mkdir(parents=True, exist_ok=True)
    config = place / "config.toml"
    config.write_text(f'source = "odd"\n[sources.odd]\npath = "{PACKAGES}"\n')
    return (f"--config={config}",)


@dataclass(frozen=True, slots=True)
class Daemon(Registry):
    """A daemon that is ready, or was."""

    place: Path
    process: Process

    @property
    def data(self) -> Path:
        return data_dir(self.place)

    @property
    def mirror(self) -> Registry:
        """The mirror listener of the same daemon."""
        said = self.process.wait_for_line(r"^mirror +http://127\.0\.0\.1:(\d+)$")
        return Registry(int(said[1]))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `nixeryd` against this daemon."""
        return run([NIXERYD, *words, f"--data-dir={self.data}"], self.environ)

    @property
    def environ(self) -> dict[str, str]:
        """The environment that the daemon was started in."""
        return _quiet(self.place)


def data_dir(place: Path) -> Path:
    return place / "data"


def start(
    place: Path,
    *flags: str | Path,
    prefix: tuple[str, ...] = (),
    environ: Mapping[str, str | None] | None = None,
) -> Process:
    """Start `nixeryd serve`, cut off from what this user has configured."""
    (place / "home").mkdir(parents=True, exist_ok=True)
    return Process(
        [
            *prefix,
            NIXERYD,
            "serve",
            "--listen=127.0.0.1:0",
            "--mirror-listen=127.0.0.1:0",
            f"--data-dir={data_dir(place)}",
            *flags,
        ],
        _quiet(place, environ),
    )


def _quiet(
    place: Path, environ: Mapping[str, str | None] | None = None
) -> dict[str, str]:
    """Return an environment without what this user has configured."""
    changes: dict[str, str | None] = {
        "HOME": str(place / "home"),
        "NIX_CONFIG": NIX_CONFIG,
        "NIX_PATH": None,
        "XDG_CACHE_HOME": None,
        "XDG_CONFIG_HOME": None,
        "XDG_DATA_HOME": None,
        "XDG_RUNTIME_DIR": None,
    }
    return environment(**{**changes, **(environ or {})})


@contextmanager
def serving(
    place: Path,
    *flags: str | Path,
    prefix: tuple[str, ...] = (),
    environ: Mapping[str, str | None] | None = None,
) -> Iterator[Daemon]:
    """Serve until the block ends; then the daemon must end well by itself."""
    process = start(place, *flags, prefix=prefix, environ=environ)
    try:
        # The line to paste into a terminal is the one that says: ready.
        ready = process.wait_for_line(r"docker run .*localhost:(\d+)/")
        yield Daemon(int(ready[1]), place, process)
    except BaseException:
        process.end()
        raise
    assert process.end() == 0, process


@dataclass(frozen=True, slots=True)
class NixLog:
    """What a daemon asked of Nix: a directory for PATH whose programs take notes."""

    directory: Path

    @property
    def calls(self) -> list[str]:
        log = self.directory / "log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def builds(self) -> list[str]:
        return [call for call in self.calls if " --realise" in call]

    @property
    def evaluations(self) -> list[str]:
        return [call for call in self.calls if "resolve.nix" in call]

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.directory}:{environment().get('PATH', '')}"}


def note_nix_calls(directory: Path) -> NixLog:
    """Put programs into `directory` that note how they are called, then call Nix."""
    directory.mkdir()
    for name in NIX_PROGRAMS:
        program = directory / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {directory}/log\n'
            f'exec {shutil.which(name)} "$@"\n'
        )
        program.chmod(0o755)
    return NixLog(directory)
