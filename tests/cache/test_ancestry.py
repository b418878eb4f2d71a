"""Why a path is there, and what it brings: against the definitions, on any graph."""

import itertools

from hypothesis import given, strategies as st

from nixeryd.cache.ancestry import biggest_branches, shortest_chain
from nixeryd.images.closures import PathInfo

# git -> curl -> openssl -> libc; git -> perl -> libc; python -> openssl
CLOSURE = {
    path: PathInfo(path, size, references)
    for path, size, references in [
        ("git", 50, ("curl", "perl")),
        ("curl", 10, ("openssl",)),
        ("openssl", 20, ("libc",)),
        ("perl", 100, ("libc",)),
        ("python", 60, ("openssl",)),
        ("libc", 30, ()),
    ]
}


def test_the_shortest_way_is_told():
    assert shortest_chain(CLOSURE, ["git"], "libc") == ("git", "perl", "libc")
    assert shortest_chain(CLOSURE, ["git", "python"], "openssl") == (
        "python",
        "openssl",
    )
    assert shortest_chain(CLOSURE, ["git"], "git") == ("git",)
    assert shortest_chain(CLOSURE, ["curl"], "perl") == ()
    assert shortest_chain(CLOSURE, ["gone"], "libc") == ()


def test_a_branch_counts_what_nothing_else_brings():
    branches = biggest_branches(CLOSURE, ["git", "python"], least=0)
    assert [(b.path, b.depth, b.own, b.alone, b.whole, b.paths) for b in branches] == [
        ("git", 0, 50, 160, 210, 3),
        ("perl", 1, 100, 100, 130, 1),
        ("curl", 1, 10, 10, 60, 1),
        ("python", 0, 60, 60, 110, 1),
        ("libc", 0, 30, 30, 30, 1),
        ("openssl", 0, 20, 20, 50, 1),
    ]


def test_what_hardly_counts_is_left_out():
    branches = biggest_branches(CLOSURE, ["git", "python"], least=0.2)
    assert [branch.path for branch in branches] == ["git", "perl", "python"]
    branches = biggest_branches(CLOSURE, ["git", "python"], most=2)
    assert [branch.path for branch in branches] == ["git", "perl"]
    assert all(b.depth == 0 for b in biggest_branches(CLOSURE, ["git"], deepest=1))


def test_nothing_has_no_branches():
    assert biggest_branches({}, []) == ()
    assert biggest_branches({"a": PathInfo("a", 0, ())}, ["a"])[0].path == "a"


NAMES = [f"p{number}" for number in range(12)]


@st.composite
def graphs(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    references = st.lists(st.sampled_from(names), unique=True).map(tuple)
    closure = {
        name: PathInfo(name, draw(st.integers(0, 9)), draw(references))
        for name in names
    }
    roots = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    return closure, roots


def reach(closure, roots, without=None):
    found, due = set(), [root for root in roots if root != without]
    while due:
        path = due.pop()
        if path not in found and path != without:
            found.add(path)
            due += closure[path].references
    return found


@given(graphs())
def test_a_chain_is_a_way_and_none_is_shorter(graph):
    closure, roots = graph
    distance, ring = {}, set(roots)
    while ring:
        distance |= dict.fromkeys(ring, max(distance.values(), default=0) + 1)
        ring = {r for p in ring for r in closure[p].references} - distance.keys()
    for target in closure:
        chain = shortest_chain(closure, roots, target)
        assert len(chain) == distance.get(target, 0)
        if chain:
            assert chain[0] in roots
            assert chain[-1] == target
        for one, following in itertools.pairwise(chain):
            assert following in closure[one].references


@given(graphs())
def test_branches_are_what_would_go_with_them(graph):
    closure, roots = graph
    for branch in biggest_branches(closure, roots, most=99, least=0, deepest=99):
        gone = reach(closure, roots) - reach(closure, roots, without=branch.path)
        assert branch.alone == sum(closure[path].nar_size for path in gone)
        assert branch.paths == len(gone)
        whole = reach(closure, [branch.path])
        assert branch.whole == sum(closure[path].nar_size for path in whole)
