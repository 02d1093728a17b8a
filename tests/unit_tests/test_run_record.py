"""Run records: made from a run, written a line at a time, read after a crash."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from langchain_r2 import ConfigurationError, R2Context, create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.run_record import (
    answered,
    append_record,
    failed_record,
    open_records,
    read_records,
    run_record,
    to_json,
)
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.types import RunRecord


def record(id_: str = "1", **changes: object) -> RunRecord:
    made = failed_record("why?", ValueError("no"), id=id_, wall_s=0.5)
    return {**made, "started_at": 0.0, **changes}  # type: ignore[typeddict-item]


def write(path: Path, *records: RunRecord) -> bytes:
    with open_records(path) as file:
        for row in records:
            append_record(file, row)
    return path.read_bytes()


def test_a_record_of_a_run_has_its_plan_and_its_bill() -> None:
    pool = scripted_pool(
        lambda p: "1: 33 * 50\n2: #1 + 7" if p.startswith("plan") else "answer: 9", prompt_style="bare"
    )
    decomposer = PromptedDecomposer(pool["m1"])
    graph = create_r2_graph(pool, decomposer=decomposer, allocator=FixedAllocator(pool, "m1"))
    state = graph.invoke({"query": "33 boxes"})
    made: Any = run_record(state, id="q", wall_s=1.5)
    assert (made["id"], made["query"], made["answer"], made["status"], made["wall_s"]) == (
        "q",
        "33 boxes",
        "9",
        "ok",
        1.5,
    )
    assert [s["text"] for s in made["plan"]] == ["33 * 50", "#1 + 7"]
    assert made["cost_usd"] == bill(made["attempts"]).cost_usd
    assert made["cost_usd"] == pytest.approx(sum(c for c in made["cost_by_role"].values() if c is not None))
    assert set(made["cost_by_role"]) == {"decomposer", "executor"}
    assert set(made["cost_by_model"]) == {"m1"}
    assert answered(made)
    assert json.loads(to_json(made)) == made
    assert made.keys() == RunRecord.__annotations__.keys() - {"approval", "rerun_of", "for_training"}
    assert run_record(state, id="q", wall_s=1.5, for_training=True).get("for_training") is True
    assert [(r["answer"], r["verdict"], r["attempts"]) for r in made["results"]] == [
        ("9", {"accepted": True, "reason": "confident"}, []),
        ("9", {"accepted": True, "reason": "confident"}, []),
    ]
    assert made["allocation"]["reasons"] == {"1": "allocated", "2": "allocated"}
    assert all(a["answer"] for a in made["attempts"])
    assert len(state["results"][0]["attempts"]) == 1  # the run's own state is as it was


def test_a_record_tells_when_each_attempt_was_sent(make: Any, says: Any) -> None:
    model = ScriptedChatModel(script=["answer: 1", "answer: 2"], delay_s=0.02)
    graph, before = make(model, plan="1: a\n2: then #1").graph, time.time()
    state = graph.invoke({"query": "q"})
    made: Any = run_record(state, id="q", wall_s=time.time() - before)
    first, second = (a for a in made["attempts"] if a["role"] == "executor")
    assert made["started_at"] == pytest.approx(before, abs=0.01)
    assert made["started_at"] <= first["started_at"] + 0.01
    assert first["started_at"] + first["wall_s"] <= second["started_at"] + 0.001
    assert (first["verdict"], second["verdict"]) == ({"accepted": True, "reason": "confident"},) * 2


def test_a_record_tells_what_was_moved_where_and_why(make: Any) -> None:
    """A step up, a replan two levels deep, and a sub-plan that was asked for and left."""

    def sure_of_parts(prompt: str) -> Any:
        hard = "hard" in prompt.rsplit("Your subtask: ", 1)[-1]
        return scripted_message("answer: x", prompt, 0.1 if hard else 1.0)

    replans = {"hard too": "1: #query", "hard": "1: part a\n2: hard too"}
    plan = {"plan": "1: hard", "replans": replans, "prices": (1.0, 1000.0)}
    made = make(sure_of_parts, lambda p: scripted_message("answer: y", p, 0.9), **plan)
    row: Any = run_record(made.graph.invoke({"query": "q"}, context=R2Context(max_replans=2)), id="q", wall_s=1.0)
    whole = row["results"][0]
    part = whole["part_results"][1]
    assert [(m["kind"], m["subtask_id"], m["reason"], round(m["confidence"] or 0, 3)) for m in whole["moves"]] == [
        ("replan", "1", "low_confidence", 0.1)
    ]
    assert [(m["kind"], m["subtask_id"], m["model"], m["to"], m["reason"]) for m in part["moves"]] == [
        ("not_replanned", "1.2", "m1", None, "not_split"),
        ("upward", "1.2", "m1", "m2", "low_confidence"),
    ]
    assert (part["answer"], part["model"], part["attempts"]) == ("y", "m2", [])


def test_a_failed_run_has_no_answer_and_an_unknown_cost() -> None:
    made = record()
    assert made["status"] == "error"
    assert made["error"] == "ValueError: no"
    assert made["cost_usd"] is None
    assert not answered(made)
    assert made.keys() == RunRecord.__required_keys__ | {"started_at"}


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [("ok", "1", True), ("best_effort", "1", True), ("budget_exhausted", "1", True), ("budget_exhausted", None, False)],
)
def test_answered(status: str, answer: str | None, expected: bool) -> None:
    assert answered(record(status=status, answer=answer)) is expected


def test_what_json_lacks_does_not_lose_a_record() -> None:
    odd = record(wall_s=float("nan"), cost_usd=float("inf"), answer="\ud800 \n é", cost_by_role={"executor": 1.0})
    line = to_json(odd)
    assert line.isascii()
    assert "\n" not in line
    back = json.loads(line)
    assert (back["wall_s"], back["cost_usd"], back["answer"]) == (None, None, "\ud800 \n é")
    assert back["cost_by_role"] == {"executor": 1.0}


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    write(file, record("1"), record("2", query="naïve\u2028"))
    write(file, record("3"))
    assert read_records(file) == [record("1"), record("2", query="naïve\u2028"), record("3")]


@pytest.mark.parametrize("cut", [1, 3, 5, 6, 40, -20, -2])
def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "r.jsonl"
    whole = write(file, record("1"))
    file.write_bytes(whole + whole[:cut])
    assert read_records(file) == [record("1")]
    assert write(file, record("2")) == whole + (to_json(record("2")) + "\n").encode()


def test_a_last_line_that_only_lacks_its_line_break_counts(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_bytes(write(file, record("1"))[:-1])
    assert read_records(file) == [record("1")]
    write(file, record("2"))
    assert read_records(file) == [record("1"), record("2")]


@pytest.mark.parametrize("text", ["notes", "notes\n", '{"id": "1"}\n', "[1]\n", '{"query": "x"}', '{"query"'])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"line 1 of .*r\.jsonl"):
        read_records(file)
    with pytest.raises(ConfigurationError, match="is this the right file"):
        open_records(file)
    assert file.read_text() == text


def test_a_torn_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    whole = write(file, record("1"))
    file.write_bytes(whole[:30] + b"\n" + whole)
    with pytest.raises(ConfigurationError, match="line 1"):
        read_records(file)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "r.jsonl"):
        with pytest.raises(ConfigurationError, match="can be written"):
            open_records(path)
        with pytest.raises(ConfigurationError, match="can be read"):
            read_records(path)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are files there")
def test_a_record_goes_to_a_pipe_too() -> None:
    ends = os.pipe()
    with open(ends[0], "rb") as source, open(ends[1], "wb") as target:  # noqa: PTH123 - file descriptors
        append_record(target, record())
        assert json.loads(source.readline()) == record()


def test_a_disk_that_fails_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (tmp_path / "r").open("ab") as file, pytest.raises(OSError, match="No space"):
        append_record(file, record())


def test_a_line_nested_too_deep_is_no_record(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text('{"id": ' + "[" * 100_000 + "\n")
    with pytest.raises(ConfigurationError, match="not a JSON object"):
        read_records(file)
