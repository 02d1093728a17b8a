"""What weights, alpha and thresholds change: by hand on small tables, and on samples and labels made here."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from training.__main__ import main
from training.kept_signals import Step
from training.settings import SamplingSettings, SearchSettings
from training.sweeps import alpha_rows, cuts, label_costs, tau_row, weight_rows, weightings


def plan(text: str, status: str, subtasks: int, tokens: int, coherence: float = 1.0) -> dict[str, Any]:
    terms = {"subtasks": subtasks, "tokens": tokens, "coherence": coherence}
    return {"reply": {"text": text}, "status": status, "terms": terms, "router_usd": 1.0, "evaluator_usd": tokens}


SAMPLED = [
    {
        "id": "p",
        "plans": [plan("short", "wrong", 1, 100), plan("long", "right", 4, 10), plan("none", "unusable", 0, 0)],
    },
    {"id": "q", "plans": [plan("short", "right", 1, 50), plan("long", "right", 2, 20, 0.5)]},
]


def row_of(rows: list[dict[str, Any]], *weights: float) -> dict[str, Any]:
    return next(row for row in rows if (row["w_c"], row["w_p"], row["w_d"]) == weights)


def test_weights_decide_which_plan_is_first() -> None:
    default = SamplingSettings(weight_conciseness=1.0, weight_practicality=0.0, weight_coherence=0.0)
    rows = weight_rows(SAMPLED, {("q", "long"): 7.0, ("p", "long"): 3.0}, default)
    concise, practical = row_of(rows, 1.0, 0.0, 0.0), row_of(rows, 0.0, 1.0, 0.0)
    assert rows[0] is concise
    assert (concise["accuracy"], concise["cost_usd"], concise["same_as_default"]) == (0.5, 76.0, 1.0)
    assert (practical["accuracy"], practical["cost_usd"], practical["same_as_default"]) == (1.0, 16.0, 0.0)
    assert practical["subtasks"] == 3  # a plan that could not be read is not the shortest
    # Among right plans only those of q differ.
    assert (practical["right_same_as_default"], practical["label_usd"], practical["labelled"]) == (0.5, 6.0, 2)
    assert concise["labelled"] == 1


def test_coherence_alone_prefers_the_plan_without_gaps() -> None:
    rows = weight_rows(SAMPLED[1:], {}, SamplingSettings())
    assert row_of(rows, 0.0, 0.0, 1.0)["subtasks"] == 1
    assert row_of(rows, 0.0, 1.0, 0.0)["subtasks"] == 2


def test_the_grid_has_every_share_once_and_the_default_first() -> None:
    made = weightings(SamplingSettings())
    keys = [(w.weight_conciseness, w.weight_practicality, w.weight_coherence) for w in made]
    assert len(set(keys)) == len(keys) == 16
    assert all(sum(key) == pytest.approx(1) for key in keys)
    assert made[0] == SamplingSettings()


STEPS = [
    Step(0.999, (-0.001, -0.001, -0.02), "SLM"),
    Step(0.97, (-0.001, -0.04, -0.04), "SLM"),
    Step(0.5, (-0.9, -0.001, -0.001), "LLM"),
    Step(None, (-0.001, -0.001, -0.001), "LLM"),
]


def test_thresholds_move_subtasks_between_groups() -> None:
    default = SearchSettings(tau_easy=0.99, tau_medium=0.95)
    usual = tau_row({}, STEPS, default, default)
    assert (usual["SLM"], usual["MLM"], usual["LLM"], usual["same_as_default"]) == (0.25, 0.5, 0.25, 1.0)
    assert (usual["as_label"], usual["weaker_than_label"], usual["stronger_than_label"]) == (0.5, 0.25, 0.25)
    lower = tau_row({"tau_easy": 0.96}, STEPS, SearchSettings(tau_easy=0.96, tau_medium=0.95), default)
    assert (lower["tau_easy"], lower["SLM"], lower["same_as_default"], lower["as_label"]) == (0.96, 0.5, 0.75, 0.75)


def test_alpha_is_the_quantile_that_difficulty_is_read_from() -> None:
    rows = {row["alpha"]: row for row in alpha_rows(STEPS, SearchSettings())}
    assert rows[0.0]["SLM"] == 0.25  # the least likely token: only the last one is sure of all
    assert rows[0.5]["SLM"] == 0.75  # the middle token
    assert rows["sequence"]["LLM"] == 0.5
    # By the least likely token, an SLM's task ranks above an LLM's in two of four pairs.
    assert rows[0.0]["auroc_easy"] == 0.5
    assert alpha_rows([], SearchSettings()) == []


def test_thresholds_lie_where_confidences_do() -> None:
    steps = [Step(value, None, "SLM") for value in (0.1, 0.2, 0.3, 0.4, 0.9876543)]
    assert cuts((0.5,), steps) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert cuts((0.5,), [Step(None, None, "SLM")]) == [0.5]


def test_only_verified_labels_have_a_cost() -> None:
    label = {"status": "labelled", "cost_usd": 2.0}
    plans = [
        {"reply": {"text": "a"}, "label": label},
        {"reply": {"text": "b"}, "label": {**label, "status": "discarded"}},
    ]
    assert label_costs([{"id": "p", "plans": plans}]) == {("p", "a"): 2.0}


def test_one_command_from_what_was_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sampled and labelled for real; then no call is made, and none is missing."""
    config = tmp_path / "config.toml"
    config.write_text("[data]\nlimit = 3\n[sampling]\nsamples = 2\n[search]\noptimum_items = 0\n")
    data = tmp_path / "data"
    for command in ("sample", "label"):
        main([command, "--config", str(config), "--out", str(data)])
    cache = data / "executions.sqlite"
    with closing(sqlite3.connect(cache)) as db:
        before = db.execute("SELECT COUNT(*) FROM executions").fetchone()
    main(["sweep", "--labels", str(data), "--config", str(config), "--out", str(tmp_path / "out")])
    with closing(sqlite3.connect(cache)) as db:
        assert db.execute("SELECT COUNT(*) FROM executions").fetchone() == before
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert found["problems"] == 3
    assert found["subtasks_with_probabilities"] == found["subtasks"] > 0
    assert found["weights"][0]["same_as_default"] == 1
    assert {row["alpha"] for row in found["alpha"]} > {0.4, "sequence"}
    assert "| w_c |" in (tmp_path / "out" / "sweep.md").read_text()
    assert (tmp_path / "out" / "sweep.png").stat().st_size > 10_000
    assert "No model was called" in capsys.readouterr().out
    with closing(sqlite3.connect(cache)) as db:
        db.execute("DELETE FROM executions WHERE model = ?", (found_evaluator(data),))
        db.commit()
    with pytest.raises(SystemExit, match="--cache"):
        main(["sweep", "--labels", str(data), "--config", str(config)])


def found_evaluator(data: Path) -> str:
    return str(json.loads((data / "labels.jsonl").read_text().splitlines()[0])["provenance"]["evaluator"])
