"""The search finds the cheapest right allocation in few runs, and says so where there is none."""

import asyncio
from typing import Any

import pytest

from langchain_r2.errors import UnreachableError
from langchain_r2.parsing import parse_plan
from langchain_r2.pool import ModelPool
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from tests.training_tests.conftest import ITEM, knows, make_runner
from training.executions import Stored
from training.items import TrainItem
from training.label_search import Label, Search, difficulty, optimum
from training.labelling import label_problem, marked, report, style_of
from training.plan_requests import PlanRequest
from training.plan_runs import PlanRunner
from training.probes import execute
from training.settings import SearchSettings

TEXT = "1 : 2 plus 3\n2 : #1 times 2"
SUBTASKS = parse_plan(TEXT, max_subtasks=9).subtasks


def _graded_pool(*, wordy: bool = False) -> ModelPool:
    """Six models: the first can nothing, the second adds, those from the fourth on multiply."""
    known: list[Any] = [(), ("plus",), ("plus",), ("plus", "times"), ("plus", "times"), ("plus", "times")]
    scripts = [knows(*tasks) for tasks in known]
    if wordy:  # the second adds too, but takes more words than the third
        right = scripts[1]
        scripts[1] = lambda prompt: "well " * 40 + right(prompt)
    return scripted_pool(*scripts, prompt_style="bare")


def _search(
    runner: PlanRunner, *, known_right: bool = True, reference: str = "m6", sure: float = 1.0, **settings: Any
) -> Label:
    search = Search(
        runner=runner,
        settings=SearchSettings(**settings),
        item=ITEM,
        plan=Stored(TEXT),
        subtasks=SUBTASKS,
        reference={"1": reference, "2": reference},
        confidences={"1": sure, "2": 0.97},
        known_right=known_right,
    )
    return asyncio.run(search.run())


def test_the_label_is_the_cheapest_right_allocation_and_takes_two_runs() -> None:
    runner = make_runner(_graded_pool())
    label = _search(runner)
    assert (label.status, label.models) == ("labelled", {"1": "m2", "2": "m4"})
    assert label.plan_runs == 2
    assert (label.right, label.repeats) == (1, 1)
    assert label.cost_usd == pytest.approx(8e-6 * (2 + 8))
    assert label.reference_usd == pytest.approx(8e-6 * 64)
    best = asyncio.run(optimum(runner, ITEM, SUBTASKS, ({}, 1.0)))
    assert best is not None
    assert best[0] == label.models
    assert best[1] == pytest.approx(label.cost_usd)


def test_what_costs_least_counts_not_what_is_lowest() -> None:
    runner = make_runner(_graded_pool(wordy=True))
    label = _search(runner, sure=0.97)
    assert label.models == {"1": "m3", "2": "m4"}
    best = asyncio.run(optimum(runner, ITEM, SUBTASKS, ({}, 1.0)))
    assert best is not None
    assert best[0] == label.models


def test_a_plan_whose_first_run_is_wrong_goes_upward() -> None:
    label = _search(make_runner(_graded_pool()), known_right=False)
    assert (label.status, label.models) == ("labelled", {"1": "m2", "2": "m4"})


def test_a_plan_that_is_never_right_is_discarded() -> None:
    label = _search(
        make_runner(scripted_pool("answer : 0", "answer : 1", "answer : 2", prompt_style="bare")), known_right=False
    )
    assert (label.status, label.models) == ("discarded", {})
    assert label.plan_runs <= SearchSettings().max_plan_runs


def test_a_pool_that_is_down_discards_nothing() -> None:
    scripts = [lambda prompt: UnreachableError("down"), knows("plus", "times")]
    label = _search(make_runner(scripted_pool(*scripts, prompt_style="bare")), reference="m2")
    assert label.status == "failed"


def test_a_probe_asks_what_the_run_asks() -> None:
    runner = make_runner(_graded_pool())
    for subtask, answers, said in ((SUBTASKS[0], {}, "5"), (SUBTASKS[1], {"1": "5"}, "10")):
        made = asyncio.run(execute(runner, ITEM.query, subtask, answers, "m6"))
        assert (made.answer, made.failed) == (said, False)
    before = runner.transport.cache.spending.now()
    runner.run_all([PlanRequest(item=ITEM, plan=Stored(TEXT), allocation={"1": "m6", "2": "m6"})])
    assert (runner.transport.cache.spending - before).sent == 0


def test_a_probe_asks_what_the_run_asks_of_general_models_too() -> None:
    text = "1 : how many\n2 : say it\n3 : #1 times 2 (needs 2)"
    runner = make_runner(scripted_pool(lambda prompt: "answer: 5"))
    subtasks = parse_plan(text, max_subtasks=9).subtasks
    for subtask in subtasks:
        asyncio.run(execute(runner, ITEM.query, subtask, {"1": "5", "2": "5"}, "m1"))
    before = runner.transport.cache.spending.now()
    runner.run_all([PlanRequest(item=ITEM, plan=Stored(text), allocation=dict.fromkeys("123", "m1"))])
    assert (runner.transport.cache.spending - before).sent == 0


def test_answers_in_other_words_are_run_again_where_that_is_wanted() -> None:
    def words(task: str) -> Any:
        def say(prompt: str) -> str:
            if "plus" in prompt:
                return f"answer : {task}"
            return "answer : 10" if any(w in prompt for w in ("five", "fünf")) else "answer : 0"

        return say

    pool = scripted_pool(words("nothing"), words("fünf"), words("five"), prompt_style="bare")
    frozen = _search(make_runner(pool), reference="m3", patience=0)
    assert frozen.models == {"1": "m3", "2": "m1"}
    again = _search(make_runner(pool), reference="m3", changed="rerun", patience=0)
    assert again.models == {"1": "m2", "2": "m1"}
    assert again.plan_runs > frozen.plan_runs


def test_a_label_of_models_that_sample_is_verified_r_of_s_times() -> None:
    said = iter(["answer : 5", "answer : 0", "answer : 0"])
    shaky = ScriptedChatModel(script=lambda prompt: next(said) if "plus" in prompt else "answer : 0")
    pool = scripted_pool(shaky, knows("plus", "times"), prompt_style="bare")
    label = _search(make_runner(pool), reference="m2", repeats=3, right_repeats=2)
    assert label.models == {"1": "m2", "2": "m2"}  # right once in three: put back
    assert (label.right, label.repeats) == (3, 3)


@pytest.mark.parametrize(("sure", "group"), [(1.0, "SLM"), (0.97, "MLM"), (0.5, "LLM"), (None, "MLM")])
def test_difficulty_follows_the_evaluator_s_confidence(sure: float | None, group: str) -> None:
    assert difficulty(sure, SearchSettings()) == group


def _row(status: str = "right") -> dict[str, Any]:
    plan = {
        "source": "sample",
        "reply": {"text": TEXT, "input_tokens": 3, "output_tokens": 4, "cached_input_tokens": 0},
        "subtasks": SUBTASKS,
        "parse": "clean",
        "status": status,
        "terms": {"subtasks": 2, "tokens": 16, "coherence": 1.0},
        "J": 0.5,
        "router_usd": 7e-6,
        "confidences": {"1": 1.0, "2": 1.0},
    }
    return {"id": ITEM.id, "query": ITEM.query, "answer": ITEM.answer, "split": "train", "plans": [plan], "replans": []}


def test_labels_of_a_problem_and_their_report() -> None:
    runner = make_runner(_graded_pool())
    row = asyncio.run(label_problem(runner, SearchSettings(), _row(), "m6"))
    (plan,) = row["plans"]
    assert (plan["style"], plan["best_by_j"], plan["best_by_cost"]) == ("coarse", True, True)
    assert plan["label"]["ranks"] == {"1": 2, "2": 4}
    never = {"plans": [{**plan, "label": {**plan["label"], "status": "discarded"}}]}
    found = report([row, never], [{"label_usd": 2.0, "cost_usd": 1.0}], models=6)
    assert found["labels"] == 1
    assert found["plan_runs_per_label"] == 2.0
    assert found["brute_force_plan_runs_mean"] == 36.0
    assert found["share_of_problems_discarded"] == 0.5
    assert found["ranks"] == {"1": 0, "2": 1, "3": 0, "4": 1, "5": 0, "6": 0}
    assert found["optimum"] == {"plans": 1, "cost_over_optimum": 2.0, "share_at_optimum": 0.0}


def test_styles_and_marks() -> None:
    def plan(count: int, text: str = "a", cost: float = 1.0, j: float = 1.0) -> dict[str, Any]:
        subtasks = [{"id": str(i), "text": text, "depends_on": []} for i in range(count)]
        return {"subtasks": subtasks, "J": j, "router_usd": 0.0, "label": {"status": "labelled", "cost_usd": cost}}

    plans = [plan(1, "#query", cost=9.0, j=0.1), plan(2), plan(4, cost=0.5)]
    assert [style_of(p, plans) for p in plans] == ["direct", "coarse", "fine"]
    made = marked(plans)
    assert [(p["best_by_j"], p["best_by_cost"]) for p in made] == [(True, False), (False, False), (False, True)]
    assert TrainItem("a", "b", "c", "d").as_item().gold == "c"
