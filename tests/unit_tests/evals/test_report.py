"""The report's numbers from records written by hand, and the page that shows them."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from langchain_r2.errors import BadValueError
from langchain_r2.eval_page import page, write_page, write_pages
from langchain_r2.evals.frontier import aiq, mix_at, upper_hull
from langchain_r2.evals.metrics import Series, above_mix
from langchain_r2.evals.report import render, report
from langchain_r2.evals.routing_metrics import curve, pgr
from langchain_r2.evals.several import evaluations_in, overview
from langchain_r2.evals.sheets import Sheet

HOSTILE = '<script>alert(1)</script> & "x" | y'


def row(method: str, number: int, score: float | None, usd: float, **more: Any) -> dict[str, Any]:
    calls = more.pop("calls", [("m2", "executor", usd)])
    attempts = [
        {
            "subtask_id": None, "role": role, "model": model, "direction": more.get("direction", "initial"),
            "input_tokens": 10, "output_tokens": 5, "cost_usd": cost, "wall_s": 0.5, "error_type": None,
        }
        for model, role, cost in calls
    ]  # fmt: skip
    grade: dict[str, Any] = {"status": "graded", "score": score, "reason": "", "measures": {}, "cost_usd": 0.0}
    return {
        "id": f"i{number}", "method": method, "query": "q", "gold": "1", "answer": "1", "grade": grade, "status": "ok",
        "error": None, "plan": [], "attempts": attempts, "cost_usd": usd, "cost_by_role": {}, "cost_by_model": {},
        "wall_s": 9.0, "path_s": 0.5 * len(attempts), "facts": more.get("facts", {}),
    }  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Ten items: m1 right on 4 at 1, m2 right on 9 at 10; r2 right on 9, another nine, at 2."""
    made = []
    for i in range(10):
        made.append(row("cot m1", i, float(i < 4), 1e-6))
        made.append(row("cot m2", i, float(i != 9), 10e-6))
        made.append(row("direct m2", i, float(i < 5), 4e-6))
        calls = [("m1", "decomposer", 0.5e-6), ("m1", "executor", 1.5e-6)]
        made.append(row("r2", i, float(i != 0), 2e-6, calls=calls))
        facts = {"small": "m1", "large": "m2", "score": 1.0 if i < 4 else 0.0}
        made.append(row("query router", i, float(i != 9), (1e-6 if i < 4 else 10e-6), facts=facts))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    facts = {
        "benchmark": HOSTILE, "split": "test", "limit": 10, "seed": 0, "items": 10, "strongest": "m2",
        "prices": {"m1": {}, "m2": {}}, "methods": ["r2", "cot m1", "cot m2", "direct m2", "query router"],
        "ids": [f"i{n}" for n in range(10)], "settings": {"query router": {"threshold": 0.5}},
        "not_applicable": {"tot": "no votes"}, "missing": {"oracle": 3},
    }  # fmt: skip
    (tmp_path / "pool.json").write_text(json.dumps(facts))
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows()))
    return tmp_path


def sheet(folder: Path, title: str) -> dict[str, dict[str, str]]:
    [found] = [s for s in report(folder)[1] if s.title.startswith(title)]
    return {line[0]: dict(zip(found.columns, line, strict=True)) for line in found.rows}


def test_ratios_are_to_runs_really_made(folder: Path) -> None:
    effort = sheet(folder, "Effort")
    assert effort["r2"]["cost / CoT m2"].startswith("0.2 ")
    assert effort["r2"]["cost / direct m2"].startswith("0.5 ")
    assert effort["r2"]["C_time, s"] == "1.000"
    assert effort["r2"]["time / CoT m2"] == "2.00"
    assert effort["r2"]["USD per million right"] == f"{20 / 9:.1f}"
    assert (effort["r2"]["PGR"], effort["cot m1"]["PGR"]) == ("1.000", "0.000")
    assert effort["r2"]["tokens"] == "30"


def test_item_by_item_against_the_strongest(folder: Path) -> None:
    cells = sheet(folder, "Against cot m2")["r2"]
    assert [cells[c] for c in ("both right", "only the method", "only cot m2", "neither")] == ["8", "1", "1", "0"]
    assert cells["difference, points"].startswith("+0.0 ")


def test_a_mixture_of_equal_cost(folder: Path) -> None:
    cells = sheet(folder, "Against mixtures")["r2"]
    # At 2 of 1..10: eight ninths of m1 and a ninth of m2 ... but direct m2 at 4 is below that line.
    assert cells["mixture of equal cost"] == "89% cot m1, 11% cot m2"
    assert cells["its accuracy"] == f"{0.4 + 0.5 / 9:.1%}"
    assert cells["method minus mixture"].startswith("+44.4 ")


def test_scores_of_routers(folder: Path) -> None:
    cells = sheet(folder, "Routers by a score")["query router"]
    assert (cells["small"], cells["large"]) == ("m1", "m2")
    assert float(cells["CPT(80)"]) == pytest.approx(0.4)
    assert float(cells["APGR"]) > 0.5


def test_use_by_model_and_role(folder: Path) -> None:
    found = next(s for s in report(folder)[1] if s.title.startswith("Calls and tokens"))
    assert ("r2", "m1", "decomposer", "1.00", "10.0", "5.0", "25%") in found.rows
    assert not any(line[0].startswith("cot") for line in found.rows)


def test_what_is_left_out_is_said(folder: Path) -> None:
    _, sheets = report(folder)
    assert {"tot: not applicable: no votes", "oracle: 3 items missing"} <= set(sheets[0].notes)
    assert ("tot", "not applicable: no votes") in next(s for s in sheets if s.title == "Settings of methods").rows


def test_markdown_has_all_tables_and_escapes_bars(folder: Path) -> None:
    render(folder, Console(file=io.StringIO()))
    text = (folder / "table.md").read_text()
    assert all(f"## {s.title}" in text for s in report(folder)[1][1:])
    assert "\\|" not in text.splitlines()[0]


def test_the_page_is_alone_and_escaped(folder: Path) -> None:
    text = write_page(folder).read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert "default-src 'none'" in text
    assert "http://" not in text.replace("http-equiv", "")
    assert 'src="data:image/png;base64,' in text
    assert '<tr class="own"><td>r2</td>' in text


def test_a_page_says_why_there_is_no_plot() -> None:
    text = page("t", [Sheet("a", ("x",), [(HOSTILE,)], (HOSTILE,))], "matplotlib is missing")
    assert "matplotlib is missing" in text
    assert text.count("&lt;script&gt;") == 2
    assert "<script" not in text
    assert "No method has a record yet" in page("t", [], "")


def test_several_evaluations_have_one_report_with_an_overview(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "all"
    for name in ("one", "two"):
        shutil.copytree(folder, root / name, ignore=shutil.ignore_patterns("all"))
    text = write_pages(root).read_text()
    assert text.count("<h2>Methods</h2>") == 2
    assert "<script" not in text
    first = overview(evaluations_in(root))
    assert [line[0] for line in first.rows] == [f"{HOSTILE}, test"] * 2
    cells = dict(zip(first.columns, first.rows[0], strict=True))
    assert cells["strongest at once"].startswith("50.0%")
    assert cells["strongest step by step"].startswith("90.0%")
    assert cells["cheapest single model as accurate"] == "cot m2"
    assert cells["r2's cost / its"].startswith("0.20")
    assert (root / "table.md").read_text().count("## Effort") == 2


def test_a_folder_without_an_evaluation(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="langchain-r2 eval"):
        write_page(tmp_path)
    with pytest.raises(BadValueError, match="langchain-r2 eval"):
        write_pages(tmp_path)


# ------------------------------------------------------------------------------------------------------------ formulas

POINTS = [(1.0, 0.2), (2.0, 0.1), (3.0, 0.6), (5.0, 0.6), (9.0, 0.9), (6.0, 0.7)]


def test_the_hull_and_mixtures() -> None:
    assert upper_hull(POINTS) == [0, 2, 4]
    assert mix_at(POINTS, 0.5) is None
    mix = mix_at(POINTS, 6.0)
    assert mix is not None
    assert (mix.first, mix.second, mix.share) == (2, 4, 0.5)
    beyond = mix_at(POINTS, 99.0)
    assert beyond is not None
    assert (beyond.first, beyond.second) == (4, 4)


def test_aiq_is_the_mean_height_of_the_hull() -> None:
    assert aiq([(1.0, 0.5)], 1.0, 3.0) == pytest.approx(0.5)
    assert aiq([(1.0, 0.0), (3.0, 1.0)], 1.0, 3.0) == pytest.approx(0.5)
    assert aiq([(2.0, 1.0)], 1.0, 3.0) == pytest.approx(0.5)  # nothing is so cheap as the first half
    assert aiq([(1.0, 0.0), (3.0, 1.0)], 1.0, 5.0) == pytest.approx(0.75)
    assert aiq([], 1.0, 3.0) is None


def test_gap_recovered() -> None:
    assert pgr(0.75, 0.5, 1.0) == 0.5
    assert pgr(0.75, 1.0, 1.0) is None


def test_a_perfect_score_needs_as_many_strong_calls_as_the_weak_one_is_wrong() -> None:
    small, large = [1.0] * 6 + [0.0] * 4, [1.0] * 10
    perfect = curve(small, small, large)
    assert perfect is not None
    assert (perfect.cpt50, perfect.cpt80) == (0.2, 0.4)
    assert perfect.apgr == pytest.approx((0 + 0.25 + 0.5 + 0.75 + 7 - 0.5) / 10)
    reverse = curve([1 - s for s in small], small, large)
    assert reverse is not None
    assert reverse.apgr < 0.5 < perfect.apgr
    assert curve(small, large, large) is None


def test_above_a_mixture_by_chance() -> None:
    cheap, dear = Series([0.0] * 50, [1.0] * 50), Series([1.0] * 50, [3.0] * 50)
    own = Series([1.0, 0.0] * 25, [2.0] * 50)
    level = above_mix(own, cheap, dear)
    assert level.value == pytest.approx(0.0)
    assert level.low < 0 < level.high
    better = above_mix(Series([1.0] * 50, [2.0] * 50), cheap, dear)
    assert better.value == pytest.approx(0.5)
    assert better.low > 0
