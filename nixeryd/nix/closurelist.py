"""List a closure in the store: one path that keeps all of it.

A store directory with a file `store-paths`, which refers to every path that it
lists, as nixpkgs' closureInfo does. One GC root of it is one of the whole closure.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nixeryd.config import paths
from nixeryd.images.errors import NixerydError
from nixeryd.nix import messages
from nixeryd.nix.process import Nix, NixFailed

ROOT = "closure"
"""The GC root's name in the directory of a build's roots."""


async def list_closure(
    nix: Nix, outputs: Sequence[str], archive: bytes, roots: Path
) -> str:
    """Return the store directory that lists a closure, rooted in directory `roots`.

    `outputs` are store paths that lead to all of the closure, and `archive` is
    `images.thin.list_archive` of it. Raises `NixerydError`.
    """
    try:
        with _written(archive, roots) as file:
            said = await nix.run(
                [
                    "nix-build",
                    str(paths.nix_dir() / "closure-list.nix"),
                    "--argstr",
                    "archive",
                    str(file),
                    "--argstr",
                    "roots",
                    json.dumps(list(outputs)),
                    "--out-link",
                    str(file.with_name(ROOT)),
                ]
            )
    except NixFailed as error:
        reason = messages.error_message(error.stderr)
        raise NixerydError(f"the closure cannot be listed: {reason}") from error
    return said.decode().split()[-1]


@contextmanager
def _written(archive: bytes, roots: Path) -> Iterator[Path]:
    file = roots.absolute() / "store-paths.tar"
    file.write_bytes(archive)
    try:
        yield file
    finally:
        file.unlink()
