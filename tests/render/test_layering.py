"""Places of a graph's nodes, against the definition of a longest path."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inspector.render.layering import bends, layout


@st.composite
def graphs(draw):
    nodes = draw(st.integers(1, 12))
    ends = st.integers(0, nodes - 1)
    links = draw(st.lists(st.tuples(ends, ends).filter(lambda p: p[0] != p[1]), max_size=25))
    return nodes, links


def placed(nodes, links):
    return layout(nodes, links, [30.0] * nodes, 10.0)


def longest_path_to(node, links):
    """Edges on the longest path that ends at a node, by trying all; `links` have no cycle."""

    @cache
    def longest(target):
        return max((1 + longest(s) for s, t in links if t == target), default=0)

    return longest(node)


@given(graphs())
def test_without_cycles_the_layer_of_a_node_is_its_longest_path(graph):
    nodes, links = graph
    links = [(s, t) for s, t in links if s < t]
    found = placed(nodes, links)
    assert list(found.layer[:nodes]) == [longest_path_to(n, links) for n in range(nodes)]
    assert not any(found.turned)


@given(graphs())
def test_every_edge_runs_from_layer_to_layer_between_its_own_ends(graph):
    nodes, links = graph
    found = placed(nodes, links)
    for (source, target), chain, turned in zip(links, found.chains, found.turned, strict=True):
        assert (chain[0], chain[-1]) == ((target, source) if turned else (source, target))
        assert all(found.layer[b] == found.layer[a] + 1 for a, b in pairwise(chain))
        assert all(slot >= nodes for slot in chain[1:-1])


@given(graphs())
def test_slots_of_a_layer_never_overlap(graph):
    nodes, links = graph
    found = placed(nodes, links)
    sizes = [30.0] * nodes + [10.0] * (len(found.layer) - nodes)
    for layer in set(found.layer):
        here = sorted((found.middle[s], sizes[s]) for s in range(len(sizes)) if found.layer[s] == layer)
        assert all(b - a >= (half + size) / 2 - 1e-6 for (a, half), (b, size) in pairwise(here))
    assert min(m - size / 2 for m, size in zip(found.middle, sizes, strict=True)) >= -1e-6


@given(graphs())
def test_the_number_of_bends_is_known_beforehand(graph):
    nodes, links = graph
    assert bends(nodes, links) == len(placed(nodes, links).layer) - nodes


def test_a_cycle_is_broken_at_one_edge():
    found = placed(3, [(0, 1), (1, 2), (2, 0)])
    assert found.layer[:3] == (0, 1, 2)
    assert found.turned == (False, False, True)


def test_a_chain_is_drawn_straight():
    assert len({round(m, 6) for m in placed(4, [(0, 1), (1, 2), (2, 3)]).middle}) == 1


def test_a_skip_connection_passes_beside_the_nodes_it_skips():
    found = placed(3, [(0, 1), (1, 2), (0, 2)])
    bend = found.chains[2][1]
    assert abs(found.middle[bend] - found.middle[1]) >= 20


def test_edges_that_could_run_parallel_do_not_cross():
    found = placed(4, [(0, 3), (1, 2)])
    assert (found.middle[0] < found.middle[1]) == (found.middle[3] < found.middle[2])
