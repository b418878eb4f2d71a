"""Can images be built: Nix, its store, and the package set."""

import os
import platform
from pathlib import Path

import trio

from nixeryd.config.settings import Settings
from nixeryd.doctor.findings import Finding, broken, note, ok
from nixeryd.doctor.running import Running
from nixeryd.images.errors import NixerydError
from nixeryd.nix.checkouts import find_checkout
from nixeryd.nix.evaluate import EvaluationFailed, PackagesNotFound, evaluate
from nixeryd.nix.installation import open_nix
from nixeryd.nix.process import Nix

_PROBE = "hello"  # any name will do: a set without it evaluates, too
_NO_NIXPKGS = note(
    "source",
    "no nixpkgs was found, so a small demo set is served",
    "nixeryd serve --nixpkgs ~/path/to/nixpkgs, or [sources.nixpkgs] path in config",
)


async def check_building(
    settings: Settings, here: Path, running: Running | None = None
) -> list[Finding]:
    """Look for Nix, then for the sources, and evaluate something of each.

    Without sources of its own, a daemon that runs serves the demo set.
    """
    try:
        nix = await open_nix()
    except NixerydError as error:
        return [broken("nix", *_split(str(error)))]
    version = ".".join(map(str, nix.version))
    findings = [ok("nix", f"{nix.fork} {version} in {nix.directory}")]
    places = {
        name: os.path.expanduser(source.path)  # noqa: ASYNC240, PTH111  no file
        for name, source in settings.sources.items()
        if getattr(source, "path", "")
    }
    if not settings.sources:
        found = None if running else await find_checkout(nix, here)
        if found is None:
            return [*findings, _NO_NIXPKGS]
        places = {"nixpkgs": str(found)}
    for name, place in places.items():
        findings.append(await _check_source(nix, name, Path(place)))
    return findings


async def _check_source(nix: Nix, name: str, place: Path) -> Finding:
    if not await trio.Path(place).exists():
        return broken(
            "source",
            f"{name}: {place} does not exist",
            f"mend sources.{name}.path, see: nixeryd config show",
        )
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(
        platform.machine(), platform.machine()
    )
    try:
        await evaluate(nix, place, [_PROBE], f"{machine}-linux")
    except PackagesNotFound:
        pass
    except EvaluationFailed as error:
        return broken("source", f"{name}: {error}", f"nix-instantiate {place} -A hello")
    except NixerydError as error:
        return broken("source", f"{name}: {error}")
    return ok("source", f"{name}: {place} evaluates")


def _split(message: str) -> tuple[str, str]:
    """Part what is wrong from what to do, as the messages of `nix` are written."""
    wrong, _, advice = message.partition(". ")
    return wrong, advice
