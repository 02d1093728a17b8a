import subprocess
import sys
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_r2 import BudgetError, ConfigurationError, R2Context
from langchain_r2.confidence import Confidence
from langchain_r2.embedded import embedded_router
from langchain_r2.in_process import InProcessChatModel
from langchain_r2.ledger import bill
from langchain_r2.middleware import R2RouterMiddleware
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.types import Allocation
from tests.unit_tests.middleware.agents import (
    add,
    agent_of,
    asked,
    calling,
    calls_of,
    fails,
    pool_of,
    sure,
    tried,
    unsure,
)


class Weather(BaseModel):
    """The weather."""

    city: str
    degrees: int


def test_the_cheapest_model_answers_when_it_is_sure() -> None:
    pool = pool_of([sure("yes")], [sure("no")])

    output = agent_of(pool).invoke(asked())

    assert output["messages"][-1].text == "yes"
    assert tried(output) == [("m1", "initial", "allocated")]
    assert calls_of(pool, "m2") == []
    decision = output["r2_decisions"][0]
    assert (decision["model"], decision["accepted"], decision["reason"]) == ("m1", True, "confident")


async def test_low_confidence_goes_upward_in_an_asynchronous_run_too() -> None:
    pool = pool_of([unsure("maybe")], [sure("yes")])

    output = await agent_of(pool).ainvoke(asked())

    assert output["messages"][-1].text == "yes"
    assert [m.text for m in output["messages"]].count("maybe") == 0
    assert tried(output) == [("m1", "initial", "allocated"), ("m2", "upward", "low_confidence")]


def test_an_error_goes_upward_and_is_a_row() -> None:
    pool = pool_of([ConnectionError("gone")], [sure("yes")])

    output = agent_of(pool).invoke(asked())

    assert output["messages"][-1].text == "yes"
    first, second = output["r2_attempts"]
    assert (first["error_type"], first["cost_usd"]) == ("UnreachableError", 0.0)
    assert second["reason"] == "unreachable"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (scripted_message("so long", finish="length"), "truncated"),
        (scripted_message("no", finish="content_filter"), "refused"),
        (scripted_message(""), "invalid_output"),
        (calling("subtract", a=1, b=2), "invalid_output"),
        (calling("add", a=1), "invalid_output"),
        (calling("add", a="one", b=2), "invalid_output"),
    ],
)
def test_what_cannot_be_right_goes_upward_without_a_further_call(reply: AIMessage, reason: str) -> None:
    pool = pool_of([reply], [sure("yes")])

    output = agent_of(pool, tools=[add]).invoke(asked())

    assert tried(output)[1:] == [("m2", "upward", reason)]
    assert output["messages"][-1].text == "yes"


def test_a_tool_call_runs_and_its_step_is_a_kind_of_its_own() -> None:
    pool = pool_of([calling("add", a=2, b=3), sure("5")], [sure("never")])

    output = agent_of(pool, tools=[add]).invoke(asked())

    assert [m.type for m in output["messages"]] == ["human", "ai", "tool", "ai"]
    assert output["messages"][2].text == "5"
    assert [d["kind"] for d in output["r2_decisions"]] == ["user", "tool:add"]


def test_models_that_take_no_tools_are_left_out_where_there_are_tools() -> None:
    pool = pool_of(ScriptedChatModel(script=[sure("no tools")]), [sure("yes")])

    assert tried(agent_of(pool, tools=[add]).invoke(asked())) == [("m2", "initial", "allocated")]
    assert tried(agent_of(pool).invoke(asked())) == [("m1", "initial", "allocated")]


def test_a_pool_without_a_model_for_tools_is_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="takes tools"):
        agent_of(scripted_pool(["x"]), tools=[add]).invoke(asked())


def test_a_model_is_left_out_where_the_messages_are_too_long_for_it() -> None:
    pool = pool_of([sure("short")], [sure("long")], context_tokens=1000)
    pool = type(pool)([pool["m1"], type(pool["m2"])(**{**vars(pool["m2"]), "context_tokens": 10_000})])

    assert tried(agent_of(pool).invoke(asked("word " * 2000))) == [("m2", "initial", "allocated")]


def test_a_structured_answer_that_does_not_fit_goes_upward() -> None:
    wrong, right = calling("Weather", city="Bern"), calling("Weather", city="Bern", degrees=3)
    pool = pool_of([wrong], [right])

    output = agent_of(pool, response_format=Weather).invoke(asked())

    assert output["structured_response"] == Weather(city="Bern", degrees=3)
    assert tried(output)[1:] == [("m2", "upward", "invalid_output")]
    assert len([m for m in output["messages"] if isinstance(m, AIMessage)]) == 1


def test_the_best_answer_is_taken_where_the_stronger_models_fail() -> None:
    pool = pool_of([unsure("maybe")], [ConnectionError("gone")])

    output = agent_of(pool).invoke(asked())

    assert output["messages"][-1].text == "maybe"
    assert output["r2_decisions"][0]["accepted"] is False
    assert output["r2_decisions"][0]["model"] == "m1"


def test_the_last_error_is_raised_where_no_model_answers() -> None:
    pool = pool_of([ConnectionError("first")], [ConnectionError("second")])

    with pytest.raises(ConnectionError, match="second"):
        agent_of(pool).invoke(asked())


def test_most_attempts() -> None:
    pool = pool_of([unsure("1")], [unsure("2")], [unsure("3")])

    output = agent_of(pool, limits=R2Context(max_attempts=2)).invoke(asked())

    assert [model for model, _, _ in tried(output)] == ["m1", "m2"]
    assert output["r2_decisions"][0]["reason"] == "attempts_used"


def test_switched_off_upward_stays() -> None:
    pool = pool_of([unsure("1")], [sure("2")])

    output = agent_of(pool, limits=R2Context(reallocate_upward=False)).invoke(asked())

    assert output["messages"][-1].text == "1"


def test_limits_in_the_context_of_a_run() -> None:
    pool = pool_of([unsure("1"), unsure("1")], [sure("2")])
    agent = agent_of(pool, context_schema=R2Context)

    assert agent.invoke(asked(), context=R2Context(threshold=0.1))["messages"][-1].text == "1"
    assert agent.invoke(asked(), context=R2Context(threshold=0.5))["messages"][-1].text == "2"


def to(*models: str) -> tuple[RunnableLambda[Any, Any], list[Any]]:
    """An allocator that names models in turn, and what it was asked."""
    inputs: list[Any] = []

    def allocate(value: Any) -> Any:
        inputs.append(value)
        model = models[min(len(inputs), len(models)) - 1]
        return {
            "allocation": Allocation(models={"1": model}, reasons={"1": "allocated"}, note=None),
            "attempts": [],
        }

    return RunnableLambda(allocate), inputs


def test_the_allocator_names_the_model_that_a_call_starts_at() -> None:
    pool = pool_of([sure("1")], [sure("2")], [sure("3")])
    allocator, inputs = to("m2")

    output = agent_of(pool, allocator=allocator).invoke(asked("how many ?"))

    assert tried(output) == [("m2", "initial", "allocated")]
    assert inputs[0]["query"] == "how many ?"
    assert [s["text"] for s in inputs[0]["plan"]["subtasks"]] == ["how many ?"]


def test_the_allocator_is_asked_for_each_kind_once_and_for_each_message_of_the_user() -> None:
    call = calling("add", a=1, b=1)
    pool = pool_of([call, call, sure("2")] * 2)
    allocator, inputs = to("m1")
    agent = agent_of(pool, tools=[add], allocator=allocator, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}

    agent.invoke(asked(), config)
    assert len(inputs) == 2  # the user's message, and the first step after `add`
    agent.invoke(asked(), config)
    assert len(inputs) == 3


def test_the_custom_stream_shows_what_was_decided() -> None:
    pool = pool_of([unsure("maybe")], [sure("yes")])

    events = list(agent_of(pool).stream(asked(), stream_mode="custom"))

    kinds = [e["event"] for e in events]
    assert kinds == ["route", "attempt", "reallocate_upward", "attempt", "decision"]
    assert events[2]["reason"] == "low_confidence"


async def test_tokens_of_drafts_are_hidden() -> None:
    pool = pool_of([unsure("a draft")], [sure("the answer")])

    parts = [m async for m, _ in agent_of(pool).astream(asked(), stream_mode="messages")]

    assert "".join(m.text for m in parts) == "the answer"


def test_a_failed_tool_is_a_kind_of_step() -> None:
    from langchain.agents.middleware import ToolErrorMiddleware

    pool = pool_of([calling("fails", text="x"), sure("sorry")])

    output = agent_of(pool, tools=[fails], before=[ToolErrorMiddleware(lambda error, request: "it failed")]).invoke(
        asked()
    )

    assert [d["kind"] for d in output["r2_decisions"]] == ["user", "tool_error"]


def test_the_bill_adds_up_all_calls() -> None:
    first, second = (scripted_message(text, "one two", p) for text, p in (("a b c", 0.2), ("d e", 0.9)))
    pool = pool_of([first], [second], prices=[1.0, 10.0])

    made = bill(agent_of(pool).invoke(asked())["r2_attempts"])

    assert made.calls == 2
    assert made.by_model == pytest.approx({"m1": (2 + 3) * 1e-6, "m2": (2 + 2) * 1e-5})


def test_the_state_is_json_data() -> None:
    import json

    pool = pool_of([unsure("a")], [sure("b")])
    agent = agent_of(pool, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    agent.invoke(asked(), config)

    values = agent.get_state(config).values
    json.dumps({name: value for name, value in values.items() if name.startswith("r2_")})
    assert values["r2_routes"]["user"]["model"] == "m2"


def test_wrong_use() -> None:
    pool = pool_of(["x"])
    with pytest.raises(ConfigurationError, match="on_budget"):
        R2RouterMiddleware(pool, on_budget="stop")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="ModelPool"):
        R2RouterMiddleware([pool["m1"]])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="token signal"):
        R2RouterMiddleware(pool, confidence=Confidence(samples=3))
    with pytest.raises(ConfigurationError, match="deadline_s"):
        R2RouterMiddleware(pool, limits=R2Context(deadline_s=3))
    with pytest.raises(ConfigurationError, match="m9"):
        R2RouterMiddleware(pool, floor="m9")


def test_the_budget_ends_the_agent_before_a_call_that_could_pass_it() -> None:
    pool = pool_of([calling("add", a=1, b=1)], max_output_tokens=100, prices=[1.0])
    limit = 0.002

    output = agent_of(pool, tools=[add], limits=R2Context(budget_usd=limit)).invoke(asked())

    assert "budget has" in output["messages"][-1].text
    assert output["r2_decisions"][-1]["reason"] == "budget"
    assert bill(output["r2_attempts"]).cost_usd <= limit  # type: ignore[operator]
    assert len(output["r2_attempts"]) > 1


def test_the_budget_may_raise_instead() -> None:
    with pytest.raises(BudgetError):
        agent_of(pool_of(["x"]), limits=R2Context(budget_usd=1e-9), on_budget="error").invoke(asked())


def test_a_model_that_the_budget_cannot_pay_gives_way_to_a_cheaper_one() -> None:
    pool = pool_of([sure("cheap")], [sure("dear")], prices=[1.0, 1e5])
    allocator, _ = to("m2")

    output = agent_of(pool, allocator=allocator, limits=R2Context(budget_usd=0.01)).invoke(asked())

    assert tried(output) == [("m1", "downward", "budget")]


def test_an_unsure_answer_is_kept_where_the_budget_cannot_pay_for_a_stronger_model() -> None:
    pool = pool_of([unsure("cheap")], [sure("dear")], prices=[1.0, 1e5])

    output = agent_of(pool, limits=R2Context(budget_usd=0.01)).invoke(asked())

    assert output["messages"][-1].text == "cheap"
    assert output["r2_decisions"][0]["reason"] == "budget"


def test_each_run_of_a_thread_has_the_whole_budget() -> None:
    pool = pool_of([sure("yes")], prices=[1.0], max_output_tokens=100)
    agent = agent_of(pool, limits=R2Context(budget_tokens=300), checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}

    outputs = [agent.invoke(asked(), config) for _ in range(2)]

    assert all(o["messages"][-1].text == "yes" for o in outputs)
    assert len(outputs[1]["r2_attempts"]) == 2


async def test_an_agent_on_the_embedded_pool_climbs_until_it_is_sure() -> None:
    router = embedded_router()
    limits = R2Context(max_attempts=9)
    agent = agent_of(router["pool"], confidence=router["confidence"], limits=limits)

    output = await agent.ainvoke(asked("solve : 23 times 48"))

    assert output["messages"][-1].text.endswith("1104")
    assert output["r2_decisions"][0]["accepted"] is True
    assert len(output["r2_attempts"]) > 1


def test_a_copy_of_a_model_in_this_process_shares_what_is_loaded() -> None:
    model = embedded_router()["pool"].cheapest.model
    assert isinstance(model, InProcessChatModel)

    copies = [model.model_copy(update={"tags": ["x"]}) for _ in range(2)]

    assert copies[0].engine is copies[1].engine is model.engine
    assert copies[0].tags == ["x"]


def test_without_langchain_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "import langchain_r2\n"
        "try:\n    import langchain_r2.middleware\n"
        "except langchain_r2.ConfigurationError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtraError")
    assert 'pip install "langchain-r2[agents]"' in done.stdout
