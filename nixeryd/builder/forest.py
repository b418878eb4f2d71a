"""The symlink forest: the requested packages' files, united at the image's root.

Like nixpkgs' symlinkJoin: real directories, so that engines can mount
/etc/hosts and packages can share /bin, and links into the store for what is in
them. The first root wins where two have the same file. Made from listings that
the caller supplies; nothing here looks at a file system.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from nixeryd.layers.tar import Entry, Kind

# Never taken from the top of a root: the store itself, what nixpkgs keeps there
# for builds, and what is ours alone.
_LEFT_OUT: Final = frozenset({"nix", "nix-support", "tmp"})


class NodeKind(Enum):
    """What a name in a directory is.

    A link that dangles or leads out of the store is a LEAF: what it leads to is
    this machine's, and no part of the image.
    """

    DIRECTORY = auto()
    LINK_TO_DIRECTORY = auto()
    LEAF = auto()


Listing = Callable[[str], Mapping[str, NodeKind]]
"""What is in the directory at an absolute path, links on the way followed.

Empty for a path that is no directory: a root may be a single file.
"""


class _Node(NamedTuple):
    path: str
    kind: NodeKind
    crossed: bool  # whether a link to a directory was followed on the way


# A directory to be united: its path, and `crossed` for what is in it.
_Source = tuple[str, bool]


class Collision(NamedTuple):
    """A path that several roots have and only one can have in the image.

    `path` is relative to the image's root; `taken` and `hidden` are the files.
    """

    path: str
    taken: str
    hidden: tuple[str, ...]


def build_forest(
    roots: Sequence[str],
    listing: Listing,
    on_collision: Callable[[Collision], None] = lambda _: None,
) -> tuple[Entry, ...]:
    """Unite the roots (store paths); entries by path, parents before children.

    `on_collision` is told of each path at which a file of one root hides another's.

    A directory in any root is a real directory. A link to a directory stays a
    link unless another root has a directory of that name: then both are united.
    /etc and /tmp always are, and /usr/bin/env if any root has bin/env.
    """
    skeleton, targets = _skeleton(_find_env(roots, listing))

    def look(path: str) -> Mapping[str, NodeKind]:
        return skeleton[path] if path in skeleton else listing(path)

    entries = [Entry("tmp", Kind.DIRECTORY, 0o1777)]
    # Not recursive, as a tree may be deeper than Python's stack.
    todo: list[tuple[str, list[_Source]]] = [
        ("", [(root, False) for root in [*dict.fromkeys(roots), _SKELETON]])
    ]
    while todo:
        at, sources = todo.pop()
        for name, nodes in _by_name(sources, look).items():
            if not at and name in _LEFT_OUT:
                continue
            path = f"{at}/{name}" if at else name
            # A package's `etc -> /etc` would lead to itself there.
            united = _united(nodes if path != "etc" else _no_leaves(nodes))
            if united:
                entries.append(Entry(path, Kind.DIRECTORY, 0o755))
                todo.append((path, united))
                seen = {source for source, _ in united}
                taken = united[0][0]
            else:
                taken = origin = nodes[0].path
                seen = {origin}
                target = targets.get(origin, origin)
                entries.append(Entry(path, Kind.SYMLINK, 0o777, target=target))
            hidden = tuple(
                node.path
                for node in nodes
                if node.path not in seen and not node.path.startswith(_SKELETON)
            )
            if hidden and not taken.startswith(_SKELETON):
                on_collision(Collision(path, taken, hidden))
    return tuple(sorted(entries, key=lambda entry: entry.name))


def _by_name(sources: Sequence[_Source], look: Listing) -> dict[str, list[_Node]]:
    """Collect what the sources have, under each name in the sources' order."""
    found: dict[str, list[_Node]] = {}
    for source, crossed in sources:
        for name, kind in look(source).items():
            # A link like `ncursesw -> .` in two roots would unite for ever:
            # behind one link, another is a leaf.
            loops = crossed and kind is NodeKind.LINK_TO_DIRECTORY
            node = _Node(f"{source}/{name}", NodeKind.LEAF if loops else kind, crossed)
            found.setdefault(name, []).append(node)
    return found


def _united(nodes: Sequence[_Node]) -> list[_Source]:
    """Return the directories to unite, or nothing if the first node is to be a link."""
    if nodes[0].kind is NodeKind.LEAF:
        return []
    directories = _no_leaves(nodes)
    if len(directories) == 1 and nodes[0].kind is NodeKind.LINK_TO_DIRECTORY:
        return []
    return [
        (node.path, node.crossed or node.kind is NodeKind.LINK_TO_DIRECTORY)
        for node in directories
    ]


def _no_leaves(nodes: Sequence[_Node]) -> list[_Node]:
    return [node for node in nodes if node.kind is not NodeKind.LEAF]


# The skeleton is one more root, the last: so it unites by the same rules. Its
# paths are no store's.
_SKELETON: Final = "skeleton:"
_ENV: Final = f"{_SKELETON}/usr/bin/env"


def _skeleton(
    env: str | None,
) -> tuple[dict[str, Mapping[str, NodeKind]], dict[str, str]]:
    """Return the skeleton's directories, and what its leaves link to."""
    directories: dict[str, Mapping[str, NodeKind]] = {
        _SKELETON: {"etc": NodeKind.DIRECTORY},
        f"{_SKELETON}/etc": {},
    }
    if env is None:
        return directories, {}
    directories |= {
        _SKELETON: {"etc": NodeKind.DIRECTORY, "usr": NodeKind.DIRECTORY},
        f"{_SKELETON}/usr": {"bin": NodeKind.DIRECTORY},
        f"{_SKELETON}/usr/bin": {"env": NodeKind.LEAF},
    }
    return directories, {_ENV: env}


def _find_env(roots: Sequence[str], listing: Listing) -> str | None:
    for root in roots:
        if listing(root).get("bin", NodeKind.LEAF) is NodeKind.LEAF:
            continue
        if listing(f"{root}/bin").get("env") is NodeKind.LEAF:
            return f"{root}/bin/env"
    return None
