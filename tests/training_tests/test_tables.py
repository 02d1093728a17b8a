"""Tables of training from raw records."""

import json
from pathlib import Path

import pytest

from langchain_r2.errors import BadValueError
from training.embedded.tables import against, main, read_runs


def write(folder: Path, stage: str, right: list[bool], cost: list[float], *, seeds: int = 2) -> None:
    rows = [
        {"stage": stage, "seed": seed, "split": "test", "id": f"p{i}", "right": hit, "cost_usd": usd}
        | {"router_usd": usd / 4, "calls": 3, "subtasks": 2}
        for seed in range(seeds)
        for i, (hit, usd) in enumerate(zip(right, cost, strict=True))
    ]
    (folder / f"{stage}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_stages_are_compared_problem_by_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "sft", [True, False] * 20, [2e-6] * 40)
    write(tmp_path, "grpo", [True] * 40, [1e-6] * 40)
    runs = read_runs(tmp_path)["test"]
    points, ratio = against(runs["grpo"], runs["sft"])
    assert points.value == pytest.approx(50)
    assert 0 < points.low < 50 < points.high < 100
    assert ratio == pytest.approx((0.5, 0.5, 0.5))
    main([str(tmp_path)])
    printed = capsys.readouterr().out
    assert "| sft | 50.0 [" in printed
    assert "2.0 [2.0, 2.0] | 25% | 3.00 | 2.00 | | |" in printed
    assert "that of the cost is clear of 1" in printed


def test_what_touches_zero_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "sft", [True, False] * 20, [1e-6] * 40)
    write(tmp_path, "grpo", [False, True] * 20, [1e-6] * 40)
    main([str(tmp_path)])
    assert "the interval of the accuracy touches zero, that of the cost touches 1" in capsys.readouterr().out


def test_records_of_other_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="one with records"):
        read_runs(tmp_path)
    write(tmp_path, "sft", [True] * 3, [1e-6] * 3)
    write(tmp_path, "grpo", [True] * 2, [1e-6] * 2)
    with pytest.raises(BadValueError, match="problem by problem"):
        read_runs(tmp_path)
