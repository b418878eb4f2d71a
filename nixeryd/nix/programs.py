"""Find this machine's programs, and what they need to run.

A program is an ELF file on PATH; what it needs is what `ldd` says: libraries
under the paths where the loader finds them, and the loader itself under the path
that is written into the program.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nixeryd.images.errors import NixerydError

# "libc.so.6 => /lib/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)", and
# both at once where the loader's directory is a link.
_LINE = re.compile(r"^\s+(?P<name>\S+)(?: => (?P<path>/\S+))? \(0x[0-9a-f]+\)$")


@dataclass(frozen=True, slots=True)
class Libraries:
    """`files`: where it is looked for, to the real file; with the loader's, if any.

    `loader` is the real file, None for static programs.
    """

    files: Mapping[str, str]
    loader: str | None


def find_program(name: str) -> str | None:
    """Return the real path of an ELF program on PATH; None if there is none."""
    found = shutil.which(name)
    if found is None:
        return None
    real = os.path.realpath(found)
    return real if is_elf(real) else None


def is_elf(file: str) -> bool:
    """Return whether this is a program or library, and not a script."""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(4) == b"\x7fELF"
    except OSError:
        return False


def find_libraries(programs: Iterable[str]) -> Libraries:
    """Ask ldd for all that these ELF files need; raises `NixerydError`."""
    command = ["ldd", *programs]
    try:
        # ldd fails if one of many is static, and still tells of the others.
        said = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
    except OSError as error:
        raise NixerydError(f"ldd cannot be run: {error.strerror}") from error
    return parse_ldd(said)


def parse_ldd(said: str) -> Libraries:
    """Read the output of ldd; what was not found, or is the kernel's, is left out."""
    files: dict[str, str] = {}
    loader: str | None = None
    for line in said.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, path = match["name"], match["path"]
        if name.startswith("/"):
            loader = os.path.realpath(path or name)
            files[name] = loader
        elif path:
            files[path] = os.path.realpath(path)
    return Libraries(files, loader)
