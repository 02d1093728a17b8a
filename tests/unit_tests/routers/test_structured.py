"""Routers of models with structured output, and of served adapters, which are never asked for it."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import PrivateAttr

from langchain_r2 import ModelSpec, Price
from langchain_r2.errors import BadValueError
from langchain_r2.prompts import bare, instruct, plan_lines
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport, worst_usd
from langchain_r2.types import Plan, Subtask

POOL = scripted_pool(["x"], ["x"], ["x"])
PLAN = Plan(
    subtasks=[Subtask(id="1", text="a", depends_on=[]), Subtask(id="2", text="b #1", depends_on=["1"])],
    parse="clean", confidence=None, rejected=[],
)  # fmt: skip
USAGE = UsageMetadata(input_tokens=7, output_tokens=5, total_tokens=12)


class Tooled(ScriptedChatModel):
    """A scripted model whose structured output comes as a tool call, as LangChain does it for most providers."""

    max_tokens: int | None = None
    temperature: float | None = None
    _asked: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        self._asked.append({"schema": tools[0], "max_tokens": self.max_tokens, "temperature": self.temperature})
        return self.bind(tools=tools)


def called(**args: Any) -> AIMessage:
    call = {"name": "x", "args": args, "id": "1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call], usage_metadata=USAGE, response_metadata={"finish_reason": "tool_calls"})


def spec(model: ScriptedChatModel, *capabilities: str, **fields: Any) -> ModelSpec:
    price = Price(input=1.0, output=1.0)
    return ModelSpec(name="r", model=model, price=price, capabilities=frozenset(capabilities), **fields)


def decomposer(model: ScriptedChatModel, *capabilities: str, **fields: Any) -> PromptedDecomposer:
    return PromptedDecomposer(spec(model, *capabilities, **fields), transport=Transport(max_tries=1))


def allocator(model: ScriptedChatModel, *capabilities: str, coverage: Any = None, **fields: Any) -> PromptedAllocator:
    made = spec(model, *capabilities, **fields)
    return PromptedAllocator(made, POOL, shuffle_aliases=False, coverage=coverage, transport=Transport(max_tries=1))


def test_a_plan_is_asked_for_by_its_schema_and_billed() -> None:
    model = Tooled(script=[called(subtasks=["find a", "double #1"])])
    output = decomposer(model, "structured_output", max_output_tokens=99).invoke({"query": "q"})
    assert [(s["text"], s["depends_on"]) for s in output["plan"]["subtasks"]] == [("find a", []), ("double #1", ["1"])]
    assert output["plan"]["parse"] == "clean"
    (row,) = output["attempts"]
    assert (row["input_tokens"], row["output_tokens"], row["error_type"]) == (7, 5, None)
    (asked,) = model._asked
    assert asked["schema"]["properties"]["subtasks"]["type"] == "array"
    assert (asked["max_tokens"], asked["temperature"]) == (99, 0.0)
    assert model.call_history[0][0].text == instruct.decompose("q", max_subtasks=32, structured=True).system


def test_an_allocation_is_asked_for_by_a_schema_that_knows_subtasks_and_models() -> None:
    model = Tooled(script=[called(**{"1": "a", "2": "d"})])
    output = allocator(model, "structured_output").invoke({"query": "q", "plan": PLAN})
    assert output["allocation"]["models"] == {"1": "m1", "2": "m3"}
    schema = model._asked[0]["schema"]
    assert schema["required"] == ["1", "2"]
    assert schema["properties"]["2"]["enum"] == ["a", "c", "d"]


def test_a_model_that_answers_in_text_all_the_same_is_read() -> None:
    model = Tooled(script=[scripted_message("1: a\n2: d"), scripted_message("1: find a\n2: double #1")])
    assert allocator(model, "structured_output").invoke({"query": "q", "plan": PLAN})["allocation"]["note"] is None
    plan = decomposer(model, "structured_output").invoke({"query": "q"})["plan"]
    assert ([s["text"] for s in plan["subtasks"]], plan["parse"]) == (["find a", "double #1"], "repaired")


def test_a_malformed_reply_costs_one_more_sample() -> None:
    model = Tooled(script=[called(nonsense=1), called(subtasks=["find a"])])
    output = decomposer(model, "structured_output").invoke({"query": "q"})
    assert (len(output["attempts"]), output["plan"]["rejected"]) == (2, ["unparsable"])


def test_without_the_capability_no_schema_is_sent() -> None:
    model = Tooled(script=["1: find a"])
    decomposer(model).invoke({"query": "q"})
    assert model._asked == []


def test_a_capability_that_the_class_does_not_have_is_wrong_use() -> None:
    with pytest.raises(BadValueError, match=r"ScriptedChatModel.*capabilities"):
        decomposer(ScriptedChatModel(script=["1: a"]), "structured_output").invoke({"query": "q"})


def test_a_budget_sets_the_schema_aside_too() -> None:
    asks = spec(Tooled(script=["x"]), "structured_output")
    prompt = instruct.decompose("q", max_subtasks=32, structured=True)
    assert (worst_usd(asks, prompt, {"title": "x" * 100}) or 0) - (worst_usd(asks, prompt) or 0) >= 100e-6


def test_a_served_adapter_reads_the_prompt_of_its_training_whatever_the_server_can_do() -> None:
    """Such as vLLM with ``--enable-lora``: the adapter is a model name, its prompt the one of ``training/``."""
    model = Tooled(script=["1 : find a\n2 : double #1"])
    output = decomposer(model, "structured_output", "logprobs", prompt_style="bare").invoke({"query": "q"})
    assert [s["text"] for s in output["plan"]["subtasks"]] == ["find a", "double #1"]
    assert [m.text for m in model.call_history[0]] == [bare.decompose("q").user]
    assert model._asked == []


def test_a_served_allocator_reads_aliases_and_ranks() -> None:
    model = Tooled(script=["1 : d\n2 : a"])
    router = allocator(model, "structured_output", "logprobs", prompt_style="bare")
    assert router.invoke({"query": "q", "plan": PLAN})["allocation"]["models"] == {"1": "m3", "2": "m1"}
    shown = bare.allocate("q", plan_lines(["a", "b #1"]), cards=router.cards("q")).user
    assert [m.text for m in model.call_history[0]] == [shown]


def test_coverage_reads_names_as_they_were_trained() -> None:
    model = Tooled(script=["1: a\n2: c"])
    allocator(model, "structured_output", coverage=0.9).invoke({"query": "q", "plan": PLAN})
    assert model._asked == []
