"""Where boxes stand: forward in layers, apart from each other."""

import itertools
import random

import pytest

from langchain_r2.trace.layout import layered


def random_graph(seed: int) -> tuple[list[str], list[tuple[str, str]]]:
    rng = random.Random(seed)
    nodes = [str(i) for i in range(rng.randint(1, 40))]
    edges = [(str(rng.randrange(i)), str(i)) for i in range(1, len(nodes)) for _ in range(rng.randint(0, 3))]
    return nodes, edges


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [3, 1000])
def test_edges_go_forward_and_no_box_stands_on_another(seed: int, most: int) -> None:
    nodes, edges = random_graph(seed)
    layout = layered(nodes, edges, most_across=most)
    assert list(layout.places) == nodes
    assert all(layout.places[a].layer < layout.places[b].layer for a, b in edges)
    for a, b in itertools.combinations(layout.places.values(), 2):
        assert a.layer != b.layer or abs(a.across - b.across) > 0.999
    for layer in {p.layer for p in layout.places.values()}:
        assert sum(p.layer == layer for p in layout.places.values()) <= most


@pytest.mark.parametrize("seed", range(5))
def test_an_edge_runs_from_end_to_end_through_every_layer_and_through_no_box(seed: int) -> None:
    nodes, edges = random_graph(seed)
    layout = layered(nodes, edges)
    for (a, b), route in layout.routes.items():
        assert (route[0], route[-1]) == (layout.places[a], layout.places[b])
        assert [p.layer for p in route] == list(range(route[0].layer, route[-1].layer + 1))
        for point in route[1:-1]:
            beside = [p.across for p in layout.places.values() if p.layer == point.layer]
            assert all(abs(point.across - place) > 0.64 for place in beside)


def test_what_closes_a_cycle_is_drawn_backwards() -> None:
    layout = layered("abc", [("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")])
    assert [layout.places[name].layer for name in "abc"] == [0, 1, 2]
    assert [point.layer for point in layout.routes["c", "a"]] == [2, 1, 0]
    assert ("b", "b") not in layout.routes


def test_crossings_are_avoided() -> None:
    layout = layered("abcdef", [("a", "f"), ("b", "e"), ("c", "d")])
    above = sorted("abc", key=lambda name: layout.places[name].across)
    below = sorted("def", key=lambda name: layout.places[name].across)
    assert ["def"["cba".index(name)] for name in above] == below


def test_nothing_to_lay_out() -> None:
    assert layered([], []).places == {}
