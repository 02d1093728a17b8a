"""Where the boxes of a drawn graph stand: in layers along its edges, with few crossings. Pages and pictures share it.

Source: the layered method of Sugiyama, Tagawa and Toda (1981). An edge over several layers gets a narrow place in each,
so that it does not run through boxes.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

_SWEEPS: Final = 6
_MOST_BENDS: Final = 2000
"""More places for long edges than this are not made: they would take longer than they help."""
_BEND: Final = 0.45
"""Size of such a place; a box has 1."""


class Point(NamedTuple):
    """A place: the layer along the graph, and how far across it, in boxes."""

    layer: int
    across: float


class Layout(NamedTuple):
    """Where everything stands."""

    places: dict[str, Point]
    routes: dict[tuple[str, str], list[Point]]
    """What each edge runs through, from its first end to its second."""


def layered(nodes: Sequence[str], edges: Iterable[tuple[str, str]], *, most_across: int = 10**9) -> Layout:
    """Lay a graph out.

    Args:
        nodes: All nodes; those of one layer stand in this order where edges do not tell better.
        edges: From node to node; what runs against the rest is drawn backwards.
        most_across: A layer with more boxes becomes several.
    """
    pairs = list(dict.fromkeys((a, b) for a, b in edges if a != b))
    forward = _without_cycles(nodes, pairs)
    layers = _split(_layers(nodes, forward), nodes, most_across)
    chains = _chains(forward, layers)
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in layers:
        rows[layers[name]].append(name)
    links = [link for chain in chains.values() for link in pairwise(chain)]
    before: dict[str, list[str]] = {name: [] for name in layers}
    after: dict[str, list[str]] = {name: [] for name in layers}
    for a, b in links:
        after[a].append(b)
        before[b].append(a)
    _order(rows, before, after)
    across = _across(rows, before, after, {name: _BEND if "\0" in name else 1.0 for name in layers})
    places = {name: Point(layers[name], across[name]) for name in layers}
    routes = {}
    for a, b in pairs:
        chain = chains.get((a, b)) or list(reversed(chains[b, a]))
        routes[a, b] = [places[name] for name in chain]
    return Layout({name: places[name] for name in nodes}, routes)


def _without_cycles(nodes: Sequence[str], pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The edges, those turned round that close a cycle when the graph is walked from its first node."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in pairs:
        after[a].append(b)
    open_, done = set[str](), set[str]()
    back = set[tuple[str, str]]()
    for start in nodes:
        stack = [(start, iter(after[start]))] if start not in done else []
        open_.update(name for name, _ in stack)
        while stack:
            name, rest = stack[-1]
            found = next((b for b in rest if b not in done), None)
            if found is None:
                open_.discard(name)
                done.add(name)
                stack.pop()
            elif found in open_:
                back.add((name, found))
            else:
                open_.add(found)
                stack.append((found, iter(after[found])))
    return list(dict.fromkeys((b, a) if (a, b) in back else (a, b) for a, b in pairs))


def _layers(nodes: Sequence[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Each node's layer: one after the last of those before it."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    missing = dict.fromkeys(nodes, 0)
    for a, b in edges:
        after[a].append(b)
        missing[b] += 1
    layers = dict.fromkeys(nodes, 0)
    ready = [name for name in nodes if not missing[name]]
    for name in ready:  # grows
        for b in after[name]:
            layers[b] = max(layers[b], layers[name] + 1)
            missing[b] -= 1
            if not missing[b]:
                ready.append(b)
    return layers


def _split(layers: Mapping[str, int], nodes: Sequence[str], most: int) -> dict[str, int]:
    """Layers of at most so many nodes, in the nodes' order."""
    counts: dict[int, int] = {}
    column: dict[str, int] = {}
    for name in nodes:
        number = counts[layers[name]] = counts.get(layers[name], -1) + 1
        column[name] = number // most
    starts, total = {}, 0
    for layer in sorted(counts):
        starts[layer] = total
        total += counts[layer] // most + 1
    return {name: starts[layers[name]] + column[name] for name in nodes}


def _chains(edges: list[tuple[str, str]], layers: dict[str, int]) -> dict[tuple[str, str], list[str]]:
    """What each edge runs through; adds the places of long ones to the layers."""
    bends = sum(layers[b] - layers[a] - 1 for a, b in edges)
    chains = {}
    for a, b in edges:
        between = range(layers[a] + 1, layers[b]) if bends <= _MOST_BENDS else ()
        names = [f"{a}\0{b}\0{layer}" for layer in between]
        layers.update(zip(names, between, strict=True))
        chains[a, b] = [a, *names, b]
    return chains


def _order(rows: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> None:
    """Put each layer into the order of its neighbours' means, up and down the graph."""
    for sweep in range(_SWEEPS):
        near = after if sweep % 2 else before
        index = {name: number / max(1, len(row) - 1) for row in rows for number, name in enumerate(row)}
        for row in reversed(rows) if sweep % 2 else rows:
            keys = {n: _mean([index[m] for m in near[n]], index[n]) for n in row}
            row.sort(key=keys.__getitem__)
            index.update({name: number / max(1, len(row) - 1) for number, name in enumerate(row)})


def _across(
    rows: list[list[str]], before: Mapping[str, list[str]], after: Mapping[str, list[str]], size: Mapping[str, float]
) -> dict[str, float]:
    """Places in each layer: close to the neighbours' mean, none on another."""
    across: dict[str, float] = {}
    for row in rows:
        across.update(_spread(row, dict.fromkeys(row, 0.0), size))
    for sweep in range(_SWEEPS):
        near = after if sweep % 2 else before
        for row in reversed(rows) if sweep % 2 else rows:
            across.update(_spread(row, {n: _mean([across[m] for m in near[n]], across[n]) for n in row}, size))
    least = min((across[n] - size[n] / 2 for row in rows for n in row), default=0.0)
    return {name: place - least for name, place in across.items()}


def _spread(row: list[str], wished: Mapping[str, float], size: Mapping[str, float]) -> dict[str, float]:
    """The wished places in the row's order, moved apart as little as needed: groups that touch move as one."""
    groups: list[tuple[float, float, list[str]]] = []  # start, breadth, names
    for name in row:
        start, breadth, names = wished[name] - size[name] / 2, size[name], [name]
        while groups and groups[-1][0] + groups[-1][1] > start:
            other = groups.pop()
            # the mean of where both would start, weighted by their members
            count = len(other[2])
            start = (other[0] * count + (start - other[1]) * len(names)) / (count + len(names))
            breadth, names = other[1] + breadth, other[2] + names
        groups.append((start, breadth, names))
    places = {}
    for start, _, names in groups:
        at = start
        for name in names:
            places[name] = at + size[name] / 2
            at += size[name]
    return places


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
