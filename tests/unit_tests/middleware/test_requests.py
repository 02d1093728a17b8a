"""What of a request goes to the chosen model."""

from typing import Any

from langchain.agents.middleware import wrap_model_call
from langchain.agents.middleware.types import ModelRequest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_r2.middleware.requests import fitted, worst_of
from tests.unit_tests.middleware.agents import ToolModel, add, agent_of, asked, pool_of, sure


class OtherModel(ToolModel):
    """A model of another provider, with a setting of its own."""

    max_tokens: int = 0
    top_k: int = 0

    @property
    def _llm_type(self) -> str:
        return "other-chat"


class ChatAnthropicLike(ToolModel):
    @property
    def _llm_type(self) -> str:
        return "anthropic-chat"


MARK = {"cache_control": {"type": "ephemeral"}}


@tool(extras={**MARK, "other": 1})
def marked(a: int) -> int:
    """Marked to be cached."""
    return a


def request_of(model: Any, **parts: Any) -> ModelRequest[Any]:
    parts = {"messages": [HumanMessage("hi")], "tools": [], **parts}
    return ModelRequest(model=model, **parts)


def fit(request: ModelRequest[Any], chosen: Any, **settings: Any) -> ModelRequest[Any]:
    pool = pool_of(chosen, **settings)
    return fitted(request, pool["m1"], chosen, chosen)


def test_settings_of_another_provider_are_dropped() -> None:
    own = {"temperature": 0.1, "top_k": 3, "prompt_cache_key": "x", "cache_control": {}, "extra_headers": {"a": "b"}}
    request = request_of(ChatAnthropicLike(script=[], bound=[]), model_settings=own)

    assert fit(request, OtherModel(script=[], bound=[]), max_output_tokens=7).model_settings == {
        "temperature": 0.1,
        "top_k": 3,
        "max_tokens": 7,
    }
    assert fit(request, ChatAnthropicLike(script=[], bound=[])).model_settings == own


def test_a_reply_is_as_long_as_the_spec_allows_or_shorter() -> None:
    other = OtherModel(script=[], bound=[])

    assert fit(request_of(other), other, max_output_tokens=7).model_settings == {"max_tokens": 7}
    shorter = request_of(other, model_settings={"max_tokens": 3})
    assert fit(shorter, other, max_output_tokens=7).model_settings == {"max_tokens": 3}


def test_marks_of_what_to_cache_go_to_anthropic_only() -> None:
    block = {"type": "text", "text": "hi", **MARK, "extras": {**MARK, "kept": 1}}
    request = request_of(
        ChatAnthropicLike(script=[], bound=[]),
        messages=[HumanMessage([block])],
        system_message=SystemMessage([block]),
        tools=[marked, {"type": "web", **MARK}],
    )

    plain = fit(request, OtherModel(script=[], bound=[]))
    assert "cache_control" not in str([plain.messages, plain.system_message, plain.tools])
    assert plain.messages[0].content == [{"type": "text", "text": "hi", "extras": {"kept": 1}}]
    assert plain.tools[0].extras == {"other": 1}  # type: ignore[union-attr]
    assert request.messages[0].content == [block]  # the agent's own message is as it was

    kept = fit(request, ChatAnthropicLike(script=[], bound=[]))
    assert kept.messages[0].content == [block]
    assert kept.tools == request.tools


def test_thoughts_stay_with_the_provider_that_had_them() -> None:
    blocks: list[Any] = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi"}]
    theirs = AIMessage(blocks, response_metadata={"model_provider": "anthropic"})
    unknown, other = AIMessage(blocks), OtherModel(script=[], bound=[])

    messages = fit(request_of(other, messages=[theirs, unknown]), other).messages

    assert messages[0].content == blocks[1:]
    assert messages[1].content == blocks


def test_the_bound_of_a_call_counts_bytes_tools_and_schema() -> None:
    pool = pool_of(["x"], max_output_tokens=9, context_tokens=5000)
    spec, model = pool["m1"], pool["m1"].model
    plain = worst_of(spec, request_of(model))
    assert plain.output_tokens == 9
    assert worst_of(spec, request_of(model, messages=[HumanMessage("é" * 100)])).input_tokens >= 200

    tools = worst_of(spec, request_of(model, tools=[add])).input_tokens
    schema = worst_of(spec, request_of(model, response_format={"title": "A" * 50})).input_tokens
    assert tools > plain.input_tokens + 50
    assert schema > plain.input_tokens + 50
    image = HumanMessage([{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}])
    assert worst_of(spec, request_of(model, messages=[image])).input_tokens == 5000


def test_an_agent_s_settings_reach_the_model() -> None:
    @wrap_model_call
    def settings(request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"temperature": 0.3}))

    chosen = ToolModel(script=[sure("yes")], bound=[])
    agent_of(pool_of(chosen), tools=[add], before=[settings]).invoke(asked())

    assert chosen.bound[0]["temperature"] == 0.3
    assert chosen.bound[0]["tools"] == ["add"]
