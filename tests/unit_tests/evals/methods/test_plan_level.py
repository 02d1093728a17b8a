"""Baselines that run our plans, and the oracle against trying everything."""

import asyncio
import itertools
import random
import sys
from typing import Any

import pytest

from langchain_r2.evals.executing import Execution, execute
from langchain_r2.evals.grading import Grade
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods import NotApplicable, Run
from langchain_r2.evals.methods.best_fixed import best_fixed
from langchain_r2.evals.methods.dot import dot
from langchain_r2.evals.methods.oracle import oracle
from langchain_r2.evals.methods.routed import fixed, random_method, with_allocator
from langchain_r2.flow import Flow
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput, FlowRunnable
from langchain_r2.testing import scripted_message
from langchain_r2.types import Allocation
from tests.unit_tests.evals.methods.pools import easy, grader, large, models, planning, router, runs, small, tuned

PLAN = "1: add\n2: times\n3: #1 and #2"


def test_best_fixed_takes_the_cheapest_model_that_is_as_good() -> None:
    assert tuned(best_fixed, router(large, large), 4).settings["model"] == "m1"
    method = tuned(best_fixed, router(), 4)
    assert method.settings["model"] == "m2"
    assert {models(run)[0] for _, run in runs(method, 2)} == {"m2"}


def test_fixed_and_random_keep_to_their_allocation() -> None:
    made = dict(router(lambda p: scripted_message("answer: 2", p, 0.01), large, large, prices=(1.0, 2.0, 3.0)))
    made["decomposer"] = planning(PLAN, made["transport"])
    [(_, run)] = runs(fixed(made["pool"]["m1"], made), 1)
    assert models(run) == ["m1"] * 3  # as unsure as it is, nothing is reallocated
    drawn = [sorted(models(run)) for _, run in runs(random_method(made, seed=3), 6)]
    assert drawn == [sorted(models(run)) for _, run in runs(random_method(made, seed=3), 6)]
    assert len({name for names in drawn for name in names}) > 1
    assert drawn != [sorted(models(run)) for _, run in runs(random_method(made, seed=4), 6)]


def test_dot_leaves_confident_subtasks_to_the_small_model() -> None:
    method = tuned(dot, router(), 6)
    assert (method.settings["small"], method.settings["large"], method.settings["alpha"]) == ("m1", "m2", 0.4)
    for item, run in runs(method, 4):
        assert models(run) == ["m1" if easy(item.query) else "m2"]
        assert next(row["role"] for row in run.attempts if row["model"] == "m1") == "evaluator"


def test_dot_needs_token_probabilities() -> None:
    with pytest.raises(NotApplicable, match="token probabilities"):
        tuned(dot, router(lambda p: small(p, None), large))


# ------------------------------------------------------------------------------------------------------------- oracle


def answers(rng: random.Random) -> Any:
    """A model that says something of its own to each prompt, always the same."""
    known: dict[str, str] = {}

    def script(prompt: str) -> Any:
        said = known.setdefault(prompt, str(rng.randint(0, 2)))
        return scripted_message(f"answer: {said}", prompt, 0.9)

    return script


def searched(made: Any, item: Item, **options: Any) -> Run:
    return asyncio.run(oracle(made, grader, **options).answer(item))


class GivenAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    def __init__(self, allocation: Allocation) -> None:
        self.allocation = allocation

    def flow(self, value: AllocatorInput, config: Any) -> Flow[AllocatorOutput]:
        yield from ()
        return AllocatorOutput(allocation=self.allocation, attempts=[])


def by_hand(made: Any, item: Item) -> float | None:
    """Cost of the cheapest right allocation, without the plan's, by running all of them."""
    costs = []
    for names in itertools.product(made["pool"].names, repeat=3):
        chosen = dict(zip("123", names, strict=True))
        given = Allocation(models=chosen, reasons=dict.fromkeys("123", "allocated"), note=None)
        method = with_allocator("x", made, GivenAllocator(given))
        run = asyncio.run(method.answer(item))
        if run.answer == item.gold:
            costs.append(executors(run))
    return min(costs, default=None)


def executors(run: Run) -> float:
    return sum(row["cost_usd"] or 0.0 for row in run.attempts if row["role"] == "executor")


@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_finds_what_trying_everything_finds(seed: int) -> None:
    rng = random.Random(seed)
    made = dict(router(*(answers(rng) for _ in range(3)), prices=(1.0, 3.0, 10.0)))
    made["decomposer"] = planning(PLAN, made["transport"])
    item = Item("a", "q", "1")
    run, least = searched(made, item), by_hand(made, item)
    assert run.facts["search"] == "enumerated"
    assert run.facts["oracle_right"] == (least is not None) == (run.answer == "1")
    if least is not None:
        assert executors(run) == pytest.approx(least)
    assert run.attempts[0]["role"] == "decomposer"


def test_where_nothing_is_right_it_is_the_cheapest_model_s_run() -> None:
    made = router(lambda p: "answer: 2", lambda p: "answer: 3")
    run = searched(made, Item("a", "q", "1"))
    assert (run.answer, models(run), run.facts["oracle_right"]) == ("2", ["m1"], False)


def test_too_many_steps_are_searched_in_groups_and_it_says_so() -> None:
    made = dict(router(small, large, large, prices=(1.0, 3.0, 10.0)))
    made["decomposer"] = planning("1: an easy sum\n2: hard: #1", made["transport"])
    run = searched(made, Item("a", "q", "1"), most_steps=1)
    assert run.facts["search"] == "grouped"
    assert run.facts["models"] == {"1": "m1", "2": "m2"}
    assert run.answer == "1"


def test_a_subtask_is_asked_once_for_the_same_given_answers() -> None:
    """Each model's run of the plan, then every subtask with every model: the second does not need the first."""
    made = dict(router(lambda p: "answer: 2", lambda p: "answer: 3"))
    made["decomposer"] = planning("1: first\n2: second", made["transport"])
    searched(made, Item("a", "q", "1"))
    assert made["transport"].cache.spending.calls == 1 + 2 * 2 + 2 * 2


def test_a_call_that_failed_is_tried_again_where_it_is_needed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dict(router(lambda p: "answer: 2", lambda p: "answer: 3"))
    made["decomposer"] = planning("1: first\n2: second", made["transport"])
    asked: list[tuple[str, str]] = []

    async def failing(*args: Any) -> Execution:
        asked.append((args[3]["id"], args[1].name))
        execution = await execute(*args)
        if args[3]["id"] == "2":
            execution.attempts[-1]["error_type"] = "TimeoutError"
        return execution

    monkeypatch.setattr(sys.modules[oracle.__module__], "execute", failing)
    searched(made, Item("a", "q", "1"))
    assert asked.count(("1", "m1")) == 2
    assert asked.count(("2", "m1")) == 3  # with the run of the plan, and after each answer to the first


def test_the_oracle_is_not_for_every_graph() -> None:
    with pytest.raises(NotApplicable, match="no model writes"):
        oracle({**router(), "aggregation": "llm"}, grader)


def test_where_answers_are_joined_every_subtask_has_to_be_right() -> None:
    """m1 knows the first part alone, m2 both: the cheapest right allocation has each once."""
    made = dict(router(lambda p: "answer: 1", lambda p: "answer: 1" if "first" in p else "answer: 2"))
    made |= {"decomposer": planning("1: first\n2: second", made["transport"]), "aggregation": "join"}
    run = searched(made, Item("a", "q", "1\n2"))
    assert (run.answer, run.facts["oracle_right"]) == ("1\n2", True)
    assert run.facts["models"] == {"1": "m1", "2": "m2"}
    assert searched(made, Item("a", "q", "2")).facts["oracle_right"] is False  # the last one alone is no answer


def test_what_cannot_be_graded_is_not_right() -> None:
    unknown = oracle(router(), lambda prediction, item: Grade("ungradable", None, "?"))
    run = asyncio.run(unknown.answer(Item("a", "q", "1")))
    assert run.facts["oracle_right"] is False
