"""An evaluation over scripted methods: records, grades, and a table computed from the files."""

import asyncio
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from langchain_r2.errors import BadValueError
from langchain_r2.evals import run as run_module
from langchain_r2.evals.benchmarks import Benchmark, Item, Selection, load_items, own_data
from langchain_r2.evals.folder import iter_rows, read_facts
from langchain_r2.evals.grading import Grade, Tools, right, ungradable
from langchain_r2.evals.methods import Method, Run, methods_for
from langchain_r2.evals.recorded import judged, read_consented
from langchain_r2.evals.run import Limits, evaluate
from langchain_r2.model_spec import Price
from langchain_r2.pool import ModelPool
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
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
    monkeypatch.setattr(run_module, "methods_for", lambda groups, router, grader, seed: methods)
    console = Console(record=True, width=200, file=io.StringIO())
    router = {"pool": scripted_pool("a", "b")}
    chosen = load_items("arithmetic", limit=20)
    evaluate(chosen, router=router, methods=["r2"], out=tmp_path / "out", limits=Limits(concurrency=4), console=console)
    return tmp_path / "out", console.export_text()


def test_records_have_all_fields_and_the_grade(evaluated: tuple[Path, str]) -> None:
    facts = read_facts(evaluated[0])
    by_method: dict[str, list[dict[str, Any]]] = {}
    for record in iter_rows(evaluated[0]):
        by_method.setdefault(record["method"], []).append(record)
    assert facts["prices"]["m2"]["output"] == 2.0
    assert {name: len(rows) for name, rows in by_method.items()} == {"r2": 20, "r2 no upward": 20, "cot m2": 20}
    row: dict[str, Any] = by_method["r2"][0]
    expected = {
        "id", "query", "answer", "status", "error", "plan", "attempts", "cost_usd", "cost_by_role", "cost_by_model",
        "wall_s", "method", "gold", "grade", "path_s", "facts",
    }  # fmt: skip
    assert set(row) == expected
    assert {r["id"] for r in by_method["r2"]} == {r["id"] for r in by_method["cot m2"]} == set(facts["ids"])
    assert all((r["grade"]["score"] == 1) == (r["answer"] == r["gold"]) for r in by_method["r2"])


def test_the_table_follows_from_the_records(evaluated: tuple[Path, str]) -> None:
    folder, text = evaluated
    assert "90.0%" in text
    assert "1.00% [1.00%, 1.00%]" in text  # r2 costs a hundredth of the strongest CoT
    assert "20 calls in 20 of 20 queries" in text
    assert "6 more answers wrong" in text
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    assert sum(r["grade"]["score"] for r in rows if r["method"] == "r2") == 18


def test_wrong_use_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    items, router = load_items("arithmetic", limit=1), {"pool": scripted_pool("a")}
    with pytest.raises(BadValueError):
        evaluate(items, router=router, methods=["magic"], out=tmp_path / "out")
    with pytest.raises(BadValueError, match="not tested on"):
        evaluate(items, router=router, methods=["r2"], out=tmp_path / "out", validation=items)
    assert not (tmp_path / "out").exists()


def test_an_unknown_group_of_methods_names_those_there_are() -> None:
    with pytest.raises(BadValueError, match="ablations"):
        methods_for(["magic"], {"pool": scripted_pool("a")}, lambda prediction, item: True)


# ------------------------------------------------------------------------------------------------ other pools and data

ITEMS = [Item(str(number), f"q{number}", gold) for number, gold in enumerate(["1", "2", "three", "4"])]


def selection(grader: Any, items: list[Item] = ITEMS) -> Selection:
    benchmark = Benchmark("mine", lambda source: items, grader)
    facts = {"benchmark": "mine", "split": "test", "limit": 9, "seed": 0, "items": len(items), "grader": str(grader)}
    return Selection(benchmark, items, facts)


def ran(chosen: Selection, tmp_path: Path, *methods: str, **options: Any) -> tuple[str, list[dict[str, Any]]]:
    console = Console(record=True, width=250, file=io.StringIO())
    options.setdefault("router", {"pool": scripted_pool(lambda p: "answer: 1", lambda p: "answer: 2")})
    evaluate(chosen, methods=list(methods), out=tmp_path / "out", console=console, **options)
    rows = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    return console.export_text(), rows


def table(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The table's cells by method and column."""
    main = (tmp_path / "out" / "table.md").read_text().split("\n## ")[0]
    lines = [line for line in main.splitlines() if line.startswith("|")]
    columns, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def test_what_cannot_be_graded_is_counted_and_in_no_accuracy(tmp_path: Path) -> None:
    text, rows = ran(selection("numeric"), tmp_path, "direct")
    assert [r["grade"]["score"] for r in rows if r["method"] == "direct m1"] == [1.0, 0.0, None, 0.0]
    assert {r["grade"]["status"] for r in rows if r["gold"] == "three"} == {"ungradable"}
    assert "1 of 4 items cannot be graded: the gold answer is not one number" in text
    assert "ungradable, and in no accuracy: 2 of 8 answers" in text
    facts = json.loads((tmp_path / "out" / "pool.json").read_text())
    assert facts["gold"] == {"right": 3, "wrong": 0, "ungradable": 1}
    row = table(tmp_path)["direct m1"]
    assert row["accuracy"].startswith("33.3% ")  # one of three
    assert row["ungradable"] == "1"


def test_pairs_are_of_items_graded_in_both(tmp_path: Path) -> None:
    def picky(prediction: str, item: Item) -> Any:
        """What m2 says of the first item is the only thing that cannot be graded; all else is right."""
        return ungradable("m2 said it") if prediction == "2" and item.id == "0" else True

    ran(selection(picky), tmp_path, "direct", "cot")
    cells = table(tmp_path)
    assert [cells[f"direct {name}"]["ungradable"] for name in ("m1", "m2")] == ["0", "1"]
    # m1 is right on all four, the reference (m2) on the three of its own that can be graded: no difference.
    assert cells["direct m1"]["paired accuracy"] == "+0.0 [+0.0, +0.0]"
    assert cells["direct m1"]["accuracy"].startswith("100.0%")


def test_nothing_is_paid_where_no_gold_answer_can_be_graded(tmp_path: Path) -> None:
    pool = scripted_pool(lambda p: pytest.fail("called"))
    with pytest.raises(BadValueError, match="at least one"):
        ran(selection("choice"), tmp_path, "direct", router={"pool": pool})
    assert not (tmp_path / "out").exists()


def test_gold_answers_that_a_grader_calls_wrong_are_told(tmp_path: Path) -> None:
    text, _ = ran(selection(lambda prediction, item: prediction == "1"), tmp_path, "direct")
    assert "gold answers of 3 of 4 items are not graded right" in text


def test_a_routed_record_tells_what_its_page_shows(tmp_path: Path) -> None:
    pool = scripted_pool(lambda p: "answer: 1" if "plan" not in p else "1: #query", lambda p: "answer: 2")
    router = {"pool": pool, "decomposer": PromptedDecomposer(pool["m1"]), "allocator": FixedAllocator(pool, "m1")}
    rows = ran(selection("numeric"), tmp_path, "r2", "direct", router=router)[1]
    routed = [row for row in rows if row["method"] == "r2"]
    assert routed
    assert all(row["results"][0]["answer"] == row["answer"] and row["started_at"] > 0 for row in routed)
    assert all(row["allocation"]["models"] for row in routed)
    assert not any("results" in row for row in rows if row["method"] != "r2")


async def test_records_of_an_evaluation_may_be_learned_from_where_it_says_so(tmp_path: Path) -> None:
    pool = scripted_pool(lambda p: "answer: 1" if "plan" not in p else "1: #query")
    router = {"pool": pool, "decomposer": PromptedDecomposer(pool["m1"]), "allocator": FixedAllocator(pool, "m1")}
    chosen = selection("numeric")
    rows = await asyncio.to_thread(ran, chosen, tmp_path / "plain", "r2", router=router)
    assert not any("for_training" in row for row in rows[1])
    chosen = chosen._replace(facts={**chosen.facts, "for_training": True})
    await asyncio.to_thread(ran, chosen, tmp_path, "r2", "direct", router=router)
    kept, refused = read_consented([tmp_path / "out" / "records.jsonl"])
    found = await judged(kept)
    assert refused == 0
    assert {(run.record["id"], run.right, run.by) for run in found.runs} == {
        ("0", True, "grade"), ("1", False, "grade"), ("3", False, "grade"),
    }  # fmt: skip
    assert found.left_out["no plan was executed"] == 4  # those of `direct`


def test_grading_costs_are_apart_from_the_methods(tmp_path: Path) -> None:
    judges = scripted_pool("different")
    text, rows = ran(selection("llm"), tmp_path, "direct", tools=Tools(judge=judges["m1"]))
    assert all(r["grade"]["cost_usd"] > 0 for r in rows)
    assert all([a["role"] for a in r["attempts"]] == ["executor"] for r in rows)
    assert f"grading cost {sum(r['grade']['cost_usd'] for r in rows):.6f} USD" in text


def test_measures_have_a_column(tmp_path: Path) -> None:
    chosen = selection(lambda prediction, item: right(f1=0.25 if item.id == "0" else 0.75))
    text, _ = ran(chosen, tmp_path, "direct")
    assert "f1" in text
    assert "0.625" in text


def test_partial_scores_have_a_mean(tmp_path: Path) -> None:
    text, _ = ran(selection(lambda prediction, item: Grade("graded", 0.5)), tmp_path, "direct")
    assert "50.0% [50.0%, 50.0%]" in text


def test_an_unknown_price_is_never_a_cost_of_nothing(tmp_path: Path) -> None:
    unknown = Price(input=None, output=None)
    pool = ModelPool([dataclasses.replace(spec, price=unknown) for spec in scripted_pool("answer: 1", "answer: 2")])
    router = {"pool": pool, "allocator": FixedAllocator(pool, "m1"), "decomposer": PromptedDecomposer(pool["m1"])}
    text, rows = ran(selection("numeric"), tmp_path, "r2", "cot", router=router)
    assert {r["cost_usd"] for r in rows} == {None}
    assert {row["USD per million queries"] for row in table(tmp_path).values()} == {"unknown"}
    assert table(tmp_path)["r2"]["cost / CoT m2"] == "unknown"
    assert "0.0 USD" not in text


def test_own_questions_and_a_grader_in_python(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [
        {"id": "a", "query": "one?", "answer": 1, "tolerance": 1},
        {"query": "five?", "answer": "5", "tolerance": 1},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def near(prediction: str, item: Item) -> bool:
        return abs(float(prediction) - float(item.gold)) <= float(item.meta["tolerance"])

    chosen = load_items(own_data(path, near))
    assert [(i.id, i.gold) for i in chosen.items] == [("a", "1"), ("2", "5")]
    assert chosen.facts["grader"] == "near"
    assert len(chosen.facts["data_sha256"]) == 64
    _, rows = ran(chosen, tmp_path, "direct")
    assert [r["grade"]["score"] for r in rows if r["method"] == "direct m2"] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"query": "q"}, "'answer' in line 1"),
        ({"answer": "a"}, "'query' in line 1"),
        ({"query": "q", "answer": ["a"]}, "'answer' in line 1"),
        ({"query": "q", "answer": "a", "aliases": "b"}, "'aliases' in line 1"),
    ],
)
def test_lines_that_are_no_questions(line: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(line))
    with pytest.raises(BadValueError, match=said):
        load_items(own_data(path, "exact"))


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "2", "query": "q", "answer": "a"}\n{"query": "q", "answer": "a"}\n')
    with pytest.raises(BadValueError, match=r"id in line 2 .* is '2'"):
        load_items(own_data(path, "exact"))
