"""The inputs: store paths made of this machine's own Debian packages.

Nothing is downloaded. Which packages are taken depends on what is installed
and on nothing else, so that a machine measures the same bytes every time. All
is rooted in the benchmarks' directory and built once.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SHIPPED = Path(__file__).with_name("set.nix")
NIX_CONFIG = "substitute = false\nsandbox = false\nbuild-users-group =\n"

LARGE = (900_000_000, 200, 10_000)  # bytes, paths at least and at most
SMALL = (100_000_000, 0, 60)
IMAGES = ("closure900", "closure100", "files20000", "gigabyte")


@dataclass(frozen=True, slots=True)
class Debian:
    """An installed package; `size` in bytes, `depends` on installed packages."""

    name: str
    version: str
    size: int
    depends: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """A package set whose packages are built: image name to closure."""

    source: Path
    roots: Mapping[str, str]
    closures: Mapping[str, tuple[str, ...]]

    def describe(self) -> dict[str, dict[str, int]]:
        return {name: _describe(paths) for name, paths in self.closures.items()}


def environment() -> dict[str, str]:
    return {**os.environ, "NIX_CONFIG": NIX_CONFIG}


def prepare(place: Path) -> Inputs:
    """Make the package set in `place` and build it, if that was not done before."""
    source = place / "set"
    source.mkdir(parents=True, exist_ok=True)
    described = json.dumps(_choose(_installed()), indent=1, sort_keys=True)
    (source / "packages.json").write_text(described)
    (source / "default.nix").write_text(_SHIPPED.read_text())
    roots, closures = {}, {}
    for name in (*IMAGES, "cacert", "iana-etc"):
        link = str(place / name)
        built = _run("nix-build", str(source), "--attr", name, "--out-link", link)
        roots[name] = built.split()[-1]
        found = _run("nix-store", "--query", "--requisites", roots[name])
        closures[name] = tuple(found.split())
    return Inputs(source, roots, closures)


def _run(*argv: str) -> str:
    return subprocess.run(
        argv,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def _installed() -> dict[str, Debian]:
    rows = _run(
        "dpkg-query", "--show", "--showformat",
        "${Package}\t${Version}\t${Architecture}\t${Depends}, ${Pre-Depends}\n",
    )  # fmt: skip
    names = {row.split("\t")[0] for row in rows.splitlines()}
    found = {}
    for row in rows.splitlines():
        name, version, architecture, depends = row.split("\t")
        wanted = {re.split(r"[ :(|]", one.strip())[0] for one in depends.split(",")}
        files, size = _files(name, architecture)
        if files:
            found[name] = Debian(
                name, version, size, tuple(sorted(wanted & names - {name})), files
            )
    return found


def _files(name: str, architecture: str) -> tuple[tuple[str, ...], int]:
    for stem in (name, f"{name}:{architecture}"):
        listing = Path(f"/var/lib/dpkg/info/{stem}.list")
        if listing.exists():
            break
    else:
        return (), 0
    found = {}
    for line in listing.read_text().splitlines():
        # /lib and the like are links on a machine with a merged /usr.
        place = Path(os.path.realpath(Path(line).parent), Path(line).name)
        if place.is_relative_to("/usr") and (place.is_file() or place.is_symlink()):
            found[str(place.relative_to("/"))] = place.lstat().st_size
    return tuple(found), sum(found.values())


def _choose(packages: Mapping[str, Debian]) -> dict[str, object]:
    large = _grow(packages, *LARGE)
    small = _grow(packages, *SMALL)
    taken = {one for root in (*large, *small) for one in _closure(packages, root)}
    order = _without_cycles({name: packages[name] for name in taken})
    return {
        "packages": {
            name: {
                "name": re.sub(r"[^a-zA-Z0-9+._?=-]", "-", f"{name}-{package.version}"),
                "depends": order[name],
                "files": "\n".join(package.files) + "\n",
            }
            for name, package in packages.items()
            if name in taken
        },
        "large": large,
        "small": small,
    }


def _grow(
    packages: Mapping[str, Debian], size: int, at_least: int, at_most: int
) -> list[str]:
    """Take packages with all they depend on, in no meaningful order, up to `size`."""
    taken: set[str] = set()
    roots = []
    for name in sorted(packages, key=_shuffled):
        grown = taken | _closure(packages, name)
        is_full = sum(packages[one].size for one in grown) > size
        if is_full or len(grown) > at_most:
            continue
        if grown > taken:
            roots.append(name)
            taken = grown
    if len(taken) < at_least:
        raise SystemExit(f"only {len(taken)} Debian packages fit into {size} bytes")
    return roots


def _shuffled(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _closure(packages: Mapping[str, Debian], name: str) -> set[str]:
    seen: set[str] = set()
    pending = [name]
    while pending:
        one = pending.pop()
        if one in packages and one not in seen:
            seen.add(one)
            pending += packages[one].depends
    return seen


def _without_cycles(packages: Mapping[str, Debian]) -> dict[str, list[str]]:
    """Return the dependencies, less those that lead back: Nix has no cycles."""
    kept: dict[str, list[str]] = {}
    above: set[str] = set()

    def visit(name: str) -> None:
        above.add(name)
        kept[name] = []
        for one in packages[name].depends:
            if one not in packages or one in above:
                continue
            if one not in kept:
                visit(one)
            kept[name].append(one)
        above.remove(name)

    for name in sorted(packages):
        if name not in kept:
            visit(name)
    return kept


def _describe(paths: tuple[str, ...]) -> dict[str, int]:
    files = [
        Path(directory, file)
        for path in paths
        for directory, _, names in os.walk(path)
        for file in names
    ]
    sizes = [file.lstat().st_size for file in files if not file.is_symlink()]
    return {
        "paths": len(paths),
        "files": len(sizes),
        "bytes": sum(sizes),
        "largest": max(sizes, default=0),
    }
