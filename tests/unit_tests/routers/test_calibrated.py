"""The allocator by difficulty."""

from typing import Any

import pytest

from langchain_r2.confidence import Calibration, Confidence
from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport
from langchain_r2.types import Plan, Subtask


def asked(*texts: str, **more: Any) -> Any:
    subtasks = [Subtask(id=str(i), text=t, depends_on=[]) for i, t in enumerate(texts or ("a",), 1)]
    return dict(query="the query", plan=Plan(subtasks=subtasks, parse="clean", confidence=None, rejected=[]), **more)


def pool(script: Any, **settings: Any) -> ModelPool:
    return scripted_pool(script, *[["x"]] * 8, **settings)


def sure(probability: float | None) -> Any:
    return scripted_message("x", "one two", probability)


@pytest.mark.parametrize(
    ("probability", "model", "reason"),
    [
        pytest.param(0.95, "m2", "allocated", id="easy"),
        pytest.param(0.9, "m2", "allocated", id="just-easy"),
        pytest.param(0.89, "m5", "allocated", id="medium"),
        pytest.param(0.6, "m5", "allocated", id="just-medium"),
        pytest.param(0.59, "m8", "allocated", id="hard"),
        pytest.param(0.0, "m8", "allocated", id="hopeless"),
        pytest.param(None, "m5", "default_route", id="no-signal"),
    ],
)
def test_difficulty_gives_the_middle_of_a_group(probability: float | None, model: str, reason: str) -> None:
    allocation = CalibratedAllocator(pool([sure(probability)])).invoke(asked())["allocation"]
    assert (allocation["models"], allocation["reasons"]) == ({"1": model}, {"1": reason})
    assert allocation["note"] == ("no_signal" if probability is None else None)


def test_every_subtask_is_judged_and_billed_to_the_evaluator() -> None:
    output = CalibratedAllocator(pool([sure(0.99), sure(0.1)])).invoke(asked("a", "b"))
    assert output["allocation"]["models"] == {"1": "m2", "2": "m8"}
    rows = output["attempts"]
    assert [(a["role"], a["model"], a["subtask_id"]) for a in rows] == [
        ("evaluator", "m1", "1"),
        ("evaluator", "m1", "2"),
    ]
    assert [a["confidence"] for a in rows] == [pytest.approx(0.99), pytest.approx(0.1)]
    assert all(a["cost_usd"] for a in rows)


def test_the_evaluator_is_a_setting() -> None:
    models = scripted_pool(["x"], [sure(0.1)], ["x"])
    (row,) = CalibratedAllocator(models, evaluator="m2").invoke(asked())["attempts"]
    assert row["model"] == "m2"


def test_thresholds_and_calibration_are_settings() -> None:
    flat = Confidence(calibrations={"m1": Calibration(slope=0.0, intercept=0.0)})
    for easy, medium, model in ((0.5, 0.4, "m2"), (0.6, 0.5, "m5"), (0.7, 0.6, "m8")):
        router = CalibratedAllocator(pool([sure(0.99)]), confidence=flat, easy=easy, medium=medium)
        assert router.invoke(asked())["allocation"]["models"] == {"1": model}


def test_a_failed_judgement_takes_the_default_route_and_says_so() -> None:
    router = CalibratedAllocator(
        pool([ValueError("x"), sure(0.99)]), default_route="m9", transport=Transport(max_tries=1)
    )
    output = router.invoke(asked("a", "b"))
    allocation = output["allocation"]
    assert allocation["models"] == {"1": "m9", "2": "m2"}
    assert allocation["reasons"] == {"1": "default_route", "2": "allocated"}
    assert allocation["note"] == "call_failed: InvalidReplyError"
    assert [a["error_type"] for a in output["attempts"]] == ["InvalidReplyError", None]


def test_no_money_takes_the_default_route_without_a_call() -> None:
    output = CalibratedAllocator(pool(["x"])).invoke(asked("a", "b", budget_usd=1e-9))
    assert output["attempts"] == []
    assert output["allocation"]["models"] == {"1": "m5", "2": "m5"}
    assert output["allocation"]["note"] == "budget"


@pytest.mark.parametrize("style", ["instruct", "bare"])
def test_a_plan_that_does_not_decompose_is_judged_by_the_query_itself(style: str) -> None:
    model = ScriptedChatModel(script=[sure(0.99)])
    spec = ModelSpec(name="m1", model=model, price=Price(input=1, output=1), prompt_style=style)  # type: ignore[arg-type]
    CalibratedAllocator(ModelPool([spec])).invoke(asked("#query"))
    shown = model.call_history[0][-1].text
    assert "the query" in shown
    assert "#query" not in shown


def test_a_reference_to_an_answer_that_is_not_there_yet_stays() -> None:
    models = pool([sure(0.99)])
    CalibratedAllocator(models).invoke(asked("double #1"))
    assert isinstance(models.cheapest.model, ScriptedChatModel)
    assert "double #1" in models.cheapest.model.call_history[0][-1].text


def test_a_replan_is_billed_to_its_subtask() -> None:
    rows = CalibratedAllocator(pool([sure(0.99)])).invoke(asked("a", "b", subtask_id="2"))["attempts"]
    assert {a["direction"] for a in rows} == {"replan"}
    assert all((a["subtask_id"] or "").startswith("2") for a in rows)


@pytest.mark.parametrize(("easy", "medium"), [(0.5, 0.6), (1.1, 0.5), (0.5, -0.1)])
def test_thresholds_are_checked(easy: float, medium: float) -> None:
    with pytest.raises(BadValueError, match="thresholds"):
        CalibratedAllocator(pool(["x"]), easy=easy, medium=medium)


@pytest.mark.parametrize("setting", ["evaluator", "default_route"])
def test_models_are_checked(setting: str) -> None:
    with pytest.raises(UnknownModelError, match="m99"):
        CalibratedAllocator(pool(["x"]), **{setting: "m99"})  # type: ignore[arg-type]
