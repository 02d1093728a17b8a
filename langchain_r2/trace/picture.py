"""The router graph as boxes and lines with places and meanings; drawn by :mod:`svg`, :mod:`png` and :mod:`mermaid`."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from langchain_core.runnables.graph import Edge, Graph

from langchain_r2.ledger import usd
from langchain_r2.trace.layout import Layout, Point, layered
from langchain_r2.trace.visits import Visit

Meaning = Literal["plain", "upward", "downward", "replan"]
"""What a box or a line stands for; its colour."""

MEANINGS: Final[Mapping[str, Meaning]] = {
    "reallocate_upward": "upward",
    "reallocate_downward": "downward",
    "replan": "replan",
}
_LABELS: Final[Mapping[tuple[str, str], str]] = {
    ("allocate", "approve"): "to be approved",
    ("approve", "aggregate"): "rejected",
    ("__start__", "reallocate_downward"): "record or budget",
    ("execute_subtask", "reallocate_upward"): "not accepted",
    ("execute_subtask", "replan"): "too hard",
    ("execute_subtask", "__end__"): "accepted",
    ("replan", "reallocate_upward"): "not split",
    ("replan", "__end__"): "sub-plan",
    ("reallocate_upward", "__end__"): "not approved",
}
"""What conditional edges of our graphs mean; of another graph's none is known."""

_STEP_X, _STEP_Y, _MARGIN = 196.0, 86.0, 24.0
_BOX_W, _BOX_H, _DOT = 164.0, 40.0, 14.0
_CHAR = 6.0
"""Width of a character of a label."""
_BESIDE = 20.0
"""How far a line keeps from one that runs the other way."""


class Box(NamedTuple):
    """A node: a labelled box, or a dot where a graph begins or ends."""

    id: str
    label: str
    note: str
    """Visits and cost, where a run is laid over the graph."""
    meaning: Meaning
    group: str | None
    """The node that it is inside of."""
    x: float
    """Of its centre."""
    y: float
    width: float
    height: float


class Line(NamedTuple):
    """An edge, as the points that it runs through."""

    source: str
    target: str
    label: str
    meaning: Meaning
    conditional: bool
    points: list[tuple[float, float]]


class Frame(NamedTuple):
    """What goes around the nodes of a subgraph."""

    label: str
    x: float
    y: float
    width: float
    height: float


class Picture(NamedTuple):
    """A whole drawing, in pixels."""

    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]
    frames: list[Frame]


def picture(graph: Graph, visits: Mapping[str, Visit] | None = None) -> Picture:
    """Place a graph.

    Args:
        graph: A compiled graph's ``get_graph(xray=True)``.
        visits: Of a run to lay over it.
    """
    places = layered(list(graph.nodes), [(edge.source, edge.target) for edge in graph.edges])
    boxes = {id_: _box(id_, place, visits) for id_, place in places.places.items()}
    lines = _lines(graph, boxes, places)
    groups = dict.fromkeys(box.group for box in boxes.values() if box.group)
    frames = [_frame(group, [box for box in boxes.values() if box.group == group], lines) for group in groups]
    # A label stands at its line's first bend, which may be the outermost thing there is.
    texts = [line.points[1][0] + len(line.label) * _CHAR / 2 for line in lines]
    rights = [box.x + box.width / 2 for box in boxes.values()] + [f.x + f.width for f in frames]
    width = max([*rights, *texts], default=0.0)
    height = max((box.y + box.height / 2 for box in boxes.values()), default=0.0)
    return Picture(width + _MARGIN, height + _MARGIN, list(boxes.values()), lines, frames)


def _box(id_: str, place: Point, visits: Mapping[str, Visit] | None) -> Box:
    group, _, name = id_.rpartition(":")
    dot = name in {"__start__", "__end__"}
    note = ""
    if visits is not None and (visit := visits.get(name)):
        note = f"{visit.times}x" + (f", {usd(visit.cost_usd)} USD" if visit.times and visit.cost_usd != 0 else "")
    return Box(
        id=id_,
        label="" if dot else name,
        note=note,
        meaning=MEANINGS.get(name, "plain"),
        group=group or None,
        x=_x(place),
        y=_y(place),
        width=_DOT if dot else _BOX_W,
        height=_DOT if dot else _BOX_H,
    )


def _lines(graph: Graph, boxes: Mapping[str, Box], layout: Layout) -> list[Line]:
    """The edges, each with ends of its own at the boxes."""
    middles: list[list[tuple[float, float]]] = []
    for edge in graph.edges:
        route = layout.routes.get((edge.source, edge.target), [])
        both = (edge.target, edge.source) in layout.routes  # there and back again: side by side
        shift = 0.0 if not both else _BESIDE if _back(edge, boxes) else -_BESIDE
        middles.append([(_x(point) + shift, _y(point)) for point in route[1:-1]])
    ports = _ports(graph.edges, boxes, middles)
    lines = []
    for number, (edge, middle) in enumerate(zip(graph.edges, middles, strict=True)):
        names = (edge.source.rpartition(":")[2], edge.target.rpartition(":")[2])
        points = [ports[number, 0], *middle, ports[number, 1]]
        label = _LABELS.get(names, "") if edge.conditional else ""
        meaning = MEANINGS.get(names[1]) or MEANINGS.get(names[0]) or "plain"
        lines.append(Line(edge.source, edge.target, label, meaning, edge.conditional, points))
    return lines


def _ports(
    edges: Sequence[Edge], boxes: Mapping[str, Box], middles: Sequence[list[tuple[float, float]]]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Where each edge's two ends meet their boxes: side by side, in the order in which the lines arrive."""
    meet: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
    for number, (edge, middle) in enumerate(zip(edges, middles, strict=True)):
        side, source, target = -1 if _back(edge, boxes) else 1, boxes[edge.source], boxes[edge.target]
        lean = _BESIDE if side < 0 else 0.0
        first, last = (middle[0][0], middle[-1][0]) if middle else (target.x + lean, source.x + lean)
        meet.setdefault((edge.source, side), []).append((first, number, 0))
        meet.setdefault((edge.target, -side), []).append((last, number, 1))
    ports = {}
    for (id_, side), ends in meet.items():
        box = boxes[id_]
        step = min(32.0, 0.6 * box.width / len(ends))
        for place, (_, number, end) in enumerate(sorted(ends)):
            ports[number, end] = (box.x + (place - (len(ends) - 1) / 2) * step, box.y + side * box.height / 2)
    return ports


def _back(edge: Edge, boxes: Mapping[str, Box]) -> bool:
    return boxes[edge.target].y < boxes[edge.source].y


def _x(place: Point) -> float:
    return _MARGIN + place.across * _STEP_X


def _y(place: Point) -> float:
    return _MARGIN + _DOT / 2 + place.layer * _STEP_Y


def _frame(label: str, boxes: list[Box], lines: list[Line]) -> Frame:
    """What goes around some boxes and the lines between them."""
    ids = {box.id for box in boxes}
    inside = [line for line in lines if {line.source, line.target} <= ids]
    bends = [x for line in inside for x, _ in line.points]
    bends += [line.points[1][0] + len(line.label) * _CHAR / 2 - _MARGIN / 2 for line in inside]
    left = min([box.x - max(box.width, _BOX_W * 0.7) / 2 for box in boxes] + bends) - 18
    top = min(box.y - box.height / 2 for box in boxes) - 18
    right = max([box.x + box.width / 2 for box in boxes] + bends) + 18
    bottom = max(box.y + box.height / 2 for box in boxes) + 16
    return Frame(label, left, top, right - left, bottom - top)
