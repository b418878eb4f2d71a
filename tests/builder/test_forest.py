import random
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from nixeryd.builder.forest import NodeKind, build_forest
from nixeryd.layers.tar import Entry, Kind

A, B, C = (f"/nix/store/{c * 32}-{c}" for c in "abc")

Tree = Mapping[str, "Tree | str | None"]
"""A directory; None is a file, text is a link to a directory of the same root."""


class Store:
    """Listings of roots that are written down as nested dicts."""

    def __init__(self, roots: dict[str, Tree | None]) -> None:
        self.roots = roots

    def node(self, path: str) -> Tree | str | None:
        root = next(r for r in self.roots if path == r or path.startswith(r + "/"))
        at: Tree | str | None = self.roots[root]
        for name in [n for n in path.removeprefix(root).split("/") if n]:
            at = self.follow(root, at)
            if name != ".":
                assert isinstance(at, Mapping), f"{path} is not there"
                at = at[name]
        return at

    def follow(self, root: str, node: Tree | str | None) -> Tree | str | None:
        while isinstance(node, str):
            node = self.node(f"{root}/{node}")
        return node

    def __call__(self, path: str) -> Mapping[str, NodeKind]:
        root = next(r for r in self.roots if path == r or path.startswith(r + "/"))
        node = self.follow(root, self.node(path))
        if not isinstance(node, Mapping):
            return {}
        return {name: kind(child) for name, child in node.items()}


def kind(node: Tree | str | None) -> NodeKind:
    if isinstance(node, str):
        return NodeKind.LINK_TO_DIRECTORY
    return NodeKind.LEAF if node is None else NodeKind.DIRECTORY


def shown(entries: tuple[Entry, ...]) -> dict[str, str]:
    """`/` for a directory, else the target."""
    return {
        e.name: "/" if e.kind is Kind.DIRECTORY else e.target
        for e in entries
        if e.name not in {"tmp", "etc"} or e.kind is Kind.SYMLINK
    }


def forest(*roots: Tree | None) -> dict[str, str]:
    store = dict(zip([A, B, C], roots, strict=False))
    return shown(build_forest([*store], Store(store)))


def test_files_are_links_and_directories_are_real():
    assert forest({"bin": {"git": None}, "share": {"man": {"git.1": None}}}) == {
        "bin": "/",
        "bin/git": f"{A}/bin/git",
        "share": "/",
        "share/man": "/",
        "share/man/git.1": f"{A}/share/man/git.1",
    }


def test_directories_of_several_roots_are_united():
    assert forest({"bin": {"a": None}}, {"bin": {"b": None}}, {"lib": {}}) == {
        "bin": "/",
        "bin/a": f"{A}/bin/a",
        "bin/b": f"{B}/bin/b",
        "lib": "/",
    }


def test_the_first_root_wins():
    assert forest({"bin": {"x": None}}, {"bin": {"x": None}}) == {
        "bin": "/",
        "bin/x": f"{A}/bin/x",
    }


def test_the_first_wins_between_a_file_and_a_directory():
    assert forest({"x": None}, {"x": {"y": None}}) == {"x": f"{A}/x"}
    assert forest({"x": {"y": None}}, {"x": None}, {"x": {"z": None}}) == {
        "x": "/",
        "x/y": f"{A}/x/y",
        "x/z": f"{C}/x/z",
    }


def test_a_link_to_a_directory_stays_a_link_alone():
    assert forest({"lib": {"a": None}, "lib64": "lib"}) == {
        "lib": "/",
        "lib/a": f"{A}/lib/a",
        "lib64": f"{A}/lib64",
    }
    assert forest({"d": {}, "x": "d"}, {"x": None}) == {"d": "/", "x": f"{A}/x"}


@pytest.mark.parametrize(
    "other", [{"lib64": {"b": None}}, {"q": {"b": None}, "lib64": "q"}]
)
def test_a_link_to_a_directory_is_united_with_another_directory(other):
    united = forest({"p": {"a": None}, "lib64": "p"}, other)
    assert united["lib64"] == "/"
    assert united["lib64/a"] == f"{A}/lib64/a"
    assert united["lib64/b"] == f"{B}/lib64/b"
    reverse = forest(other, {"p": {"a": None}, "lib64": "p"})
    assert reverse["lib64/a"] == f"{B}/lib64/a"


def test_a_root_named_twice_is_one():
    store = Store({A: {"d": {"x": None}, "l": "d"}})
    assert build_forest([A, A], store) == build_forest([A], store)


def test_links_that_form_loops_end():
    """As ncurses has it: `include/ncursesw -> .`, in two versions."""
    root = {"include": {"ncursesw": "include", "a.h": None}}
    united = forest(root, root)
    assert united["include/ncursesw"] == "/"
    assert united["include/ncursesw/ncursesw"] == f"{A}/include/ncursesw/ncursesw"
    assert len(united) == 5


def test_loops_through_directories_and_links_by_turns_end():
    first = {"p": {"q": ".", "a": None}}
    second = {"p": ".", "q": {"p": ".", "b": None}}
    united = forest(first, second)
    assert united["p/q"] == "/"
    assert united["p/a"] == f"{A}/p/a"


def test_nothing_is_written_under_nix():
    assert forest({"nix": {"store": {"x": None}}, "a": None}, {"nix": None}) == {
        "a": f"{A}/a"
    }


def test_nix_support_is_left_out_at_the_top_only():
    assert forest(
        {"nix-support": {"setup-hook": None}, "share": {"nix-support": None, "nix": {}}}
    ) == {
        "share": "/",
        "share/nix": "/",
        "share/nix-support": f"{A}/share/nix-support",
    }


@pytest.mark.parametrize("root", [{}, {"tmp": None}, {"tmp": {"x": None}}])
def test_tmp_is_there_for_everybody(root):
    entries = build_forest([A], Store({A: root}))
    assert Entry("tmp", Kind.DIRECTORY, 0o1777) in entries
    assert [e.name for e in entries] == ["etc", "tmp"]


@pytest.mark.parametrize(
    "root", [{}, {"etc": {"x": None}}, {"share": {"x": None}, "etc": "share"}]
)
def test_etc_is_always_a_real_directory(root):
    entries = {e.name: e for e in build_forest([A], Store({A: root}))}
    assert entries["etc"] == Entry("etc", Kind.DIRECTORY, 0o755)
    assert ("etc/x" in entries) == bool(root)


def test_an_etc_that_leads_out_of_the_store_gives_way():
    """`etc -> /etc` would lead to itself in the container."""
    united = forest({"etc": None, "a": None}, {"etc": {"x": None}})
    assert united == {"a": f"{A}/a", "etc/x": f"{B}/etc/x"}
    assert [e.name for e in build_forest([A], Store({A: {"etc": None}}))] == [
        "etc",
        "tmp",
    ]


def test_usr_bin_env_is_linked_where_there_is_an_env():
    assert forest({"bin": {"ls": None}}, {"bin": {"env": None}}) == {
        "bin": "/",
        "bin/env": f"{B}/bin/env",
        "bin/ls": f"{A}/bin/ls",
        "usr": "/",
        "usr/bin": "/",
        "usr/bin/env": f"{B}/bin/env",
    }


def test_without_an_env_there_is_no_usr_bin_env():
    assert forest({"bin": {"ls": None}}, {"bin": None}, {"bin": {"env": {}}}) == {
        "bin": "/",
        "bin/env": "/",
        "bin/ls": f"{A}/bin/ls",
    }


def test_a_roots_own_usr_bin_env_wins():
    root = {"bin": {"env": None}, "usr": {"bin": {"env": None, "x": None}}}
    united = forest(root)
    assert united["usr/bin/env"] == f"{A}/usr/bin/env"
    assert united["usr/bin/x"] == f"{A}/usr/bin/x"


def test_usr_bin_env_is_there_even_if_usr_is_a_link():
    united = forest({"bin": {"env": None}, "usr": "."})
    assert united["usr"] == "/"
    assert united["usr/bin"] == "/"
    assert united["usr/bin/env"] == f"{A}/usr/bin/env"
    assert forest({"bin": {"env": None}, "usr": {"bin": "bin"}})["usr/bin/env"] == (
        f"{A}/usr/bin/env"
    )


def test_the_certificates_are_where_the_environment_says():
    cacert = {"etc": {"ssl": {"certs": {"ca-bundle.crt": None}}}}
    united = forest({"bin": {"git": None}, "etc": {"gitconfig": None}}, cacert)
    assert united["etc/ssl/certs/ca-bundle.crt"] == f"{B}/etc/ssl/certs/ca-bundle.crt"
    assert united["etc/gitconfig"] == f"{A}/etc/gitconfig"


def test_a_root_that_is_a_file_adds_nothing():
    assert forest(None, {"a": None}) == {"a": f"{B}/a"}


def test_directories_deeper_than_the_recursion_limit_are_united():
    tree: Tree = {"leaf": None}
    for _ in range(1500):
        tree = {"d": tree}

    def listing(path: str) -> Mapping[str, NodeKind]:
        depth = path.count("/d")
        return {"leaf": NodeKind.LEAF} if depth == 1500 else {"d": NodeKind.DIRECTORY}

    assert len(build_forest(["/nix/store/x"], listing)) == 1503


NAMES = st.sampled_from(["a", "b", "bin", "env", "etc", "lib", "usr", "nix", "a-b"])
# Links go to the root itself: the worst there is.
TREES = st.recursive(
    st.dictionaries(NAMES, st.sampled_from([None, "."]), max_size=3),
    lambda inner: st.dictionaries(
        NAMES, inner | st.sampled_from([None, "."]), max_size=3
    ),
    max_leaves=8,
)


@given(st.lists(TREES, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_a_forest_is_a_tree_of_links_into_the_roots(trees, rng: random.Random):
    store = dict(zip([A, B, C], trees, strict=False))
    entries = build_forest([*store], Store(store))

    names = [entry.name for entry in entries]
    assert names == sorted(set(names))
    assert not any(name.split("/")[0] == "nix" for name in names)
    directories = {""}
    for entry in entries:
        assert entry.name.rpartition("/")[0] in directories, "parents come first"
        if entry.kind is Kind.DIRECTORY:
            directories.add(entry.name)
        else:
            assert entry.kind is Kind.SYMLINK
            Store(store).node(entry.target)  # there is such a node

    def shuffled(path: str) -> Mapping[str, NodeKind]:
        items = list(Store(store)(path).items())
        rng.shuffle(items)
        return dict(items)

    assert build_forest([*store], shuffled) == entries


@pytest.mark.parametrize(
    ("roots", "collisions"),
    [
        pytest.param([{"bin": {"x": None}}, {"bin": {"y": None}}], {}, id="none"),
        pytest.param(
            [{"bin": {"x": None}}, {"bin": {"x": None}}],
            {"bin/x": "ab"},
            id="two files",
        ),
        pytest.param(
            [{"x": None}, {"x": None}, {"x": None}], {"x": "abc"}, id="three files"
        ),
        pytest.param([{"x": None}, {"x": {"y": None}}], {"x": "ab"}, id="file first"),
        pytest.param(
            [{"x": {"y": None}}, {"x": None}], {"x": "ab"}, id="directory first"
        ),
        pytest.param([{"nix-support": None}, {"nix-support": None}], {}, id="left out"),
        pytest.param(
            [{"usr": {"bin": {"env": None}}, "bin": {"env": None}}], {}, id="env"
        ),
    ],
)
def test_files_that_hide_others_are_told(roots, collisions):
    store = Store(dict(zip((A, B, C), roots, strict=False)))
    found = []
    build_forest([*store.roots], store, found.append)
    assert {
        one.path: "".join(path[11] for path in (one.taken, *one.hidden))
        for one in found
    } == collisions
