import networkx as nx
from hypothesis import given, strategies as st

from nixeryd.images.graphs import UNREACHABLE, closure_weights, immediate_dominators


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 24))
    nodes = st.integers(0, size - 1)
    return draw(st.lists(st.lists(nodes, max_size=4), min_size=size, max_size=size))


def digraph(successors: list[list[int]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(successors)))
    graph.add_edges_from((a, b) for a, row in enumerate(successors) for b in row)
    return graph


@given(graphs())
def test_the_dominators_are_those_of_networkx(successors):
    expected = dict(nx.immediate_dominators(digraph(successors), 0))
    expected[0] = 0  # networkx says None of the root since 3.6
    found = immediate_dominators(successors, 0)
    assert found == [expected.get(node, UNREACHABLE) for node in range(len(successors))]


@given(graphs(), st.data())
def test_a_closure_weighs_what_its_descendants_do(successors, data):
    count = len(successors)
    weights = data.draw(
        st.lists(st.integers(0, 10**12), min_size=count, max_size=count)
    )
    graph = digraph(successors)
    assert closure_weights(successors, weights) == [
        sum(weights[other] for other in nx.descendants(graph, node) | {node})
        for node in range(count)
    ]


def test_a_chain_deeper_than_the_recursion_limit_is_walked():
    depth = 3000
    successors = [[node + 1] for node in range(depth)] + [[]]
    assert immediate_dominators(successors, 0) == [0, *range(depth)]
    assert closure_weights(successors, [1] * (depth + 1))[:2] == [depth + 1, depth]


def test_the_root_may_be_any_node():
    assert immediate_dominators([[], [0]], 1) == [1, 1]
    assert immediate_dominators([[], [0]], 0) == [0, UNREACHABLE]
