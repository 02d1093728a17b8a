"""Plots: what is in them, that grey tells their series apart, that they are written twice and the same each time."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_rgb
from typer.testing import CliRunner

from langchain_r2 import cli
from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.plots import draw_curves, draw_frontier, mixing_line, points_of, read_metrics, save
from langchain_r2.plots.curves import steps_of
from langchain_r2.plots.style import LOOKS, RAMP


def graded(method: str, cost_usd: float | None, right: int, of: int = 10) -> list[dict[str, Any]]:
    return [{"method": method, "cost_usd": cost_usd, "grade": {"score": float(i < right)}} for i in range(of)]


RECORDS = [
    *graded("cot a", 1e-6, 1), *graded("cot b", 2e-6, 2), *graded("cot c", 3e-6, 7), *graded("cot d", 9e-6, 9),
    *graded("cot e", 10e-6, 8), *graded("r2", 4e-6, 9),
]  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"step": step, "stage": stage, "reward": 0.1 * step, "kl": None, "model_shares": {"s": 0.25, "l": 0.75}}
    for stage in ("sft", "grpo")
    for step in (1, 2, 3)
]


def test_the_mixing_line_is_the_upper_hull() -> None:
    points = [p for p in points_of(RECORDS) if p.family != "r2"]
    assert [p.method for p in mixing_line(points)] == ["cot a", "cot c", "cot d"]
    assert mixing_line([]) == []


def test_points_are_of_what_is_graded_and_has_a_known_cost() -> None:
    rows = [*graded("x", None, 3), *graded("y", 1e-6, 5), {"method": "y", "cost_usd": 3e-6, "grade": {"score": None}}]
    (point,) = points_of(rows)
    assert point.method == "y"
    assert point.accuracy.value == 0.5
    assert point.cost_usd == pytest.approx((10e-6 + 3e-6) / 11)  # what could not be graded was paid all the same


def test_the_router_is_drawn_apart_and_mixing_is_a_curve_on_a_logarithmic_axis() -> None:
    (axes,) = draw_frontier(points_of(RECORDS)).axes
    assert axes.get_xscale() == "log"
    _, names = axes.get_legend_handles_labels()
    assert set(names) == {"mixtures of single models", "cot", "r2"}
    line = next(line for line in axes.lines if line.get_label() == "mixtures of single models")
    xy: Any = line.get_xydata()
    x, y = min(xy, key=lambda point: abs(point[0] - 2.0))
    assert y == pytest.approx(10 + (x - 1) / 2 * 60)
    assert "r2" in {text.get_text() for text in axes.texts}


def test_the_oracle_is_in_no_mixture_and_baselines_are_named() -> None:
    cheap = [*RECORDS, *graded("oracle", 1e-7, 10), *graded("best fixed", 20e-6, 10)]
    (axes,) = draw_frontier(points_of(cheap)).axes
    line: Any = next(line for line in axes.lines if line.get_label() == "mixtures of single models").get_xydata()
    assert (min(line[:, 0]), max(line[:, 0])) == pytest.approx((1.0, 9.0))
    assert {"baseline", "oracle"} <= set(axes.get_legend_handles_labels()[1])
    assert {"best fixed", "oracle"} <= {text.get_text() for text in axes.texts}
    (axes,) = draw_frontier(points_of(graded("x", 1e-6, 1) + graded("y", 2e-6, 2))).axes
    assert "mixtures of methods" in axes.get_legend_handles_labels()[1]


def test_free_methods_are_not_on_a_logarithmic_axis() -> None:
    (axes,) = draw_frontier(points_of(graded("r2", 0.0, 3))).axes
    assert axes.get_xscale() == "linear"


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(BadValueError, match="graded records"):
        draw_frontier([])
    with pytest.raises(BadValueError, match="reward"):
        draw_curves([{"step": 1}])


def test_curves_have_a_panel_per_metric_that_was_measured() -> None:
    figure = draw_curves(ROWS)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.axison] == ["mean reward", "share of each model"]
    assert "grpo" in figure.axes[0].texts[0].get_text()
    xy: Any = figure.axes[0].lines[0].get_xydata()
    assert [x for x, _ in xy] == [1, 2, 3, 4, 5, 6]


def test_steps_go_on_where_a_stage_counts_anew_and_stay_where_it_does_not() -> None:
    assert steps_of([{"step": 5, "stage": "a"}, {"step": 1, "stage": "b"}, {"step": 2, "stage": "b"}]) == [5, 6, 7]
    assert steps_of([{"step": 5, "stage": "a"}, {"step": 6, "stage": "b"}]) == [5, 6]


def test_a_file_that_is_still_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text(json.dumps(ROWS[0]) + "\n\n" + json.dumps(ROWS[1]) + '\n{"step": 3, "rew')
    assert read_metrics(file) == ROWS[:2]
    file.write_text('{"reward": 1}\n')
    with pytest.raises(BadValueError, match="line 1"):
        read_metrics(file)
    with pytest.raises(BadValueError, match="file of metrics"):
        read_metrics(tmp_path / "none.jsonl")


def lightness(color: str) -> float:
    red, green, blue = to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_grey_tells_series_apart() -> None:
    shades = [lightness(color) for color in RAMP]
    assert all(light - dark > 0.04 for light, dark in pairwise(shades))
    assert len({look.marker for look in LOOKS}) == len(LOOKS)
    assert all(abs(lightness(a.color) - lightness(b.color)) > 0.1 for a, b in pairwise(LOOKS))


def test_both_forms_are_written_the_same_each_time(tmp_path: Path) -> None:
    made = [save(draw_curves(ROWS), tmp_path / name) for name in ("a.svg", "b")]
    assert [path.name for path in made[0]] == ["a.png", "a.svg"]
    for first, second in zip(*made, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert made[0][0].read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(BadValueError, match="ends in"):
        save(draw_curves(ROWS), tmp_path / "a.pdf")
    with pytest.raises(BadValueError, match="can be written"):
        save(draw_curves(ROWS), tmp_path / "none" / "a.png")


def test_without_matplotlib_the_command_to_install_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"langchain-r2\[draw\]"):
        draw_curves(ROWS)


def test_the_command_line(tmp_path: Path) -> None:
    metrics = tmp_path / "m.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    result = CliRunner().invoke(cli.app, ["plot", "curves", str(metrics), "--out", str(tmp_path / "c.png")])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.glob("c.*")) == ["c.png", "c.svg"]
    wrong = CliRunner().invoke(cli.app, ["plot", "curves", str(tmp_path / "none")])
    assert wrong.exit_code == 2
