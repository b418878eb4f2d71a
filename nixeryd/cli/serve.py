"""`nixeryd serve`: be the daemon."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nixeryd.cli.main import settings_options
from nixeryd.cli.terminal import raw
from nixeryd.images.logins import mask

if TYPE_CHECKING:
    from nixeryd.config.settings import Settings
    from nixeryd.daemon.run import Ready


@click.command()
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Where to serve, such as 127.0.0.1:5000; may be repeated.",
)
@click.option(
    "--mirror-listen",
    multiple=True,
    metavar="ADDRESS",
    help="Where to serve as Docker's registry mirror; may be repeated.",
)
@click.option(
    "--nixpkgs",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The checkout to build from.",
)
@click.option("--offline", is_flag=True, help="Never touch the network.")
@click.option(
    "--allow-remote", is_flag=True, help="Let others reach it; there is no password."
)
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="At debug there is a line for each request.",
)
@settings_options
def serve(
    config: Path | None,
    data_dir: Path | None,
    nixpkgs: Path | None,
    **options: Any,
) -> None:
    """Serve images on localhost:5000.

    \b
    nixeryd serve                          from the checkout it finds
    nixeryd serve --nixpkgs ~/src/nixpkgs  from this one
    """
    _import_daemon()
    import trio  # noqa: PLC0415  takes a moment

    from nixeryd.config.proxies import as_environment  # noqa: PLC0415
    from nixeryd.config.settings import load_settings  # noqa: PLC0415
    from nixeryd.daemon.reload import Reloading  # noqa: PLC0415
    from nixeryd.daemon.run import run_daemon  # noqa: PLC0415
    from nixeryd.runtime.logs import set_up_logging  # noqa: PLC0415

    flags = {name: value for name, value in options.items() if value}
    if data_dir is not None:
        flags["data_dir"] = str(data_dir)
    if nixpkgs is not None:
        flags |= {"source": "nixpkgs", "sources": {"nixpkgs": {"path": str(nixpkgs)}}}
    load = partial(load_settings, config, flags=flags)
    reloading = Reloading(load(), load)
    stream = raw(sys.stderr)

    def use(settings: "Settings") -> None:
        set_up_logging(settings.log_format, settings.log_level, stream)

    use(reloading.settings)
    reloading.on("log_format", "log_level", take=use)
    # Before anything is started: git, Nix and credential helpers ask by the same way.
    network = reloading.settings.network
    os.environ.update(as_environment(network.proxy, network.no_proxy))
    trio.run(run_daemon, reloading, _announce)


def _import_daemon() -> None:
    """Import all that a daemon needs, quickly.

    structlog and httpx take rich when it is there, for terminals; without it a
    start takes a tenth less. What is imported stays: nothing of it is garbage.
    """
    import gc  # noqa: PLC0415

    gc.disable()
    kept = {name: sys.modules.get(name) for name in ("pygments", "rich")}
    for name in kept:
        sys.modules[name] = None  # type: ignore[assignment]
    import structlog  # noqa: F401, PLC0415

    import nixeryd.upstream  # noqa: PLC0415

    for name, module in kept.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module
    import nixeryd.daemon.run  # noqa: F401, PLC0415

    gc.freeze()
    gc.enable()


def _announce(ready: "Ready") -> None:
    revision = f" ({ready.revision})" if ready.revision else ""
    host = ready.listen[0].replace("127.0.0.1", "localhost")
    lines = [
        f"serving   http://{host}",
        f"source    {ready.source.name}: {mask(ready.source.place)}{revision}",
        f"data      {ready.data_dir}",
        f"try       docker run -it --rm {host}/shell/python3",
    ]
    if ready.is_demo:
        lines.insert(
            2, "          no nixpkgs was found: name yours with --nixpkgs PATH"
        )
    if ready.mirror_listen:
        lines.insert(1, f"mirror    http://{ready.mirror_listen[0]}")
    click.echo("\n".join(lines))
