"""The demo set: a package source made of this machine's own programs.

For a first try without nixpkgs and without a network. Here the machine is
looked at, and programs.json written; nix/demo/default.nix makes packages of it.
What the machine lacks becomes a package that says so when it is asked for.

Nothing is rewritten unless it changes, so that a source which did not change
does not look as if it had.
"""

import importlib.util
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

from nixeryd.config import paths
from nixeryd.images.errors import NixerydError
from nixeryd.nix.programs import Libraries, find_libraries, find_program
from nixeryd.nix.python import find_python

_STORE = "/nix/store/"
_SYSTEM_LIBRARIES = ("/lib", "/usr/lib")
_TOOLS = ("bash", "cp", "ln", "mkdir", "chmod")
_COREUTILS = (
    "[ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown chroot "
    "cksum comm cp csplit cut date dd df dir dircolors dirname du echo env expand "
    "expr factor false fmt fold groups head hostid id install join link ln logname "
    "ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste "
    "pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir runcon seq "
    "sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split "
    "stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate "
    "tsort tty uname unexpand uniq unlink uptime users vdir wc who whoami yes"
)
# Those of moreutils that are no Perl scripts.
_MOREUTILS = "errno ifdata ifne isutf8 lckdo mispipe parallel pee sponge"
_TERMINALS = (
    "ansi dumb linux screen screen-256color tmux tmux-256color vt100 vt220 xterm "
    "xterm-256color"
)
_TERMINFO = ("/usr/share/terminfo", "/lib/terminfo", "/etc/terminfo")
_ETC = Path("/etc")
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


@dataclass(frozen=True, slots=True)
class _Package:
    """What default.nix makes one package of; all keys are paths in its output.

    `copies` and `shared` name files of this machine: copied into the output, or
    linked to as store paths of their own; `trees` name directories; `links` are
    targets of links. `missing` says why there is no such package.
    """

    description: str
    mainProgram: str | None = None  # noqa: N815  Nix's name
    copies: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[str, str] = field(default_factory=dict)
    trees: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    missing: str | None = None


def prepare_demo(directory: Path) -> Path:
    """Write the demo set into a directory; gives it back, the source's path.

    Raises `NixerydError` if the machine can't make one (it is no Linux, or has
    no bash, ldd or coreutils), and OSError if the directory can't be written.
    """
    if platform.system() != "Linux":
        raise NixerydError("the demo set needs Linux: it is made of its programs")
    packages = _packages()
    machine = {
        "system": f"{platform.machine()}-linux",
        "tools": _tools(),
        "packages": {name: asdict(package) for name, package in packages.items()},
        # So that an upgraded library changes this file, too.
        "stamps": _stamps(packages.values()),
    }
    directory.mkdir(parents=True, exist_ok=True)
    shipped = paths.nix_dir() / "demo"
    # Of what default.nix reads, programs.json comes first: never old with new.
    _write(directory / "programs.json", json.dumps(machine, indent=1, sort_keys=True))
    _write(directory / "default.nix", (shipped / "default.nix").read_text())
    return directory


def _packages() -> dict[str, _Package]:
    bash = _programs("bash", "bash", "GNU's shell", links={"bin/sh": "bash"})
    hello = _Package(
        "Say hello, to the world or to whom you name",
        mainProgram="hello",
        shared=bash.shared,
        missing=bash.missing,
    )
    return {
        "bashInteractive": _with_terminals(bash),
        "cacert": _certificates(),
        "coreutils": _programs("coreutils", _COREUTILS, "GNU's basic programs"),
        "hello": hello,
        "iana-etc": _iana_etc(),
        "moreutils": _programs("moreutils", _MOREUTILS, "More basic programs"),
        "nano": _with_terminals(_programs("nano", "nano", "A small editor")),
        "python3": _python(),
    }


def _programs(
    package: str,
    names: str,
    description: str,
    links: Mapping[str, str] | None = None,
) -> _Package:
    copies: dict[str, str] = {}
    aliases: dict[str, str] = dict(links or {})
    first: dict[str, str] = {}  # one file under many names is copied once
    for name in names.split():
        file = find_program(name)
        if file is None:
            continue
        if file in first:
            aliases[f"bin/{name}"] = first[file]
        else:
            first[file] = name
            copies[f"bin/{name}"] = file
    if not copies:
        return _missing(package, description)
    main = "".join(first.values()) if len(first) == 1 else None
    libraries = find_libraries(first)
    return _Package(description, main, copies, _placed(libraries), links=aliases)


def _missing(package: str, description: str) -> _Package:
    why = f"{package} is not on this machine: install it and pull again"
    return _Package(description, missing=why)


def _placed(libraries: Libraries) -> dict[str, str]:
    """Place libraries where they were found, and beside the C library.

    The second for directories that only this machine's loader is configured for.
    What lies in the Nix store is found there, also in an image.
    """
    placed: dict[str, str] = {}
    standard = next(
        (os.path.dirname(path) for path in libraries.files if "/libc.so" in path),  # noqa: PTH120  text, not a file
        None,
    )
    for path, real in libraries.files.items():
        if real.startswith(_STORE):
            continue
        placed[path.lstrip("/")] = real
        if standard is not None and not path.startswith(_SYSTEM_LIBRARIES):
            beside = f"{standard}/{os.path.basename(path)}"  # noqa: PTH119  text
            placed.setdefault(beside.lstrip("/"), real)
    return placed


def _with_terminals(package: _Package) -> _Package:
    """Add descriptions of the usual terminals, without which an editor won't start."""
    if package.missing:
        return package
    found: dict[str, str] = {}
    for name in _TERMINALS.split():
        for directory in _TERMINFO:
            file = f"{directory}/{name[0]}/{name}"
            if os.path.exists(file):  # noqa: PTH110  text throughout
                found[file.lstrip("/")] = os.path.realpath(file)
                break
    return _Package(
        package.description,
        package.mainProgram,
        {**package.copies, **found},
        package.shared,
        links=package.links,
    )


def _python() -> _Package:
    description = "Python, with its standard library"
    python = find_python()
    if python is None:
        return _missing("python3", description)
    name = f"python{python.version}"
    return _Package(
        description,
        "python3",
        copies={f"bin/{name}": python.program},
        shared=_placed(python.libraries),
        trees={python.library_name: python.library},
        links={"bin/python3": name, "bin/python": "python3"},
    )


def _certificates() -> _Package:
    description = "Certificates of the usual authorities"
    candidates = [*_CERTIFICATES]
    certifi = importlib.util.find_spec("certifi")  # comes with httpx
    if certifi is not None and certifi.origin:
        candidates.append(str(Path(certifi.origin).with_name("cacert.pem")))
    for file in candidates:
        if Path(file).is_file():
            return _Package(
                description,
                copies={"etc/ssl/certs/ca-bundle.crt": os.path.realpath(file)},
                links={"etc/ssl/certs/ca-certificates.crt": "ca-bundle.crt"},
            )
    return _missing("cacert", description)


def _iana_etc() -> _Package:
    """Take the machine's lists; a minimal machine has none, so ours are the reserve."""
    copies: dict[str, str] = {}
    for name in ("protocols", "services"):
        file = _ETC / name
        found = file if file.is_file() else paths.nix_dir() / "demo" / name
        copies[f"etc/{name}"] = os.path.realpath(found)
    return _Package("Names of protocols and services", copies=copies)


def _tools() -> dict[str, object]:
    programs: dict[str, str] = {}
    for name in _TOOLS:
        file = find_program(name)
        if file is None:
            raise NixerydError(f"the demo set needs {name}, which is not on PATH")
        programs[name] = file
    libraries = find_libraries(programs.values())
    return {
        "programs": programs,
        "loader": libraries.loader,
        "libraries": sorted({*libraries.files.values()} - {libraries.loader}),
    }


def _stamps(packages: Iterable[_Package]) -> dict[str, str]:
    files = {
        file
        for package in packages
        for group in (package.copies, package.shared, package.trees)
        for file in group.values()
    }
    stamps: dict[str, str] = {}
    for file in files:
        status = os.stat(file)  # noqa: PTH116  text throughout
        stamps[file] = f"{status.st_size}.{status.st_mtime_ns}"
    return stamps


def _write(file: Path, text: str) -> None:
    try:
        if file.read_text() == text:
            return
    except OSError:
        pass
    with NamedTemporaryFile("w", dir=file.parent, delete=False) as staged:
        staged.write(text)
    Path(staged.name).chmod(0o644)
    Path(staged.name).replace(file)
