"""An evaluation that goes on: after a stop, with further methods, within a budget; and calls that are made once."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import Benchmark, Selection
from langchain_r2.evals.estimate import PILOT, Estimate
from langchain_r2.evals.path_time import path_s
from langchain_r2.evals.run import Limits, evaluate
from langchain_r2.model_spec import Price
from langchain_r2.pool import ModelPool
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from tests.unit_tests.evals.methods.pools import grader, items, large, small


def selection(prefix: str = "test", count: int = 10) -> Selection:
    chosen = items(prefix, count)
    facts = {"benchmark": "mine", "split": prefix, "limit": count, "seed": 0, "items": count, "grader": "grader"}
    return Selection(Benchmark("mine", lambda source: chosen, grader), chosen, facts)


def two(**settings: Any) -> ModelPool:
    return scripted_pool(small, large, prices=(1.0, 100.0), max_output_tokens=4, **settings)


def calls(pool: ModelPool) -> list[int]:
    return [len(spec.model.call_history) for spec in pool if isinstance(spec.model, ScriptedChatModel)]


def ran(out: Path, pool: ModelPool, *methods: str, **options: Any) -> tuple[bool, str]:
    console = Console(record=True, width=250, file=io.StringIO())
    options.setdefault("limits", Limits(concurrency=2))
    whole = evaluate(selection(), router={"pool": pool}, methods=methods, out=out, console=console, **options)
    return whole, console.export_text()


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]


def facts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "pool.json").read_text())
    return found


def test_what_was_run_is_not_run_again(tmp_path: Path) -> None:
    assert ran(tmp_path, two(), "direct")[0]
    first = (tmp_path / "records.jsonl").read_bytes()
    pool = two()
    assert ran(tmp_path, pool, "direct")[0]
    assert calls(pool) == [0, 0]
    assert (tmp_path / "records.jsonl").read_bytes() == first


def test_after_a_kill_only_what_has_no_record_is_run(tmp_path: Path) -> None:
    ran(tmp_path, two(), "direct")
    lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_text("".join(lines[:7]) + lines[7][:40])  # the kill tore a line
    (tmp_path / "calls.sqlite").unlink()
    pool = two()
    assert ran(tmp_path, pool, "direct")[0]
    assert sum(calls(pool)) == len(lines) - 7
    assert sorted((r["method"], r["id"]) for r in rows(tmp_path)) == sorted(
        (f"direct {name}", item.id) for name in pool.names for item in items("test", 10)
    )


def test_a_further_method_is_added(tmp_path: Path) -> None:
    ran(tmp_path, two(), "direct")
    ran(tmp_path, two(), "cot")
    assert facts(tmp_path)["methods"] == ["direct m1", "direct m2", "cot m1", "cot m2"]
    assert len(rows(tmp_path)) == 40


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pool": scripted_pool(small, large, prices=(1.0, 99.0))}, "router"),
        ({"validation": selection("validation", 4)}, "validation"),
    ],
)
def test_another_configuration_is_refused_and_told(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    ran(tmp_path, two(), "direct")
    before = (tmp_path / "records.jsonl").read_bytes()
    pool = changed.pop("pool", None) or two()
    with pytest.raises(BadValueError, match=f"Changed: .*{said}.*--restart"):
        ran(tmp_path, pool, "direct", **changed)
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert ran(tmp_path, pool, "direct", restart=True, **changed)[0]
    assert len(rows(tmp_path)) == 20


def test_other_items_are_another_configuration(tmp_path: Path) -> None:
    ran(tmp_path, two(), "direct")
    other = selection("other")._replace(facts=selection().facts)
    with pytest.raises(BadValueError, match="Changed: items"):
        evaluate(other, router={"pool": two()}, methods=["direct"], out=tmp_path)


def test_equal_calls_are_made_once_and_every_bill_is_full(tmp_path: Path) -> None:
    pool = two()
    assert ran(tmp_path, pool, "cot", "datashunt", "frugalgpt", validation=selection("validation", 20))[0]
    assert calls(pool) == [30, 30]  # each model once on 10 + 20 items, whoever asked
    by_method = {(r["method"], r["id"]): r for r in rows(tmp_path)}
    assert by_method["datashunt", "test1"]["cost_usd"] == pytest.approx(
        by_method["cot m1", "test1"]["cost_usd"] + by_method["cot m2", "test1"]["cost_usd"]
    )
    assert facts(tmp_path)["calls_sent"] == 60
    alone = sum(cost for (name, _), cost in ((key, r["cost_usd"]) for key, r in by_method.items()) if "cot" in name)
    assert facts(tmp_path)["spent_usd"] == pytest.approx(3 * alone)  # 10 items of 30; the baselines paid nothing more
    assert facts(tmp_path)["settings"]["datashunt"]["small"] == "m1"


def test_a_method_that_the_pool_cannot_do_is_named_with_its_reason(tmp_path: Path) -> None:
    whole, text = ran(tmp_path, two(prompt_style="bare"), "direct", "tot")
    assert whole
    assert "never trained" in facts(tmp_path)["not_applicable"]["tot"]
    assert "tot" in (tmp_path / "table.md").read_text()
    assert "not applicable" in text


def test_a_budget_holds_says_what_is_missing_and_goes_on(tmp_path: Path) -> None:
    pool = two()
    whole, text = ran(tmp_path, pool, "direct", limits=Limits(concurrency=2, budget_usd=0.024))
    assert not whole
    spent = facts(tmp_path)["spent_usd"]
    assert 0 < spent <= 0.024
    assert "0.0240 USD is used up. Missing: direct m2 " in text
    missing = facts(tmp_path)["missing"]["direct m2"]
    assert missing == 20 - len(rows(tmp_path)) > 0
    assert all(r["answer"] for r in rows(tmp_path))  # what the budget cut off left no record
    pool = two()
    assert ran(tmp_path, pool, "direct")[0]
    assert sum(calls(pool)) == missing
    assert facts(tmp_path)["missing"] == {}


def test_an_estimate_comes_first_and_may_be_refused(tmp_path: Path) -> None:
    asked: list[Estimate] = []
    pool = two()

    def refuse(estimate: Estimate) -> bool:
        asked.append(estimate)
        return False

    whole, text = ran(tmp_path, pool, "direct", limits=Limits(concurrency=2, confirm=refuse))
    assert not whole
    assert "Stopped as asked. Missing: direct m1 7, direct m2 7" in text
    assert calls(pool) == [PILOT, PILOT]
    assert asked[0].runs == 14
    first = sum(r["cost_usd"] for r in rows(tmp_path))
    whole, _ = ran(tmp_path, two(), "direct")
    assert whole
    rest = sum(r["cost_usd"] for r in rows(tmp_path)) - first
    assert asked[0].usd == pytest.approx(rest, rel=0.2)
    assert asked[0].fastest_s <= asked[0].slowest_s


def test_an_estimate_of_an_unknown_price_is_unknown() -> None:
    unknown = Estimate(usd=None, fastest_s=10, slowest_s=9000, runs=3)
    assert str(unknown) == "3 runs to go, at an unknown cost, between 10 s and 2.5 h"


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"budget_usd": 0.0}, {"budget_usd": -1.0}])
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadValueError):
        Limits(**wrong)


def test_an_unknown_price_is_not_paid_from_a_budget(tmp_path: Path) -> None:
    spec = two()["m1"]
    pool = ModelPool([type(spec)(name="m1", model=spec.model, price=Price(input=None, output=None))])
    whole, _ = ran(tmp_path, pool, "direct", limits=Limits(budget_usd=1.0))
    assert not whole
    assert calls(pool) == [0]


def test_the_path_is_the_longest_way_through_the_plan() -> None:
    plan: Any = [
        {"id": "1", "text": "", "depends_on": []},
        {"id": "2", "text": "", "depends_on": []},
        {"id": "3", "text": "", "depends_on": ["1", "2"]},
    ]
    attempts: Any = [
        {"subtask_id": id_, "wall_s": s}
        for id_, s in [(None, 1.0), ("1", 2.0), ("2", 3.0), ("2", 1.0), ("3", 5.0), ("3.1", 0.5)]
    ]
    assert path_s(plan, attempts) == 1 + (3 + 1) + 5.5
    assert path_s([], [{"subtask_id": None, "wall_s": 1.0}, {"subtask_id": None, "wall_s": 2.0}]) == 3.0  # type: ignore[typeddict-item]
