"""The page about a run of training: what it took, when that is paid, learning curves, the warning; escaped."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from training.__main__ import main
from training.report import Saving, read_report, stage_figures, warnings_of


def lines(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def stage(name: str, **facts: Any) -> dict[str, Any]:
    row = {"stage": name, "ended": "done", "seconds": 2.0, "cpu_s": 1.0, "calls": 10, "sent": 4}
    return row | {"input_tokens": 100, "output_tokens": 20, "spent_usd": 0.5} | facts


def metric(step: int, stage: str = "r1-decomposer", **more: Any) -> dict[str, Any]:
    row = {"step": step, "stage": stage, "reward": step / 100, "accuracy": 0.5, "cost_usd": 1e-4, "kl": 0.01}
    return row | {"zero_variance_share": 0.25, "entropy": 0.3, "model_shares": {"a": 0.75, "b": 0.25}} | more


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as ``alternate`` leaves it."""
    folder = tmp_path / "run <b>"
    lines(
        folder / "ledger.jsonl",
        [stage("references", reference_usd=0.02), stage("r1-decomposer"), stage("r1-decomposer")],
    )
    for name, cost in {"start-data": 0.01, "r1-decomposer-data": 0.004}.items():
        lines(folder / "stages" / f"{name}.json", [{"name": name, "cost_usd": cost, "accuracy": 0.5}])
    warned: dict[str, Any] = {"model_shares": {"<i>a": 1.0}, "warning": "r1-decomposer: <i>a got 100% of the subtasks"}
    lines(folder / "metrics.jsonl", [metric(n, **(warned if n > 25 else {})) for n in range(1, 31)])
    return folder


def test_what_was_spent_stands_against_what_a_query_saves(run: Path) -> None:
    report = read_report(run)
    assert report.spent["spent_usd"] == pytest.approx(1.5)
    assert report.spent["processes"] == 3
    assert report.ledger["r1-decomposer"]["seconds"] == 4
    before, reference = report.savings
    assert (before.before_usd, before.after_usd) == (0.01, 0.004)
    assert before.queries == pytest.approx(1.5 / 0.006)
    assert reference.queries == pytest.approx(1.5 / 0.016)


def test_what_saves_nothing_never_pays_and_an_unknown_price_is_no_zero(run: Path) -> None:
    assert Saving("it", 0.01, 0.02, 1.0).queries is None
    with (run / "ledger.jsonl").open("a") as file:
        file.write(json.dumps(stage("sample", spent_usd=None)) + "\n")
    report = read_report(run)
    assert report.spent["spent_usd"] is None
    assert report.savings[0].queries is None


def test_runs_in_folders_and_records_of_tests_count(run: Path) -> None:
    whole = run.parent
    rows = [
        {"stage": stage, "seed": 0, "id": str(n), "cost_usd": usd}
        for stage, usd in (("sft", 3.0), ("grpo1", 1.0))
        for n in (1, 2)
    ]
    lines(whole / "records" / "x.jsonl", rows)
    report = read_report(whole)
    assert f"{run.name}/r1-decomposer" in report.ledger
    assert list(report.curves) == [run.name]
    assert report.savings[0] == Saving("grpo1 against sft, on the tests", 3.0, 1.0, report.spent["spent_usd"])
    assert report.savings[1].against.startswith(run.name)


def test_figures_are_of_the_first_and_of_the_last_steps(run: Path) -> None:
    (row,) = stage_figures(read_report(run).curves["run"])
    assert row["reward"] == (pytest.approx(0.055), pytest.approx(0.255))
    assert (row["steps"], row["model"], row["share"]) == (30, "<i>a", 0.5)
    (said,) = warnings_of(read_report(run).curves)
    assert "over 90% on 5 steps, first on step 26" in said


def test_the_page_needs_nothing_else_and_shows_names_as_text(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages" / "report.html"
    main(["report", str(run), "--out", str(out)])
    text = out.read_text()
    assert "run &lt;b&gt;" in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert "&lt;i&gt;a got 100%" in text
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert len(sources) == 2
    assert "<script" not in text
    assert "color-scheme:light dark" in text
    assert ">250<" in text  # 1.5 USD spent, 0.006 saved per query
    for name in ("report-ledger.png", "report-curves-run.png"):
        assert (out.parent / name).read_bytes().startswith(b"\x89PNG")


def test_the_policy_allows_the_style_that_the_page_has(run: Path, tmp_path: Path) -> None:
    import base64
    import hashlib

    main(["report", str(run), "--out", str(tmp_path / "r.html")])
    text = (tmp_path / "r.html").read_text()
    style = text.split("<style>")[1].split("</style>")[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in text


def test_a_folder_without_a_ledger_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match=r"ledger\.jsonl"):
        read_report(tmp_path)
    lines(tmp_path / "ledger.jsonl", [stage("sample")])
    with pytest.raises(SystemExit, match=r"\.html"):
        main(["report", str(tmp_path), "--out", str(tmp_path / "report")])
