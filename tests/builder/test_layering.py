import random

import pytest
from hypothesis import given, strategies as st

from nixeryd.builder.layering import BIG, POPULAR, LayerPlan, plan_layers
from nixeryd.images.closures import Closure, PathInfo


def store(name: str) -> str:
    return f"/nix/store/{name.lower().encode().hex():0<32.32}-{name}"


def closure_of(
    graph: dict[str, str], sizes: dict[str, int] | None = None
) -> dict[str, PathInfo]:
    """`{"A": "BC"}`: A refers to B and C. Everything has 10 bytes, unless told."""
    names = sorted(set(graph) | set("".join(graph.values())))
    return {
        store(name): PathInfo(
            store(name),
            (sizes or {}).get(name, 10),
            tuple(store(ref) for ref in sorted(graph.get(name, ""))),
        )
        for name in names
    }


def names(layers: tuple[LayerPlan, ...]) -> list[str]:
    return ["".join(path[-1] for path in layer.paths) for layer in layers]


def plan(graph, roots, popularity=None, *, sizes=None, budget=94):
    closure = closure_of(graph, sizes)
    return plan_layers(closure, [store(r) for r in roots], popularity or {}, budget)


# The ancestor's example: E is shared, F belongs to D, G is big, D is shared.
EXAMPLE = {"A": "E", "B": "E", "C": "EDG", "D": "F"}


@pytest.mark.parametrize(
    ("graph", "roots", "expected"),
    [
        ({}, "", []),
        ({"A": "B", "B": "C"}, "A", ["ABC"]),
        ({"A": "C", "B": "C"}, "AB", ["A", "B", "C"]),
        ({"A": "BC", "B": "D", "C": "D"}, "A", ["ABCD"]),
        ({"A": "B", "B": "C"}, "AB", ["BC", "A"]),
        ({"A": "B", "B": "A"}, "A", ["AB"]),
        ({"A": "B", "B": "CA", "C": "B"}, "AC", ["A", "B", "C"]),
        ({"A": "A"}, "A", ["A"]),
        (EXAMPLE, "ABC", ["CDFG", "A", "B", "E"]),
        (EXAMPLE, "ABCD", ["CG", "DF", "A", "B", "E"]),
    ],
)
def test_a_layer_is_a_root_and_all_that_it_alone_brings(graph, roots, expected):
    assert names(plan(graph, roots)) == expected


def test_a_popular_path_is_split_off():
    graph = {"A": "B", "B": "C"}
    assert names(plan(graph, "A", {"B": POPULAR})) == ["BC", "A"]
    assert names(plan(graph, "A", {"B": POPULAR - 1})) == ["ABC"]


def test_a_path_that_brings_more_than_100_mb_is_split_off():
    graph = {"A": "B", "B": "C"}
    assert names(plan(graph, "A", sizes={"A": 0, "B": 1, "C": BIG})) == ["BC", "A"]
    assert names(plan(graph, "A", sizes={"A": 0, "B": 0, "C": BIG})) == ["ABC"]
    assert names(plan(graph, "A", sizes={"C": BIG + 1})) == ["C", "A", "B"]


def test_what_is_brought_twice_is_counted_once():
    graph = {"A": "B", "B": "CD", "C": "E", "D": "E"}
    sizes = {"A": 0, "B": 0, "C": 0, "D": 0, "E": BIG}
    assert names(plan(graph, "A", sizes=sizes)) == ["ABCDE"]


def test_popularity_is_the_packages_not_the_hashs():
    one, two = (f"/nix/store/{c * 32}-glibc-2.40" for c in "ab")
    closure = {p: PathInfo(p, 10, ()) for p in (one, two)}
    layers = plan_layers(closure, [one, two], {"glibc-2.40": 7})
    assert [layer.rating for layer in layers] == [70, 70]


@pytest.mark.parametrize("name", ["nss-cacert-3.101", "iana-etc-20240318", "iana-etc"])
def test_what_is_in_every_image_is_most_popular(name):
    path = f"/nix/store/{'a' * 32}-{name}"
    (layer,) = plan_layers({path: PathInfo(path, 2, ())}, [path], {name: 3})
    assert layer.rating == 1_000_000


def test_a_package_that_only_sounds_like_it_is_not():
    path = f"/nix/store/{'a' * 32}-iana-etcetera-1"
    (layer,) = plan_layers({path: PathInfo(path, 2, ())}, [path], {})
    assert layer.rating == 2


def test_the_rating_is_the_heads_popularity_times_all_bytes():
    (layer,) = plan({"A": "B"}, "A", {"A": 5, "B": 50}, sizes={"A": 3, "B": 4})
    assert layer == LayerPlan((store("A"), store("B")), 7, 35)


def test_the_best_rating_comes_first():
    layers = plan(dict.fromkeys("ABC", ""), "ABC", {"B": 3, "C": 2})
    assert names(layers) == ["B", "C", "A"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (5, ["A", "B", "C", "D", "E"]),
        (4, ["A", "B", "DE", "C"]),
        (3, ["A", "CDE", "B"]),
        (2, ["BCDE", "A"]),
        (1, ["ABCDE"]),
    ],
)
def test_over_the_budget_the_lowest_become_one(budget, expected):
    popularity = {"A": 7, "B": 5, "C": 2, "D": 2, "E": 2}
    layers = plan(dict.fromkeys("ABCDE", ""), "ABCDE", popularity, budget=budget)
    assert names(layers) == expected


def test_what_was_merged_stays_the_lowest():
    """Re-rated, A and B would be merged next, and two layers lost their identity."""
    assert names(plan(dict.fromkeys("ABCD", ""), "ABCD", budget=2)) == ["BCD", "A"]


def test_no_budget_is_an_error():
    with pytest.raises(ValueError, match="budget of 0"):
        plan({"A": ""}, "A", budget=0)


def test_a_root_outside_the_closure_is_an_error():
    with pytest.raises(KeyError):
        plan({"A": ""}, "B")


def test_a_reference_out_of_the_closure_is_ignored():
    path = store("A")
    info = PathInfo(path, 1, (store("elsewhere"),))
    assert plan_layers({path: info}, [path], {}) == (LayerPlan((path,), 1, 1),)


@st.composite
def closures(draw: st.DrawFn) -> tuple[Closure, list[str], dict[str, int]]:
    count = draw(st.integers(1, 30))
    paths = [f"/nix/store/{index:032d}-p{index % 9}" for index in range(count)]
    some = st.lists(st.sampled_from(paths), max_size=4, unique=True)
    sizes = st.one_of(st.integers(0, 1000), st.integers(0, 2 * BIG))
    closure = {path: PathInfo(path, draw(sizes), tuple(draw(some))) for path in paths}
    popularity = draw(
        st.dictionaries(
            st.sampled_from([f"p{i}" for i in range(9)]), st.integers(1, 999)
        )
    )
    return closure, draw(some), popularity


@given(closures(), st.integers(1, 12))
def test_every_path_is_in_exactly_one_layer_and_the_budget_is_kept(case, budget):
    closure, roots, popularity = case
    layers = plan_layers(closure, roots, popularity, budget)
    assert sorted(p for layer in layers for p in layer.paths) == sorted(closure)
    assert len(layers) <= budget
    for layer in layers:
        assert list(layer.paths) == sorted(layer.paths)
        assert layer.nar_size == sum(closure[path].nar_size for path in layer.paths)
    ratings = [layer.rating for layer in layers]
    assert ratings == sorted(ratings, reverse=True)


@given(closures(), st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_order_of_the_input_makes_no_difference(case, budget, rng: random.Random):
    closure, roots, popularity = case
    items = [
        (path, PathInfo(path, info.nar_size, tuple(shuffled(info.references, rng))))
        for path, info in shuffled(closure.items(), rng)
    ]
    again = plan_layers(dict(items), shuffled(roots, rng), popularity, budget)
    assert again == plan_layers(closure, roots, popularity, budget)


def shuffled(items, rng: random.Random):
    items = list(items)
    rng.shuffle(items)
    return items


def test_a_chain_deeper_than_the_recursion_limit_is_one_layer():
    paths = [f"/nix/store/{index:032d}-p" for index in range(5000)]
    closure = {
        path: PathInfo(path, 100_000, (after,))
        for path, after in zip(paths, [*paths[1:], paths[0]], strict=True)
    }
    (layer,) = plan_layers(closure, paths[:1], {}, 1)
    assert len(layer.paths) == 5000
