"""`nixeryd export`: an image as a file, for a machine that cannot pull it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode

import click

from nixeryd.cli.client import Client
from nixeryd.cli.main import settings_options
from nixeryd.images.errors import NixerydError
from nixeryd.images.sizes import render_size

_CHUNK = 1024 * 1024  # bytes


@click.command()
@click.argument("name", metavar="NAME[:TAG]")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@settings_options
def export(name: str, file: Path, config: Path | None, data_dir: Path | None) -> None:
    """Write an image into an OCI archive, which docker, podman and skopeo load.

    It is built or fetched first if need be.

    \b
    nixeryd export shell/git git.tar && docker load -i git.tar
    nixeryd export shell/git - | ssh elsewhere podman load
    """
    if str(file) == "-" and sys.stdout.isatty():
        raise click.UsageError("an archive is nothing for a terminal: name a file")
    client = Client(config, data_dir)
    if str(file) == "-":
        _write(client, name, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with _whole_file(file) as out:
        size = _write(client, name, out)
    click.echo(f"{file}  {render_size(size)}")


def _write(client: Client, name: str, out: BinaryIO) -> int:
    _pull(client, name)
    query = urlencode({"name": name})
    with client.download(f"/api/v1/image/archive?{query}") as (size, chunks):
        out.writelines(chunks)
    return size


def _pull(client: Client, name: str) -> None:
    from nixeryd.cli.console import PlainConsole  # noqa: PLC0415  slow

    with PlainConsole(stderr=True).status(f"pulling {name}"):
        for event in client.follow("/api/v1/pull", {"names": [name]}):
            if event["type"] in ("error", "failed"):
                raise NixerydError(event["message"])


@contextmanager
def _whole_file(file: Path) -> Iterator[BinaryIO]:
    """Return a file that takes its place when all is written, or is removed."""
    if file.is_dir():
        raise click.UsageError(f"{file} is a directory: name a file in it")
    try:
        fd, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise NixerydError(f"{file} cannot be written: {error.strerror}") from error
    part = Path(name)
    try:
        with os.fdopen(fd, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)  # mkstemp's are for nobody else
        part.replace(file)
    except OSError as error:
        raise NixerydError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
