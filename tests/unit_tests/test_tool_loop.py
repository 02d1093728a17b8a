"""Models that call tools of their own while they work on a subtask."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.tools import tool
from rich.console import Console

from langchain_r2 import FREE, ChatR2, ConfigurationError, ModelPool, ModelSpec, Price, R2Context, resume
from langchain_r2.call_ledger import CallLedger
from langchain_r2.cli.view import show_run
from langchain_r2.executors import per_call, with_tools
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.routers.prompted import PromptedAllocator
from langchain_r2.run_record import run_record
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.trace import to_html
from tests.unit_tests.middleware.agents import ToolModel, sure, unsure

ONE = Price(input=1.0, output=1.0)
QUERY = {"query": "what is 6 times 7 ?"}


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


@tool
def broken(text: str) -> str:
    """Break."""
    raise ValueError(f"no {text}")


def asking(*uses: tuple[str, dict[str, Any]]) -> AIMessage:
    """A reply that calls tools."""
    calls = [ToolCall(name=n, args=args, id=f"call{i}", type="tool_call") for i, (n, args) in enumerate(uses)]
    return scripted_message("", "a prompt of five words").model_copy(update={"tool_calls": calls})


TIMES = asking(("multiply", {"a": 6, "b": 7}))


def spec_of(name: str, *script: Any, price: Price = ONE, tools: Any = None, **opts: Any) -> Any:
    tools = tools or [(multiply, per_call(0.002))]
    model = ToolModel(script=[*script], bound=[])
    return with_tools(ModelSpec(name=name, model=model, price=price, max_output_tokens=50), tools, **opts)


def graph_of(*specs: ModelSpec, **options: Any) -> Any:
    pool = ModelPool(specs)
    return create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), **options)


def history(spec: ModelSpec) -> list[Any]:
    assert isinstance(spec.model, ScriptedChatModel)
    return spec.model.call_history


def rows_of(output: Any) -> list[tuple[str, str, str | None]]:
    return [(a["role"], a["model"], a["answer"]) for a in output["attempts"]]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_model_calls_its_tools_until_it_answers_and_every_call_is_paid(asynchronous: bool) -> None:
    both = asking(("multiply", {"a": 6, "b": 7}), ("multiply", {"a": 42, "b": 2}))
    spec = spec_of("m1", both, asking(("multiply", {"a": 84, "b": 1})), sure("answer: 84"))
    graph = graph_of(spec)

    output = await graph.ainvoke(QUERY) if asynchronous else graph.invoke(QUERY)

    assert (output["answer"], output["status"]) == ("84", "ok")
    assert rows_of(output) == [
        ("executor", "m1", None),
        ("tool", "multiply", "42"),
        ("tool", "multiply", "84"),
        ("executor", "m1", None),
        ("tool", "multiply", "84"),
        ("executor", "m1", "84"),
    ]
    assert (
        output["attempts"][0]["calls"][1]
        == output["attempts"][2]["calls"][0]
        == {
            "name": "multiply",
            "args": {"a": 42, "b": 2},
        }
    )
    assert bill(output["attempts"]).by_model["multiply"] == pytest.approx(0.006)
    assert bill(output["attempts"]).by_role["executor"] == pytest.approx((10 + 2) / 1e6)
    assert [m.text for m in history(spec)[2] if isinstance(m, ToolMessage)] == ["42", "84", "84"]
    assert [a["subtask_id"] for a in output["attempts"]] == ["1"] * 6


def test_the_loop_is_bounded_and_a_model_that_never_answers_is_followed_by_the_next() -> None:
    stuck, other = spec_of("m1", TIMES, max_rounds=3), spec_of("m2", sure("answer: 42"))

    output = graph_of(stuck, other).invoke(QUERY)

    assert output["answer"] == "42"
    assert len(history(stuck)) == 4
    assert [a["error_type"] for a in output["attempts"] if a["model"] == "m1"] == [None] * 3 + ["InvalidReplyError"]
    assert [(m["kind"], m["reason"]) for m in output["results"][0]["moves"]] == [("upward", "invalid_output")]


def test_what_goes_wrong_with_a_tool_is_told_to_the_model() -> None:
    bad = asking(("broken", {"text": "x"}), ("unknown", {}), ("multiply", {"a": "six", "b": 7}))
    invalid = scripted_message("").model_copy(
        update={
            "invalid_tool_calls": [
                {"name": "multiply", "args": "{", "id": "9", "error": "cut", "type": "invalid_tool_call"}
            ]
        }
    )
    spec = spec_of("m1", bad, invalid, sure("answer: 1"), tools=[(multiply, FREE), (broken, FREE)])

    output = graph_of(spec).invoke(QUERY)

    told = [m for m in history(spec)[2] if isinstance(m, ToolMessage)]
    assert output["answer"] == "1"
    assert [m.status for m in told] == ["error"] * 4
    assert "no x" in told[0].text
    assert "only multiply, broken" in told[1].text
    assert "valid integer" in told[2].text
    assert "not JSON: cut" in told[3].text
    assert [a["error_type"] for a in output["attempts"] if a["role"] == "tool"] == ["InvalidReplyError"] * 2


def test_the_budget_holds_in_the_middle_of_the_loop_and_keeps_what_was_paid() -> None:
    spec = spec_of("m1", asking(("multiply", {"a": 1, "b": 1})), tools=[(multiply, per_call(0.002))], max_rounds=50)

    output = graph_of(spec).invoke(QUERY, context=R2Context(budget_usd=0.0101))

    total = bill(output["attempts"])
    assert output["status"] == "budget_exhausted"
    assert total.by_model["multiply"] == pytest.approx(0.008)
    assert 0.008 < (total.cost_usd or 0) <= 0.0101


def test_a_call_of_a_tool_is_never_the_answer() -> None:
    graph = graph_of(spec_of("m1", TIMES, unsure("answer: 41")))

    output = graph.invoke(QUERY)

    assert (output["answer"], output["status"]) == ("41", "best_effort")
    assert output["attempts"][-1]["confidence"] == pytest.approx(0.2)


def test_without_tools_of_the_caller_a_turn_of_a_chat_is_worked_out_with_the_models_own() -> None:
    spec = spec_of("m1", TIMES, sure("It is 42."))
    pool = ModelPool([spec])
    chat = ChatR2(pool=pool, decomposer=NoDecomposer(), allocator=cheapest(pool))

    reply = chat.invoke([("system", "Be brief."), ("human", "6 times 7 ?")])

    assert reply.text == "It is 42."
    assert reply.response_metadata["r2"]["cost_by_role_usd"]["tool"] == pytest.approx(0.002)
    assert [m.type for m in history(spec)[1]] == ["system", "human", "ai", "tool"]
    assert "".join(c.text for c in chat.stream("6 times 7 ?")) == "It is 42."


def test_tools_of_the_caller_take_the_place_of_the_models_own() -> None:
    spec = spec_of("m1", TIMES)
    pool = ModelPool([spec])
    chat = ChatR2(pool=pool, decomposer=NoDecomposer(), allocator=cheapest(pool))

    reply: Any = chat.bind_tools([multiply]).invoke("6 times 7 ?")

    assert [c["name"] for c in reply.tool_calls] == ["multiply"]
    assert len(history(spec)) == 1


def test_a_killed_run_pays_for_no_call_of_the_loop_twice(tmp_path: Path) -> None:
    class KilledError(ConfigurationError):
        pass

    calls: list[int] = []
    mended: list[bool] = []

    @tool
    def count(a: int) -> int:
        """Count."""
        calls.append(a)
        return a

    def script(prompt: str) -> Any:
        if not calls:
            return asking(("count", {"a": 1}))
        if not mended:
            raise KilledError("killed")
        return sure("answer: 1")

    model = ToolModel(script=script, bound=[])
    spec = with_tools(ModelSpec(name="m1", model=model, price=ONE), [(count, per_call(0.01))])
    with CallLedger(tmp_path / "calls.db") as ledger:
        graph = graph_of(spec, ledger=ledger)
        with pytest.raises(KilledError):
            graph.invoke(QUERY, {"configurable": {"thread_id": "1"}})
        mended.append(True)
        output = resume(graph, "1")

    assert output["answer"] == "1"
    assert calls == [1]
    assert len(model.call_history) == 3  # asked for the tool, killed, answered
    assert bill(output["attempts"]).by_model["count"] == pytest.approx(0.01)


def test_trace_and_terminal_show_the_calls(capsys: pytest.CaptureFixture[str]) -> None:
    output = graph_of(spec_of("m1", TIMES, sure("answer: 42"))).invoke(QUERY)

    show_run(Console(width=200), output)
    page = to_html(run_record(output, id="1", wall_s=0.1))

    assert 'multiply({"a": 6, "b": 7}) = 42' in capsys.readouterr().out
    data = json.loads(page.split('id="data">')[1].split("</script>", maxsplit=1)[0])
    assert [len(a.get("calls", [])) for a in data["attempts"]] == [1, 1, 0]
    assert {part["name"] for part in data["bill"]["by_role"]} == {"executor", "tool"}


def test_allocators_read_which_tools_a_model_has() -> None:
    spec = ModelSpec(name="a", model=ScriptedChatModel(script=["1: a"]), price=FREE)
    pool = ModelPool([spec_of("m1", "x")], executors=[spec_of("m2", "x", tools=[(broken, FREE)])])

    skills = [card.skills for card in PromptedAllocator(spec, pool).cards("q")]

    assert sorted(skills) == ["with tools: broken", "with tools: multiply"]


def test_wrong_use() -> None:
    free = [(multiply, FREE)]
    with pytest.raises(ConfigurationError, match="bind_tools"):
        with_tools(ModelSpec(name="m", model=ScriptedChatModel(script=["x"]), price=FREE), free)
    able = ToolModel(script=["x"], bound=[])
    with pytest.raises(ConfigurationError, match="every name once"):
        with_tools(ModelSpec(name="m", model=able, price=FREE), free * 2)
    with pytest.raises(ConfigurationError, match="prompt_style"):
        with_tools(ModelSpec(name="m", model=able, price=FREE, prompt_style="bare"), free)
    with pytest.raises(ConfigurationError, match="max_tool_rounds"):
        with_tools(ModelSpec(name="m", model=able, price=FREE), free, max_rounds=0)
