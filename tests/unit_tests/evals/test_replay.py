"""An allocator gone over recorded runs: what the records cover, what they do not, and what follows from it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.text import exact
from langchain_r2.evals.items import Item
from langchain_r2.evals.recorded import JudgedRun, judged
from langchain_r2.evals.replay import Courses, Replay, Replayed, summarized
from langchain_r2.types import RunRecord
from tests.unit_tests.evals.recording import allocator_of, recorded

ANSWERS = {"q": Item("1", "q", "even")}
BARE = {"1": "m3", "2": "m3"}


async def _runs(*records: RunRecord) -> list[JudgedRun]:
    return (await judged(records, answers=ANSWERS, grader=exact)).runs


async def _replayed(
    models: Mapping[str, str], logged: Sequence[RunRecord], also: Sequence[RunRecord] = (), **options: Any
) -> list[Replayed]:
    over = Replay(allocator=allocator_of(models), courses=Courses([*logged, *also]), **options)
    return await over.all(await _runs(*logged))


async def test_the_logged_allocation_costs_what_it_cost() -> None:
    logged = recorded({"1": "m1", "2": "m2"})  # m1 is not sure: a step up
    (made,) = await _replayed({"1": "m1", "2": "m2"}, [logged])
    assert made.cost_usd == pytest.approx(logged["cost_usd"])
    assert (made.right, made.same, made.subtasks) == (True, 2, 2)


async def test_another_choice_costs_what_a_real_run_of_it_costs() -> None:
    logged, cheaper, real = recorded(BARE), recorded({"1": "m2", "2": "m1"}), recorded({"1": "m2", "2": "m3"})
    (made,) = await _replayed({"1": "m2", "2": "m3"}, [logged], [cheaper])
    assert made.cost_usd == pytest.approx(real["cost_usd"])
    assert (made.right, made.same) == (True, 1)


async def test_a_step_up_shows_the_course_from_the_stronger_model_too() -> None:
    climbed, real = recorded({"1": "m1", "2": "m3"}), recorded({"1": "m2", "2": "m3"})
    (made,) = await _replayed({"1": "m2", "2": "m3"}, [climbed])
    assert made.cost_usd == pytest.approx(real["cost_usd"])
    assert made.right is True


async def test_a_choice_without_a_record_is_counted_and_not_filled_in() -> None:
    (made,) = await _replayed({"1": "m2", "2": "m3"}, [recorded(BARE)])
    assert (made.uncovered and made.uncovered.model, made.cost_usd, made.right) == ("m2", None, None)
    told = summarized([made])
    assert (told.covered, told.accuracy, told.cost_ratio) == (0, None, None)
    assert (told.least_accuracy, told.most_accuracy) == (0.0, 1.0)


async def test_a_record_of_another_query_covers_nothing() -> None:
    other = recorded({"1": "m2", "2": "m2"}, query="another")
    (made,) = await _replayed({"1": "m2", "2": "m3"}, [recorded(BARE)], [other])
    assert made.uncovered is not None


async def test_another_answer_is_graded_where_somebody_can() -> None:
    wrong = recorded({"1": "m3", "2": "m1"}, sure={"m1": 0.99})  # sure, and wrong
    (unknown,) = await _replayed({"1": "m3", "2": "m1"}, [recorded(BARE)], [wrong])
    assert (unknown.right, unknown.uncovered) == (None, None)
    assert summarized([unknown]).unknown_answer == 1
    (known,) = await _replayed({"1": "m3", "2": "m1"}, [recorded(BARE)], [wrong], grader=exact, answers=ANSWERS)
    assert known.right is False
    assert known.cost_usd == pytest.approx(wrong["cost_usd"])


async def test_an_answer_that_another_run_had_has_its_verdict() -> None:
    wrong = recorded({"1": "m3", "2": "m1"}, sure={"m1": 0.99})
    first, _ = await _replayed({"1": "m3", "2": "m1"}, [recorded(BARE), wrong])
    assert first.right is False


async def test_what_the_new_allocator_costs_is_paid() -> None:
    logged = recorded(BARE)

    async def dear(value: Any) -> Any:
        made = allocator_of(BARE).invoke(value)
        return {**made, "attempts": [{**logged["attempts"][0], "role": "allocator", "cost_usd": 1.0}]}

    from langchain_core.runnables import RunnableLambda

    over = Replay(allocator=RunnableLambda(dear), courses=Courses([logged]))
    (made,) = await over.all(await _runs(logged))
    assert made.cost_usd == pytest.approx((logged["cost_usd"] or 0) + 1.0)


async def test_a_run_that_its_budget_ended_is_no_evidence() -> None:
    short: Any = {**recorded({"1": "m2", "2": "m3"}), "status": "budget_exhausted"}
    (made,) = await _replayed({"1": "m2", "2": "m3"}, [recorded(BARE)], [short])
    assert made.uncovered is not None


def test_sums_are_of_the_covered_runs_beside_the_same_runs_as_logged() -> None:
    shared: Any = {"subtasks": 2, "same": 1, "logged_usd": 4.0}
    rows = [
        Replayed(id="a", logged_right=True, right=True, cost_usd=1.0, **shared),
        Replayed(id="b", logged_right=True, right=False, cost_usd=3.0, **shared),
        Replayed(id="c", logged_right=False, **shared),
        Replayed(id="d", logged_right=True, **shared),
    ]
    told = summarized(rows)
    assert (told.runs, told.covered, told.same) == (4, 2, 4)
    assert told.accuracy is not None
    assert told.accuracy.value == 0.5
    assert told.accuracy_gain is not None
    assert told.accuracy_gain.value == -0.5
    assert told.cost_ratio is not None
    assert told.cost_ratio.value == 0.5
    assert told.logged_accuracy.value == 0.75
    assert (told.least_accuracy, told.most_accuracy) == (0.25, 0.75)


async def test_nothing_to_replay_is_an_error() -> None:
    with pytest.raises(BadValueError, match="at least one"):
        await Replay(allocator=allocator_of(BARE), courses=Courses([])).all([])
