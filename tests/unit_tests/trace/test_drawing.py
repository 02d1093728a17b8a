"""The drawn graph: what is in it, which colour, what a run adds."""

import re
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.trace import draw_graph
from langchain_r2.trace.picture import picture
from langchain_r2.trace.visits import visits_of
from langchain_r2.types import RunRecord

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - drawn here


@pytest.fixture
def graph(make: Callable[..., Any]) -> Any:
    return make("answer: 1", "answer: 2").graph.get_graph(xray=True)


def test_the_two_directions_and_the_replan_have_colours_of_their_own(graph: Any) -> None:
    drawn = picture(graph)
    meanings = {box.label: box.meaning for box in drawn.boxes if box.meaning != "plain"}
    assert meanings == {"reallocate_upward": "upward", "reallocate_downward": "downward", "replan": "replan"}
    lines = {(line.source[13:], line.target[13:]): line.meaning for line in drawn.lines if line.meaning != "plain"}
    assert lines["execute_subtask", "reallocate_upward"] == lines["reallocate_upward", "execute_subtask"] == "upward"
    assert lines["__start__", "reallocate_downward"] == "downward"
    assert lines["execute_subtask", "replan"] == lines["replan", "__end__"] == "replan"


def test_boxes_keep_apart_inside_the_picture_and_lines_end_at_them(graph: Any) -> None:
    drawn = picture(graph)
    for box in drawn.boxes:
        assert 0 < box.x - box.width / 2 < box.x + box.width / 2 < drawn.width
        assert 0 < box.y - box.height / 2 < box.y + box.height / 2 < drawn.height
        for other in drawn.boxes:
            apart_x = abs(box.x - other.x) >= (box.width + other.width) / 2
            assert other is box or apart_x or abs(box.y - other.y) >= (box.height + other.height) / 2
    boxes = {box.id: box for box in drawn.boxes}
    for line in drawn.lines:
        for (x, y), box in ((line.points[0], boxes[line.source]), (line.points[-1], boxes[line.target])):
            assert abs(x - box.x) <= box.width / 2
            assert abs(abs(y - box.y) - box.height / 2) < 0.01
    ends = [(line.target, line.points[-1]) for line in drawn.lines]
    assert len(ends) == len(set(ends))
    frame = drawn.frames[0]
    assert all((b.group is None) != (frame.y < b.y < frame.y + frame.height) for b in drawn.boxes)


def test_svg_is_whole_and_loads_nothing(graph: Any) -> None:
    text = str(draw_graph(graph, "svg"))
    root = parsed(text)
    labels = [element.text for element in root.iter(f"{SVG}text")]
    assert {"decompose", "allocate", "execute_subtask", "replan", "aggregate", "not accepted"} <= set(labels)
    assert len(list(root.iter(f"{SVG}path"))) == 2 * len(graph.edges)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in text


def test_the_readmes_picture_is_this_drawing(graph: Any) -> None:
    """If not: `langchain-r2 draw --out docs/graph.svg`."""
    assert (Path(__file__).parents[3] / "docs" / "graph.svg").read_text(encoding="utf-8") == draw_graph(graph, "svg")


def test_a_nodes_name_stays_a_text(graph: Any) -> None:
    graph.add_node(None, id='<script>|"x"')
    assert parsed(str(draw_graph(graph, "svg"))).findall(f".//{SVG}script") == []
    assert "<script>" not in str(draw_graph(graph, "mermaid"))


def test_png_is_drawn_here(graph: Any) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    drawn = draw_graph(graph, "png")
    assert isinstance(drawn, bytes)
    pixels = imread(BytesIO(drawn))
    assert pixels.shape[0] > pixels.shape[1] > 300
    red = (pixels[..., 0] > 0.7) & (pixels[..., 1] < 0.3) & (pixels[..., 2] < 0.3)
    green = (pixels[..., 0] < 0.3) & (pixels[..., 1] > 0.4) & (pixels[..., 2] < 0.3)
    assert red.sum() > 200
    assert green.sum() > 200


def test_png_without_the_extra(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"langchain-r2\[draw\]"):
        draw_graph(graph, "png")


def test_an_unknown_form(graph: Any) -> None:
    with pytest.raises(BadValueError, match="mermaid"):
        draw_graph(graph, "gif")  # type: ignore[arg-type]


def test_mermaid_colours_the_lines_of_both_directions(graph: Any) -> None:
    text = str(draw_graph(graph, "mermaid"))
    names = {label: name for name, label in re.findall(r'(n\d+)\["(\w+)', text)}
    lines = [row for row in text.splitlines() if "->" in row]
    for node, colour in (("reallocate_upward", "#c62828"), ("reallocate_downward", "#2e7d32"), ("replan", "#6a1b9a")):
        assert f"style {names[node]} fill:" in text
        numbers = next(row for row in text.splitlines() if "linkStyle" in row and colour in row).split()[1]
        assert all(names[node] in lines[int(number)] for number in numbers.split(","))


def test_visits_and_costs_add_up_to_the_run(moved: RunRecord) -> None:
    visits = visits_of(moved)
    assert {name: visit.times for name, visit in visits.items()} == {
        "decompose": 1,
        "allocate": 1,
        "execute_subtask": 7,  # 1, 2, its two parts, the second one twice, 3, 4
        "reallocate_upward": 1,
        "reallocate_downward": 0,
        "replan": 2,
        "aggregate": 1,
    }
    assert sum(visit.cost_usd or 0.0 for visit in visits.values()) == pytest.approx(moved["cost_usd"])
    assert visits["replan"].cost_usd


@pytest.mark.parametrize("form", ["svg", "mermaid", "ascii"])
def test_a_run_is_laid_over_the_graph(graph: Any, moved: RunRecord, form: Any) -> None:
    if form == "ascii":
        pytest.importorskip("grandalf")
    text = str(draw_graph(graph, form, moved))
    assert "7x" in text
    assert "7x" not in str(draw_graph(graph, form))
