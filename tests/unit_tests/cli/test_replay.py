"""``langchain-r2 replay``: the estimate that it prints, and when it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.calibrate import named
from langchain_r2.run_record import to_json
from tests.unit_tests.cli.console import run
from tests.unit_tests.evals.recording import pool_of, recorded


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of records, answers and feedback, and the scripted pool in place of the embedded one."""
    monkeypatch.setattr(named, "named_router", lambda *_, **__: {"pool": pool_of({})})
    logged, cheap = recorded({"1": "m3", "2": "m3"}), recorded({"1": "m2", "2": "m2"})
    (tmp_path / "runs").write_text(to_json(logged) + "\n")
    (tmp_path / "also").write_text(to_json(cheap) + "\n")
    (tmp_path / "answers.jsonl").write_text(json.dumps({"query": "q", "answer": "even"}) + "\n")
    (tmp_path / "said").write_text(json.dumps({"id": logged["id"], "right": False}) + "\n")
    return tmp_path


def test_what_the_records_cover_is_estimated(files: Path) -> None:
    options = ("--allocator", "fixed:m2", "--also", files / "also", "--answers", files / "answers.jsonl")
    result = run("replay", files / "runs", *options)
    assert result.exit_code == 0, result.output
    assert "covered: 1 of 1 runs (100.0%)" in result.output
    assert "replayed, covered runs: 100.0%" in result.output
    told: Any = json.loads(run("replay", files / "runs", *options, "--json").stdout)
    assert told["cost_ratio"]["value"] < 1


def test_without_a_record_of_the_choice_nothing_is_said(files: Path) -> None:
    result = run("replay", files / "runs", "--allocator", "fixed:m2", "--feedback", files / "said")
    assert result.exit_code == 0, result.output
    assert "covered: 0 of 1 runs" in result.output
    assert "as logged, all runs: 0.0%" in result.output
    assert "nothing can be said" in result.output


def test_without_a_verdict_it_says_what_to_give(files: Path) -> None:
    result = run("replay", files / "runs", "--allocator", "fixed:m2")
    assert result.exit_code == 2
    assert "--answers" in result.output


def test_without_consent_it_refuses(files: Path) -> None:
    (files / "no").write_text(to_json(recorded({}, for_training=False)) + "\n")
    result = run("replay", files / "no", "--allocator", "fixed:m2")
    assert result.exit_code == 2
    assert "--for-training" in result.output
