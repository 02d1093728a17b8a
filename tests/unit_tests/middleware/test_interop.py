"""The router among other middleware, around subagents, and in runs that a person interrupts."""

import asyncio
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import BaseModel

from langchain_r2 import R2Context
from langchain_r2.ledger import bill
from langchain_r2.middleware import R2RouterMiddleware
from langchain_r2.testing import scripted_message
from tests.unit_tests.middleware.agents import (
    ToolModel,
    add,
    agent_of,
    asked,
    calling,
    calls_of,
    pool_of,
    sure,
    tried,
    unsure,
)

THREAD: Any = {"configurable": {"thread_id": "1"}}


class Weather(BaseModel):
    """The weather."""

    city: str


def model_of(*replies: Any) -> ToolModel:
    return ToolModel(script=[*replies], bound=[])


def test_model_call_limit_counts_calls_of_the_agent_not_tries() -> None:
    call = calling("add", a=1, b=1)
    pool = pool_of([unsure("x"), call], [call])

    output = agent_of(pool, tools=[add], before=[ModelCallLimitMiddleware(run_limit=2)]).invoke(asked())

    assert len(output["r2_decisions"]) == 2
    assert len(output["r2_attempts"]) == 3
    assert "limit" in output["messages"][-1].text


def test_summarized_messages_are_no_message_of_the_user() -> None:
    pool = pool_of([calling("add", a=1, b=1), sure("2")])
    summary = SummarizationMiddleware(model_of("it was about numbers"), trigger=("messages", 4), keep=("messages", 2))
    agent = agent_of(pool, tools=[add], before=[summary], checkpointer=InMemorySaver())
    agent.invoke(asked("first"), THREAD)

    output = agent.invoke(asked("second"), THREAD)

    assert any(m.additional_kwargs.get("lc_source") == "summarization" for m in output["messages"])
    assert [d["kind"] for d in output["r2_decisions"]] == ["user", "tool:add", "user"]
    assert "it was about numbers" in str(calls_of(pool, "m1")[-1])


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_person_decides_and_the_run_goes_on_in_another_agent(asynchronous: bool) -> None:
    pool, saver = pool_of([calling("add", a=1, b=1), sure("2")], max_output_tokens=100), InMemorySaver()
    human = HumanInTheLoopMiddleware({"add": True})
    parts: dict[str, Any] = {"tools": [add], "before": [human], "checkpointer": saver}
    parts["limits"] = R2Context(budget_tokens=1000)
    stopped = agent_of(pool, **parts).invoke(asked(), THREAD)
    assert stopped["__interrupt__"]
    assert len(stopped["r2_attempts"]) == 1

    again = agent_of(pool, **parts)
    resume: Command[Any] = Command(resume={"decisions": [{"type": "approve"}]})
    output = await again.ainvoke(resume, THREAD) if asynchronous else again.invoke(resume, THREAD)

    assert output["messages"][-1].text == "2"
    assert len(output["r2_attempts"]) == 2
    assert len(calls_of(pool, "m1")) == 2


def test_a_resumed_run_keeps_what_it_has_spent() -> None:
    # Two calls are within the limit, but the second's worst case is not, once the first is counted.
    spent = scripted_message("", probability=None).model_copy(
        update={
            "tool_calls": calling("add", a=1, b=1).tool_calls,
            "usage_metadata": {"input_tokens": 300, "output_tokens": 500, "total_tokens": 800},
        }
    )
    pool = pool_of([spent, sure("2")], max_output_tokens=600)
    parts: dict[str, Any] = {"tools": [add], "before": [HumanInTheLoopMiddleware({"add": True})]}
    parts |= {"limits": R2Context(budget_tokens=1400), "checkpointer": InMemorySaver()}
    agent_of(pool, **parts).invoke(asked(), THREAD)

    output = agent_of(pool, **parts).invoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)

    assert output["r2_decisions"][-1]["reason"] == "budget"
    assert len(calls_of(pool, "m1")) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_fallback_outside_is_not_defeated(asynchronous: bool) -> None:
    pool = pool_of([ConnectionError("1")], [ConnectionError("2")])
    agent = agent_of(pool, before=[ModelFallbackMiddleware(model_of(sure("from the fallback")))])

    output = await agent.ainvoke(asked()) if asynchronous else agent.invoke(asked())

    assert output["messages"][-1].text == "from the fallback"
    assert [model for model, _, _ in tried(output)] == ["m1", "m2", "ToolModel"]
    assert bill(output["r2_attempts"]).cost_usd is None  # what it costs, nobody said
    assert (len(calls_of(pool, "m1")), len(calls_of(pool, "m2"))) == (1, 1)


def test_a_fallback_outside_that_is_in_the_pool_has_its_price() -> None:
    last = model_of(ConnectionError("once"), sure("yes"))
    pool = pool_of([ConnectionError("1")], last)

    output = agent_of(pool, before=[ModelFallbackMiddleware(last)]).invoke(asked())

    assert [model for model, _, _ in tried(output)] == ["m1", "m2", "m2"]
    assert bill(output["r2_attempts"]).cost_usd is not None


def test_a_fallback_inside_answers_and_the_row_says_so() -> None:
    pool = pool_of([ConnectionError("1")], [sure("never")])
    answer = scripted_message("from the fallback", "what is it ?", 0.9)
    answer.response_metadata["model_name"] = "other"

    output = agent_of(pool, behind=[ModelFallbackMiddleware(model_of(answer))]).invoke(asked())

    assert output["messages"][-1].text == "from the fallback"
    rows = output["r2_attempts"]
    assert [(r["model"], r["error_type"]) for r in rows] == [("m1", "UnreachableError"), ("other", None)]
    assert (rows[1]["cost_usd"], rows[1]["output_tokens"]) == (None, 3)
    assert calls_of(pool, "m2") == []


def test_a_fallback_inside_that_the_pool_has_is_billed_at_its_price() -> None:
    pool = pool_of([ConnectionError("1")], [sure("never")], prices=[1.0, 10.0])
    answer = scripted_message("yes", "what is it ?", 0.9)
    answer.response_metadata["model_name"] = "m2"

    output = agent_of(pool, behind=[ModelFallbackMiddleware(model_of(answer))]).invoke(asked())

    assert bill(output["r2_attempts"]).by_model == pytest.approx({"m1": 0.0, "m2": 5e-5})


@pytest.mark.parametrize("inside", [False, True])
def test_a_retry_on_either_side(inside: bool) -> None:
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)
    pool = pool_of([ConnectionError("once"), sure("yes")])

    output = agent_of(pool, **{"behind" if inside else "before": [retry]}).invoke(asked())

    assert output["messages"][-1].text == "yes"
    assert [(r["model"], r["error_type"]) for r in output["r2_attempts"]] == [("m1", "UnreachableError"), ("m1", None)]


def test_a_retry_inside_that_gives_up_with_a_message_goes_upward() -> None:
    retry = ModelRetryMiddleware(max_retries=0, on_failure="continue")
    pool = pool_of([ConnectionError("gone")], [sure("yes")])

    output = agent_of(pool, behind=[retry]).invoke(asked())

    assert output["messages"][-1].text == "yes"
    assert tried(output)[1:] == [("m2", "upward", "unreachable")]


def test_a_retry_inside_does_not_pass_the_budget() -> None:
    retry = ModelRetryMiddleware(max_retries=5, initial_delay=0.0, jitter=False, on_failure="error")
    timeout = TimeoutError("it may have been billed")
    pool = pool_of([timeout], max_output_tokens=1000, prices=[1.0])
    limit = 0.0025

    with pytest.raises(Exception, match=r"."):
        agent_of(pool, behind=[retry], limits=R2Context(budget_usd=limit), on_budget="error").invoke(asked())

    assert len(calls_of(pool, "m1")) == 2


def subagent_tool(pool: Any, router: R2RouterMiddleware | None = None) -> Any:
    inner = create_agent(model_of(AssertionError()), [], middleware=[router or R2RouterMiddleware(pool)])

    @tool
    def ask(question: str) -> str:
        """Ask a subagent."""
        return str(inner.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text)

    @tool
    async def aask(question: str) -> str:
        """Ask a subagent."""
        return str((await inner.ainvoke({"messages": [HumanMessage(question)]}))["messages"][-1].text)

    return ask, aask


def test_calls_of_a_subagent_are_on_the_bill_of_the_agent() -> None:
    inner = pool_of([unsure("hm")], [sure("inner")])
    ask, _ = subagent_tool(inner)
    pool = pool_of([calling("ask", question="?"), sure("outer")])

    output = agent_of(pool, tools=[ask]).invoke(asked())

    assert output["messages"][-1].text == "outer"
    assert [r["answer"] for r in output["r2_attempts"]] == ["", "hm", "inner", "outer"]
    assert len({r["subtask_id"] for r in output["r2_attempts"]}) == 3


async def test_subagents_of_one_step_share_the_budget_of_the_run() -> None:
    inner = pool_of([sure("inner")], max_output_tokens=1000)
    _, aask = subagent_tool(inner)
    calls = [{**calling("aask", question="?").tool_calls[0], "id": f"call_{n}"} for n in range(3)]
    many = scripted_message("", probability=None).model_copy(update={"tool_calls": calls})
    pool = pool_of([many, sure("outer")], max_output_tokens=10)

    output = await agent_of(pool, tools=[aask], limits=R2Context(budget_tokens=1300)).ainvoke(asked())

    results = [m.text for m in output["messages"] if isinstance(m, ToolMessage)]
    # Each call of the subagent could take more than 1000 tokens: they wait for one another, and all are paid.
    assert results == ["inner"] * 3
    assert len(calls_of(inner, "m1")) == 3


def test_a_subagent_cannot_pass_the_budget_of_the_run() -> None:
    inner = pool_of([sure("inner")], max_output_tokens=1000)
    router = R2RouterMiddleware(inner)  # without a limit of its own
    ask, _ = subagent_tool(inner, router)
    pool = pool_of([calling("ask", question="?"), sure("outer")], max_output_tokens=10)

    output = agent_of(pool, tools=[ask], limits=R2Context(budget_tokens=700)).invoke(asked())

    assert calls_of(inner, "m1") == []
    assert "budget" in next(m.text for m in output["messages"] if isinstance(m, ToolMessage))
    assert output["messages"][-1].text == "outer"


def test_a_tool_that_returns_a_command_keeps_it() -> None:
    inner = create_agent(model_of(), [], middleware=[R2RouterMiddleware(pool_of([sure("inner")]))])

    @tool
    def ask(question: str) -> Command[Any]:
        """Ask a subagent."""
        text = inner.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text
        return Command(update={"messages": [ToolMessage(text, tool_call_id="call_ask")]})

    output = agent_of(pool_of([calling("ask", question="?"), sure("outer")]), tools=[ask]).invoke(asked())

    assert [m.text for m in output["messages"]][2:] == ["inner", "outer"]
    assert [r["answer"] for r in output["r2_attempts"]] == ["", "inner", "outer"]


@pytest.mark.parametrize("name", ["helper", "general-purpose"])
def test_deepagents_and_its_subagents(name: str) -> None:
    deepagents = pytest.importorskip("deepagents")
    router = R2RouterMiddleware(
        pool_of(
            lambda text: (
                sure("from the subagent")
                if text == "a question"
                else sure("done")
                if "from the subagent" in text
                else calling("task", description="a question", subagent_type=name)
            ),
            context_tokens=100_000,
        )
    )
    helper = {"name": name, "description": "helps", "system_prompt": "Help.", "middleware": [router]}
    agent = deepagents.create_deep_agent(model_of(AssertionError("called")), middleware=[router], subagents=[helper])

    output = agent.invoke(asked())

    assert output["messages"][-1].text == "done"
    assert len(output["r2_attempts"]) == 3
    assert len({r["subtask_id"] for r in output["r2_attempts"]}) == 3
    assert isinstance(output["messages"][1], AIMessage)


async def test_tokens_of_drafts_are_hidden_where_tools_are_bound() -> None:
    pool = pool_of([unsure("a draft")], [sure("the answer")])

    parts = [m async for m, _ in agent_of(pool, tools=[add]).astream(asked(), stream_mode="messages")]

    assert "".join(m.text for m in parts) == "the answer"


async def test_a_cancelled_call_is_charged_what_it_could_have_cost() -> None:
    started = asyncio.Event()

    class Slow(ToolModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            started.set()
            await asyncio.sleep(60)

    pool = pool_of(Slow(script=[], bound=[]), max_output_tokens=100)
    router = R2RouterMiddleware(pool, limits=R2Context(budget_tokens=1000))
    state: dict[str, Any] = {"messages": [HumanMessage("?")], "r2_run": {"id": "run", "before": 0}}
    request = ModelRequest(model=model_of(), messages=state["messages"], state=cast(Any, state))

    async def handler(asked: ModelRequest[Any]) -> ModelResponse[Any]:
        return ModelResponse(result=[await asked.model.ainvoke(asked.messages)])

    call = asyncio.create_task(router.awrap_model_call(request, handler))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    budget = router._run(state, R2Context(budget_tokens=1000)).budget
    assert budget.spent_tokens > 100
