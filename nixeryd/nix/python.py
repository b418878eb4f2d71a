"""Find a whole Python on this machine: program, standard library, their libraries.

The system's own is preferred: its paths read naturally in an image. Else it is
the one that runs nixeryd, not its virtual environment.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nixeryd.nix.programs import Libraries, find_libraries, is_elf

_QUESTION = """
import json, sys, sysconfig
print(json.dumps([
    sys.executable,
    "%d.%d" % sys.version_info[:2],
    sys.base_prefix,
    sysconfig.get_path("platstdlib"),
]))
"""
_CANDIDATES = ("/usr/bin/python3", f"{sys.base_prefix}/bin/python3")
# Without these it is a fragment, such as Debian's python3-minimal.
_LANDMARKS = ("os.py", "encodings", "json", "asyncio", "lib-dynload")
# What nobody misses in an image, or needs half a desktop.
_LEFT_OUT = ("_tkinter", "_test", "_xxtest", "_ctypes_test")


@dataclass(frozen=True, slots=True)
class Python:
    """A Python; all paths are real ones.

    `library` is the standard library's directory, `library_name` its place below
    the prefix, such as lib/python3.11.
    """

    program: str
    version: str
    library: str
    library_name: str
    libraries: Libraries


def find_python() -> Python | None:
    """Return the first whole Python; None if this machine has none."""
    return next(filter(None, map(_look_at, _CANDIDATES)), None)


def _look_at(candidate: str) -> Python | None:
    program = os.path.realpath(candidate)
    if not is_elf(program):
        return None
    try:
        said = subprocess.run(
            [program, "-I", "-c", _QUESTION], check=True, capture_output=True
        ).stdout
        _, version, prefix, library = json.loads(said)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    if not all(Path(library, name).exists() for name in _LANDMARKS):
        return None
    modules = [
        str(module)
        for module in sorted(Path(library, "lib-dynload").glob("*.so"))
        if not module.name.startswith(_LEFT_OUT)
    ]
    return Python(
        program=program,
        version=version,
        library=os.path.realpath(library),
        library_name=str(Path(library).relative_to(prefix)),
        libraries=_with_unwinder(find_libraries([program, *modules])),
    )


def _with_unwinder(libraries: Libraries) -> Libraries:
    """Add libgcc_s, which the C library opens by itself when a thread exits."""
    extra = {
        str(beside): os.path.realpath(beside)
        for path in libraries.files
        if (beside := Path(path).with_name("libgcc_s.so.1")).exists()
        and Path(path).name == "libc.so.6"
    }
    return Libraries({**libraries.files, **extra}, libraries.loader)
