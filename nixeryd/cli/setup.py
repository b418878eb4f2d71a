"""`nixeryd setup`: have a container engine pull from here, and undo it.

Shows a diff, asks, writes, says what to type next. The deciding is done in
`nixeryd.setup`; here is only the talking.
"""

import difflib
import functools
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from nixeryd.cli.terminal import style
from nixeryd.config.settings import load_settings
from nixeryd.runtime.strangers import ports_of, strangers_at
from nixeryd.setup import files, recipes
from nixeryd.setup.engines import Machine
from nixeryd.setup.errors import NeedsRootError, SetupError
from nixeryd.setup.files import Edit
from nixeryd.setup.recipes import Recipe
from nixeryd.setup.targets import UPSTREAMS, Targets, parse_address

_Maker = Callable[[Machine, Targets], Recipe]


@dataclass(frozen=True, slots=True)
class _Answers:
    """The options that every engine's command has."""

    listen: str | None
    mirror_listen: str | None
    config: Path | None
    dry_run: bool
    yes: bool
    undo: bool
    force: bool


def _options(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)  # with the options that are on it already
    def wrapped(  # noqa: PLR0913  click hands options over one by one
        *,
        listen: str | None,
        mirror_listen: str | None,
        config: Path | None,
        dry_run: bool,
        yes: bool,
        undo: bool,
        force: bool,
        **others: Any,
    ) -> None:
        if force and not undo:
            raise click.UsageError("--force goes with --undo")
        answers = _Answers(listen, mirror_listen, config, dry_run, yes, undo, force)
        command(answers, **others)

    for option in (
        click.option("--force", is_flag=True, help="Undo even an edited file."),
        click.option("--undo", is_flag=True, help="Put the old files back."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--dry-run", "-n", is_flag=True, help="Only show the diff."),
        click.option(
            "--config", type=click.Path(path_type=Path), help="nixeryd's config.toml."
        ),
        click.option(
            "--mirror-listen", metavar="HOST:PORT", help="Where the mirror listens."
        ),
        click.option(
            "--listen", metavar="HOST:PORT", help="Where the registry listens."
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Change this file instead of the usual one.",
)
_rootless = click.option(
    "--rootless/--rootful",
    default=None,
    help="Whose engine it is; without this option: what is found.",
)


@click.group()
def setup() -> None:
    """Have a container engine pull from nixeryd; --undo puts it back.

    \b
    nixeryd setup docker --dry-run     show what would change
    nixeryd setup podman               show it, ask, write
    nixeryd setup podman --undo        put the old file back, byte for byte
    """


@setup.command()
@_options
@_rootless
@click.option(
    "--all-registries",
    is_flag=True,
    help="Mirror ghcr.io, quay.io and others too (containerd image store).",
)
@_file
def docker(
    answers: _Answers,
    *,
    file: Path | None,
    rootless: bool | None,
    all_registries: bool,
) -> None:
    """Add the mirror to Docker's daemon.json."""

    def make(machine: Machine, targets: Targets) -> Recipe:
        return recipes.docker(
            machine,
            targets,
            rootless=rootless,
            file=file,
            all_registries=all_registries,
        )

    _run(answers, make)


@setup.command()
@_options
@_file
def podman(answers: _Answers, *, file: Path | None) -> None:
    """Write a registries.conf drop-in for podman, buildah and skopeo."""
    _run(answers, lambda machine, targets: recipes.podman(machine, targets, file=file))


@setup.command()
@_options
@_rootless
@_file
def containerd(answers: _Answers, *, file: Path | None, rootless: bool | None) -> None:
    """Write hosts.toml files, and config_path where CRI lacks it."""
    _run(
        answers,
        lambda machine, targets: recipes.containerd(
            machine, targets, rootless=rootless, file=file
        ),
    )


@setup.command()
@_options
@_rootless
@_file
def buildkit(answers: _Answers, *, file: Path | None, rootless: bool | None) -> None:
    """Add mirrors to buildkitd.toml."""
    _run(
        answers,
        lambda machine, targets: recipes.buildkit(
            machine, targets, rootless=rootless, file=file
        ),
    )


def _run(answers: _Answers, make: _Maker) -> None:
    targets = _targets(answers)
    recipe = make(Machine.this(), targets)
    try:
        _change(answers, recipe, targets)
    except NeedsRootError as error:
        raise SetupError(f"{error}: {_sudo(targets)}") from error


def _change(answers: _Answers, recipe: Recipe, targets: Targets) -> None:
    if answers.undo:
        edits = files.plan_undo(recipe.paths, force=answers.force)
    else:
        edits = recipe.edits()
        for warning in (*_taken(targets), *recipe.warnings):
            click.echo(style(f"warning: {warning}", fg="yellow"), err=True)
    if not edits:
        click.echo("nothing to undo" if answers.undo else "already set up")
        return
    _show(edits)
    if answers.dry_run:
        return
    files.check_writable(edits)
    if not answers.yes:
        _ask(edits)
    if answers.undo:
        files.undo(edits)
    else:
        files.apply(edits)
    for edit in edits:
        click.echo(f"{'restored' if answers.undo else 'wrote'} {edit.path}")
    _next(recipe.reload if answers.undo else (*recipe.reload, *recipe.hints))


def _taken(targets: Targets) -> list[str]:
    """Warn of who else listens where the engine is about to be pointed."""
    own = [int(uid) for uid in [os.environ.get("SUDO_UID", "")] if uid.isdecimal()]
    ports = ports_of((targets.registry, targets.mirror))
    return [
        f"{one}, who would be the engine's registry: go on only if that is right"
        for one in strangers_at(ports, also=own)
    ]


def _targets(answers: _Answers) -> Targets:
    settings = load_settings(answers.config)
    usual = Targets()
    listen = answers.listen or next(iter(settings.listen), usual.registry)
    mirror = answers.mirror_listen or next(iter(settings.mirror_listen), usual.mirror)
    configured = {
        name: f"https://{name}" for name in settings.upstreams if name not in UPSTREAMS
    }
    return Targets(
        parse_address(listen), parse_address(mirror), {**UPSTREAMS, **configured}
    )


def _ask(edits: Sequence[Edit]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; use --yes")
    plural = "these files" if len(edits) > 1 else "this file"
    if not click.confirm(f"Write {plural}?"):
        raise SetupError("nothing was written")


def _show(edits: Sequence[Edit]) -> None:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for edit in edits:
        for row in _diff(edit):
            is_name = row.startswith(("---", "+++"))
            click.echo(style(row, fg=colours.get(row[:1]), bold=is_name or None))


def _diff(edit: Edit) -> list[str]:
    def rows(data: bytes | None) -> list[str]:
        text = (data or b"").decode(errors="replace")
        kept = [row.removesuffix("\r") for row in text.split("\n")]
        ended = kept.pop() if kept else ""
        return [*kept, f"{ended}\n\\ no newline at the end"] if ended else kept

    old = os.devnull if edit.before is None else str(edit.path)
    new = os.devnull if edit.after is None else str(edit.path)
    diff = difflib.unified_diff(
        rows(edit.before), rows(edit.after), old, new, lineterm=""
    )
    return list(diff)


def _next(steps: Sequence[str]) -> None:
    if steps:
        click.echo("\nnext:")
        for step in steps:
            click.echo(f"  {step}")


def _sudo(targets: Targets) -> str:
    """Return this very command for root, who has another PATH and another config."""
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    command = ["sudo", str(Path(program).absolute()), *sys.argv[1:]]
    usual = Targets()
    for option, value, default in (
        ("--listen", targets.registry, usual.registry),
        ("--mirror-listen", targets.mirror, usual.mirror),
    ):
        if value != default and not any(a.startswith(option) for a in sys.argv):
            command += [option, value]
    return shlex.join(command)
