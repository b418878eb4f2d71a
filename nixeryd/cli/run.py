"""`nixeryd run`: from a name to a running container, with nothing copied if it can be.

The engine takes this process's place at the end: the terminal, signals and the
exit code are its own.
"""

import itertools
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nixeryd.cli.client import Client
from nixeryd.cli.main import FAILED, settings_options
from nixeryd.config.settings import Settings, load_settings
from nixeryd.images.errors import NixerydError
from nixeryd.images.names import parse_repository, thinned, unthinned
from nixeryd.images.routes import Nix, decide
from nixeryd.setup.engine import KINDS, Engine, installed, parse_engine
from nixeryd.setup.engine_words import arrange
from nixeryd.setup.engines import Machine
from nixeryd.setup.visibility import Seen, StoreVisibility, look


class _Run(click.Command):
    """Takes its own options wherever they stand before the container's command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            args = arrange(args, ("--engine", "--config", "--data-dir"))
        except ValueError as error:
            raise click.UsageError(f"{error}.", ctx) from error
        return super().parse_args(ctx, args)


@click.command(
    cls=_Run,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
@click.option("--engine", help="docker, podman or nerdctl, as you would call it.")
@click.option("--print", "only_print", is_flag=True, help="Only say what to type.")
@click.argument("name", metavar="NAME[:TAG]")
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[ENGINE OPTIONS] [-- COMMAND...]",
)
@settings_options
def run(  # noqa: PLR0913  click gives them one by one
    name: str,
    words: tuple[str, ...],
    engine: str | None,
    config: Path | None,
    data_dir: Path | None,
    *,
    only_print: bool,
) -> int:
    """Build an image as the sources are now, and run it.

    \b
    nixeryd run shell/python3
    nixeryd run git -v "$PWD:/src" -w /src -- git log
    nixeryd run --network none hello
    nixeryd run --engine "sudo podman" --print hello

    Nothing is copied if the engine sees this machine's Nix store: the image is a
    thin one then, with the store mounted. The container is removed when it ends
    (--rm=false keeps it), and gets the terminal if there is one.
    """
    flags = {"data_dir": str(data_dir)} if data_dir else {}
    settings = load_settings(config, flags=flags)
    client = Client(config, data_dir)
    listener = client.get("/api/v1/status")["listeners"]["main"][0]
    if strangers := client.strangers([listener]):
        raise NixerydError(
            f"{strangers[0]}: the engine could pull from there instead of from your"
            " daemon; choose another port with --listen"
        )
    chosen, sight = _choose(engine or settings.engine)
    host = _host(listener, sight)
    wanted, is_nix = _decide(name.removeprefix(f"{host}/"), sight, settings)
    is_thin = is_nix and sight.is_clear
    if is_nix and not is_thin:
        click.echo(
            f"nixeryd: {chosen} does not see this machine's /nix/store"
            f" ({sight.why}), so it gets the ordinary image",
            err=True,
        )
    options, command = split(words)
    image = f"{host}/{wanted}"
    pull = chosen.pull(image)
    argv = chosen.run(image, options, command, is_thin=is_thin, usual=_usual())
    if only_print:
        click.echo(f"{shlex.join(pull)} && {shlex.join(argv)}")
        return 0
    if not _build(client, wanted, host) or not _pull(pull):
        return FAILED
    _become(argv)
    return FAILED  # not reached: this process is the engine now


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell the engine's options from the command, which `--` begins.

    What begins with no dash is a command, all of it: no option does.
    """
    found = list(words)
    if not found or not found[0].startswith("-"):
        return [], found
    cut = found.index("--") if "--" in found else len(found)
    return found[:cut], found[cut + 1 :]


def _choose(wanted: str) -> tuple[Engine, StoreVisibility]:
    """Take the engine that is wanted, else the first that answers."""
    machine = Machine.this()
    if wanted:
        engine = parse_engine(wanted)
        sight = look(engine, machine)
        if sight.seen is Seen.SILENT:
            raise NixerydError(f"{engine} does not answer: {sight.why}")
        return engine, sight
    silent: list[str] = []
    for engine in installed():
        sight = look(engine, machine)
        if sight.seen is not Seen.SILENT:
            return engine, sight
        silent.append(f"{engine} does not answer: {sight.why}")
    raise NixerydError(
        "; ".join(silent)
        or f"there is no engine to run it: install one of {', '.join(KINDS)}"
    )


def _host(listener: str, sight: StoreVisibility) -> str:
    """Say how the engine calls our listener."""
    if sight.vm_host:
        return f"{sight.vm_host}:{listener.rpartition(':')[2]}"
    return listener.replace("127.0.0.1", "localhost")


def _decide(name: str, sight: StoreVisibility, settings: Settings) -> tuple[str, bool]:
    """Return the name to pull, thin if that is seen, and whether it is Nix's."""
    repository, colon, tag = name.partition(":")
    components = parse_repository(repository)
    upstreams = settings.all_upstreams
    route = decide(components, ns=None, mirror=False, upstreams=upstreams, own_hosts=())
    if not isinstance(route, Nix):
        return name, False
    change = thinned if sight.is_clear else unthinned
    return f"{'/'.join(change(components))}{colon}{tag}", True


def _usual() -> list[str]:
    """Choose options by what is at our ends; the user's own come later and win."""
    usual = ["--rm"]
    if sys.stdin.isatty() and sys.stdout.isatty():
        return [*usual, "--interactive", "--tty"]
    mode = os.fstat(sys.stdin.fileno()).st_mode
    # Somebody sends something; without this it would go nowhere.
    if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode):
        usual.append("--interactive")
    return usual


def _build(client: Client, name: str, host: str) -> bool:
    """Have the image built, shown on stderr unless it is there already."""
    events = client.follow("/api/v1/pull", {"names": [name]})
    first = next(events, None)
    if first is None or first["type"] == "done":
        return first is not None
    from nixeryd.cli.show_build import show_builds  # noqa: PLC0415  rich is slow

    return show_builds(itertools.chain([first], events), host, on_the_way=True)


def _pull(argv: Sequence[str]) -> bool:
    # What it prints there is the image's name, and stdout is the container's.
    return subprocess.run(argv, check=False, stdout=subprocess.DEVNULL).returncode == 0


def _become(argv: list[str]) -> None:
    """Run the engine in place of this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores it, and so would whatever it becomes.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(argv[0], argv)  # noqa: S606  words, so no shell is wanted
