"""``ChatR2`` over a real server: agents, tokens as they come, JSON in all three ways, pictures, budgets."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_r2 import ChatR2, ModelPool, ModelSpec, Price
from langchain_r2.errors import NoAnswerError
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer
from tests.integration_tests.tool_server import GREETING, Served, tool_server

ALL = frozenset({"logprobs", "tools", "structured_output"})


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@tool
def get_weather(location: str) -> str:
    """The weather at a place."""
    return f"sunny in {location}"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with tool_server() as served:
        yield served


def chat(
    server: Served, capabilities: tuple[frozenset[str], ...] = (ALL, ALL), start: str = "m1", **fields: Any
) -> ChatR2:
    specs = [
        ModelSpec(
            name=f"m{n}",
            model=f"model-{n}",
            base_url=server.url,
            price=Price(input=10.0**n, output=10.0**n),
            capabilities=some,
        )
        for n, some in enumerate(capabilities, 1)
    ]
    pool = ModelPool(specs)
    return ChatR2(pool=pool, decomposer=NoDecomposer(), allocator=FixedAllocator(pool, start), **fields)


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_an_agent_calls_its_tool_and_answers(server: Served, mode: str) -> None:
    agent: Any = create_agent(chat(server), [get_weather], system_prompt="Be kind.")
    asked = {"messages": [HumanMessage("What is the weather in 'Lima'?")]}
    state = agent.invoke(asked) if mode == "sync" else await agent.ainvoke(asked)
    assert [m.text for m in state["messages"] if isinstance(m, ToolMessage)] == ["sunny in Lima"]
    assert state["messages"][-1].text == "The tool says: sunny in Lima"
    assert {m["role"] for m in server.bodies[-1]["messages"]} == {"system", "user", "assistant", "tool"}


def test_an_agent_replies_in_a_form(server: Served) -> None:
    agent: Any = create_agent(chat(server), [], response_format=ToolStrategy(Joke))
    state = agent.invoke({"messages": [HumanMessage("A joke about 'cats'.")]})
    assert state["structured_response"] == Joke(setup="cats", punchline="cats")


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output(
    server: Served, method: Literal["json_schema", "function_calling", "json_mode"], include_raw: bool
) -> None:
    chain = chat(server).with_structured_output(Joke, method=method, include_raw=include_raw)
    got: Any = chain.invoke("A joke as JSON with 'setup' and 'punchline'.")
    assert isinstance(got["parsed"] if include_raw else got, Joke)
    if include_raw:
        assert got["raw"].response_metadata["r2"]["cost_usd"] > 0
    form = server.bodies[-1].get("response_format", {}).get("type")
    assert form == {"json_schema": "json_schema", "json_mode": "json_object"}.get(method)


def test_a_form_goes_to_a_model_that_has_it(server: Served) -> None:
    model = chat(server, (frozenset(), ALL))
    model.with_structured_output(Joke, method="json_schema").invoke("A joke about 'cats'.")
    assert server.bodies[-1]["model"] == "model-2"


@pytest.mark.parametrize("start", ["m1", "m2"])
def test_only_a_try_that_no_other_can_follow_is_streamed(server: Served, start: str) -> None:
    pieces = list(chat(server, start=start).stream("hi"))
    assert "".join(p.text for p in pieces) == GREETING
    assert len(pieces) > 5
    assert bool(server.bodies[-1].get("stream")) == (start == "m2")
    assert pieces[-1].usage_metadata is not None
    assert pieces[-1].usage_metadata["output_tokens"] > 5
    assert pieces[-1].response_metadata["r2"]["usage"][start]["cost_usd"] > 0


async def test_tool_calls_stream(server: Served) -> None:
    whole: Any = None
    async for piece in chat(server, start="m2").bind_tools([get_weather]).astream("the weather in 'Lima'"):
        whole = piece if whole is None else whole + piece
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [("get_weather", {"location": "Lima"})]
    assert server.bodies[-1]["stream"] is True


def test_options_reach_the_endpoint(server: Served) -> None:
    reply = chat(server, temperature=0.3, max_tokens=77, stop=["how"]).invoke("hi")
    body = server.bodies[-1]
    assert (body["temperature"], body["max_completion_tokens"], body["stop"]) == (0.3, 77, ["how"])
    assert reply.text.strip() == "Hello,"


def test_a_picture_is_shown_to_the_model(server: Served) -> None:
    url = "data:image/png;base64,iVBORw0KGgo="
    content: Any = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert chat(server).invoke([HumanMessage(content)]).text == GREETING
    assert server.bodies[-1]["messages"][0]["content"][1]["image_url"]["url"] == url


def test_what_the_budget_cannot_pay_is_not_sent(server: Served) -> None:
    before = len(server.bodies)
    with pytest.raises(NoAnswerError, match="budget_exhausted"):
        chat(server, budget_usd=1e-7).bind_tools([get_weather]).invoke("the weather in 'Lima'")
    assert len(server.bodies) == before
