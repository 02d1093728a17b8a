"""An evaluation over scripted methods: records, grades, and a table computed from the files."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from langchain_r2.errors import BadValueError
from langchain_r2.evals import run as run_module
from langchain_r2.evals.benchmarks import Item, load_items
from langchain_r2.evals.methods import Method, Run, methods_for
from langchain_r2.evals.report import read
from langchain_r2.evals.run import evaluate
from langchain_r2.testing import scripted_pool
from langchain_r2.types import Attempt

COST = {"r2": 1e-6, "cot m2": 1e-4, "r2 no upward": 5e-7}


def attempt(name: str, answer: str, direction: str = "initial") -> Attempt:
    return Attempt(
        subtask_id="1", role="executor", model="m2", group="LLM", direction=direction, reason="allocated",  # type: ignore[typeddict-item]
        confidence=0.9, input_tokens=1, cached_input_tokens=0, output_tokens=1, cost_usd=COST[name], wall_s=0.1,
        error_type=None, answer=answer,
    )  # fmt: skip


def scripted(name: str, right: float, direction: str = "initial") -> Method:
    seen: list[Item] = []

    async def answer(item: Item) -> Run:
        seen.append(item)
        text = item.gold if (len(seen) % 10) < right * 10 else "wrong"
        return Run(text, "ok", None, [], [attempt(name, text, direction)], 0.1)

    return Method(name, answer)


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    methods = [scripted("r2", 0.9, "upward"), scripted("r2 no upward", 0.6), scripted("cot m2", 1.0)]
    monkeypatch.setattr(run_module, "methods_for", lambda groups, router: methods)
    console = Console(record=True, width=200, file=io.StringIO())
    router = {"pool": scripted_pool("a", "b")}
    chosen = load_items("arithmetic", limit=20)
    evaluate(chosen, router=router, methods=["r2"], out=tmp_path / "out", concurrency=4, console=console)
    return tmp_path / "out", console.export_text()


def test_records_have_all_fields_and_the_grade(evaluated: tuple[Path, str]) -> None:
    facts, by_method = read(evaluated[0])
    assert facts["prices"]["m2"]["output"] == 2.0
    assert {name: len(rows) for name, rows in by_method.items()} == {"r2": 20, "r2 no upward": 20, "cot m2": 20}
    row: dict[str, Any] = by_method["r2"][0]
    expected = {
        "id", "query", "answer", "status", "error", "plan", "attempts", "cost_usd", "cost_by_role", "cost_by_model",
        "wall_s", "method", "gold", "grade",
    }  # fmt: skip
    assert set(row) == expected
    assert [r["id"] for r in by_method["r2"]] == [r["id"] for r in by_method["cot m2"]]
    assert all((r["grade"]["score"] == 1) == (r["answer"] == r["gold"]) for r in by_method["r2"])


def test_the_table_follows_from_the_records(evaluated: tuple[Path, str]) -> None:
    folder, text = evaluated
    assert "90.0%" in text
    assert "1.00% [1.00%, 1.00%]" in text  # r2 costs a hundredth of the strongest CoT
    assert "20 calls in 20 of 20 queries" in text
    assert "6 more answers wrong" in text
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert sum(r["grade"]["score"] for r in rows if r["method"] == "r2") == 18


@pytest.mark.parametrize("changed", [{"methods": ["magic"]}, {"concurrency": 0}])
def test_wrong_use_is_refused_before_anything_is_written(changed: dict[str, Any], tmp_path: Path) -> None:
    usual: dict[str, Any] = {"methods": ["r2"], "out": tmp_path / "out", "concurrency": 1}
    with pytest.raises(BadValueError):
        evaluate(load_items("arithmetic", limit=1), router={"pool": scripted_pool("a")}, **{**usual, **changed})
    assert not (tmp_path / "out").exists()


def test_an_unknown_group_of_methods_names_those_there_are() -> None:
    with pytest.raises(BadValueError, match="ablations"):
        methods_for(["magic"], {"pool": scripted_pool("a")})
