"""What a page shows of a record."""

from typing import Any

import pytest

from langchain_r2.trace.data import run_data
from langchain_r2.types import RunRecord


def by_id(data: dict[str, Any]) -> dict[str, Any]:
    return {node["id"]: node for node in data["nodes"]}


def test_parts_stand_behind_what_they_stand_for_and_before_what_needs_it(moved: RunRecord) -> None:
    nodes = by_id(run_data(moved))
    after = {id_: node["after"] for id_, node in nodes.items()}
    assert after == {"1": [], "2": ["1"], "2.1": ["2"], "2.2": ["2"], "3": [], "4": ["2.2", "3"]}
    assert {id_: node["needs"] for id_, node in nodes.items() if node["needs"]} == {"2": ["1"], "4": ["2", "3"]}


def test_a_subtask_shows_its_final_model_and_all_that_it_cost(moved: RunRecord) -> None:
    nodes = by_id(run_data(moved))
    assert (nodes["2.2"]["model"], nodes["2.2"]["group"], nodes["2.2"]["confidence"]) == (
        "m2",
        "MLM",
        pytest.approx(0.9),
    )
    assert (nodes["2"]["model"], nodes["2"]["group"], nodes["1"]["group"]) == ("m2", "MLM", "SLM")
    for id_, node in nodes.items():
        own = [a["cost_usd"] or 0.0 for a in moved["attempts"] if a["subtask_id"] == id_]
        assert node["cost_usd"] == pytest.approx(sum(own))
        assert len(node["attempts"]) == len(own)


def test_moves_are_in_the_order_of_time_with_reason_and_confidence(moved: RunRecord) -> None:
    moves = run_data(moved)["moves"]
    assert [(m["kind"], m["subtask_id"], m["reason"]) for m in moves] == [
        ("replan", "2", "low_confidence"),
        ("not_replanned", "2.2", "not_split"),
        ("upward", "2.2", "low_confidence"),
    ]
    assert all(m["confidence"] == pytest.approx(0.1) for m in moves)
    assert sorted(m["at_s"] for m in moves) == [m["at_s"] for m in moves]


def test_the_critical_path_is_what_the_end_waited_for(moved: RunRecord) -> None:
    ends = {"1": 1.0, "2": 2.0, "2.1": 2.5, "2.2": 4.0, "3": 3.0, "4": 5.0}
    for row in moved["attempts"]:
        row["started_at"], row["wall_s"] = 100.0 + ends.get(row["subtask_id"] or "", 0.1) - 0.1, 0.1
    moved["started_at"] = 100.0
    data = run_data(moved)
    assert [n["id"] for n in data["nodes"] if n["critical"]] == ["1", "2", "2.2", "4"]
    assert max(a["end_s"] for a in data["attempts"]) == pytest.approx(5.0)


def test_the_bill_adds_up(moved: RunRecord) -> None:
    data = run_data(moved)["bill"]
    for parts in (data["by_role"], data["by_model"]):
        assert sum(part["cost_usd"] for part in parts) == pytest.approx(moved["cost_usd"])
        assert sum(part["calls"] for part in parts) == len(moved["attempts"]) == data["calls"]
    assert 0 < data["router_share"] < 1


def test_an_older_record_shows_what_its_attempts_tell(moved: RunRecord) -> None:
    old: Any = {key: moved[key] for key in RunRecord.__required_keys__}  # type: ignore[literal-required]
    new = {"started_at", "verdict", "prompt"}
    old["attempts"] = [{k: v for k, v in row.items() if k not in new} for row in moved["attempts"]]
    data = run_data(old)
    nodes = by_id(data)
    assert set(nodes) == {"1", "2", "2.1", "2.2", "3", "4"}
    assert (nodes["2.2"]["model"], nodes["2.2"]["group"], nodes["2.2"]["answer"]) == ("m2", "MLM", "y")
    assert [(m["kind"], m["model"], m["to"]) for m in data["moves"]] == [("upward", "m1", "m2")]
    assert not any(node["critical"] for node in nodes.values())
    assert data["started"] is None
