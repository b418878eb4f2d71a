"""Thin images: mount points and links where others have store paths.

One layer: for each store path an empty directory (or file), where the path itself
is mounted when a container starts, and the symlink forest. An engine that is given
the store (`-v /nix/store:/nix/store:ro`) needs nothing else; nix-snapshotter
mounts the paths by itself, told by annotations on the layer. Both generations of
these are here: up to 0.2 one per path, since 0.3 one store directory that lists
them all.

https://github.com/pdtpartners/nix-snapshotter/blob/main/docs/architecture.md
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from nixeryd.layers import tar
from nixeryd.layers.tar import Entry, Kind

COMPRESSION: Final = "gzip"
"""The one media type that nix-snapshotter itself makes; it is a few kilobytes."""

LIST_NAME: Final = "store-paths"
"""The file in the closure's own store directory, as nixpkgs' closureInfo calls it."""

MOUNT: Final = "/nix/store:/nix/store:ro"
DESCRIPTION: Final = (
    "A thin image: links and mount points only. It runs on the machine that made it, "
    f"with -v {MOUNT} (nix-snapshotter needs no -v)"
)
CLOSURE_LABEL: Final = "nixeryd.thin.closure"
"""Names the store directory that lists the closure and refers to all of it."""

_CLOSURE: Final = "containerd.io/snapshot/nix-closure"
_LAYER: Final = "containerd.io/snapshot/nix-layer"
_PATH: Final = "containerd.io/snapshot/nix-store-path."
# containerd makes labels of annotations; labels.Validate there: key and value.
_MAX_LABEL: Final = 4096


def layer_entries(
    paths: Iterable[str], forest: Sequence[Entry], is_directory: Callable[[str], bool]
) -> tuple[Entry, ...]:
    """Return the entries of the layer by name, parents first.

    `is_directory` is asked about each store path, and follows links: what a link
    leads to is what gets mounted.
    """
    points = {"nix": Entry("nix", Kind.DIRECTORY, 0o755)}
    for path in paths:
        name = path.lstrip("/")
        above = name.rpartition("/")[0]
        points[above] = Entry(above, Kind.DIRECTORY, 0o755)
        points[name] = (
            Entry(name, Kind.DIRECTORY, 0o755)
            if is_directory(path)
            else Entry(name, Kind.FILE, 0o555)
        )
    return tuple(
        sorted([*points.values(), *forest], key=lambda entry: entry.name.split("/"))
    )


def annotations(closure: str, paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the layer's annotations; `closure` is the store directory of the list.

    ValueError if one is too long for containerd, which refuses the image then.
    """
    found = {_CLOSURE: closure, _LAYER: "true"}
    for number, path in enumerate(sorted(paths)):
        found[f"{_PATH}{number}"] = path
    for key, value in found.items():
        if len(key.encode()) + len(value.encode()) > _MAX_LABEL:
            raise ValueError(f"the annotation {key} has over {_MAX_LABEL} bytes")
    return tuple(sorted(found.items()))


def list_archive(paths: Iterable[str]) -> bytes:
    """Return a tar archive of one file that lists store paths, one on a line."""
    text = "".join(f"{path}\n" for path in sorted(paths)).encode()
    entry = Entry(LIST_NAME, Kind.FILE, 0o444, size=len(text))
    return tar.header(entry) + text + tar.padding(len(text)) + tar.TRAILER
