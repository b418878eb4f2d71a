"""`nixeryd doctor`: what is wrong with this machine, and what to type about it."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import click
import trio

from nixeryd.cli.main import FAILED, settings_options
from nixeryd.cli.running import ask_running
from nixeryd.cli.terminal import style
from nixeryd.config.settings import ConfigError, Settings, load_settings
from nixeryd.doctor.building import check_building
from nixeryd.doctor.engines import check_engines
from nixeryd.doctor.findings import Finding, Level, broken, note, ok
from nixeryd.doctor.host import check_host
from nixeryd.doctor.network import (
    check_security,
    check_upstreams,
    check_way,
    environment_of,
)
from nixeryd.doctor.ports import check_ports
from nixeryd.doctor.users import check_users
from nixeryd.setup.engines import Machine
from nixeryd.setup.errors import SetupError
from nixeryd.setup.targets import Targets, parse_address

_SIGNS = {
    Level.OK: ("ok    ", "green"),
    Level.NOTE: ("note  ", "yellow"),
    Level.BROKEN: ("broken", "red"),
}


@click.command()
@click.option("--network", is_flag=True, help="Also ask the upstreams.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@settings_options
def doctor(
    config: Path | None, data_dir: Path | None, *, network: bool, as_json: bool
) -> int:
    """Say what is amiss here, and what to type.

    \b
    nixeryd doctor              Nix, package set, ports, disk, engines
    nixeryd doctor --network    and whether other registries answer

    A daemon that runs is asked what it uses. Changes nothing. The exit code is 1 if
    something is broken.
    """
    findings = []
    for finding in _examine(config, data_dir, network=network):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    return FAILED if any(one.level is Level.BROKEN for one in findings) else 0


def _examine(
    config: Path | None, data_dir: Path | None, *, network: bool
) -> Iterator[Finding]:
    flags = {"data_dir": str(data_dir)} if data_dir else {}
    try:
        settings = load_settings(config, flags=flags)
    except ConfigError as error:
        yield broken("config", str(error), "nixeryd config path")
        settings = Settings()
    else:
        yield ok("config", "is right; see: nixeryd config show")
    running = ask_running(config, data_dir)
    if running:  # what it was started with counts, not what another would be
        settings = running.settings
    pid = running.pid if running else None
    yield from trio.run(check_building, settings, Path.cwd(), running)
    yield from check_ports(settings, pid)
    yield check_users(settings, running)
    yield from check_host(settings, pid)
    if running:
        yield ok("watch", f"{running.source}: {running.state}")
    try:
        yield from check_engines(Machine.this(), _targets(settings))
    except SetupError as error:
        yield note("engine", str(error))
    yield from check_security(settings)
    environ = environment_of(pid) if pid else None
    yield from check_way(settings, environ, os.environ)
    if not network:
        return
    if settings.offline:
        yield note("upstream", "not asked: offline = true in the configuration")
        return
    # As the daemon that runs would, if there is one.
    yield from trio.run(check_upstreams, settings, environ or os.environ)


def _targets(settings: Settings) -> Targets:
    usual = Targets()
    return Targets(
        parse_address(next(iter(settings.listen), usual.registry)),
        parse_address(next(iter(settings.mirror_listen), usual.mirror)),
    )


def _show(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    mark = style(sign, fg=colour)
    first, *rest = finding.text.splitlines() or [""]
    click.echo(f"{mark}  {finding.check:<10} {first}")
    _indent(rest)
    if finding.advice:
        _indent([style(f"→ {finding.advice}", bold=True)])


def _indent(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"{'':<19}{line}")
