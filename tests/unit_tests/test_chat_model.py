"""What ``ChatR2`` does with a turn: what it decomposes, who sees what, what it streams, what it bills."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, SecretStr

from langchain_r2 import ChatR2, ModelPool, ModelSpec, Price
from langchain_r2.errors import BadValueError, BrokenOffError, NoAnswerError, RejectedError, UnknownModelError
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message
from langchain_r2.transport import Transport

ALL = frozenset({"tools", "structured_output", "logprobs"})


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Town(BaseModel):
    """A town."""

    name: str


def calling(**arguments: Any) -> AIMessage:
    """A reply that calls the tool."""
    message = scripted_message("", "a b c")
    return message.model_copy(update={"tool_calls": [{"name": "add", "args": arguments, "id": "c1"}]})


class ToolScripted(ScriptedChatModel):
    """A scripted model with tools and structured output; it keeps the options of its calls."""

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        named = {"tool_choice": tool_choice} if tool_choice is not None else {}
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **named, **kwargs)


def chat(
    *scripts: Any, plan: str = "1: #query", capabilities: frozenset[str] = ALL, start: str = "m1", **fields: Any
) -> tuple[ChatR2, list[ToolScripted], ToolScripted]:
    """``ChatR2`` over scripted models, each 10 times as dear as the one before, and a scripted decomposer."""
    models = [ToolScripted(script=script) for script in scripts]
    specs = [
        ModelSpec(name=f"m{n}", model=m, price=Price(input=10.0**n, output=10.0**n), capabilities=capabilities)
        for n, m in enumerate(models, 1)
    ]
    pool, router = ModelPool(specs), ToolScripted(script=[plan])
    transport = Transport(max_tries=1)
    spec = ModelSpec(name="router", model=router, price=Price(input=1.0, output=1.0))
    decomposer = PromptedDecomposer(spec, transport=transport)
    parts = {"decomposer": decomposer, "allocator": FixedAllocator(pool, start), "transport": transport}
    return ChatR2(pool=pool, **{**parts, **fields}), models, router


def route(message: AIMessage) -> list[tuple[str, str, str]]:
    """Role, model and direction of every call."""
    return [(r["role"], r["model"], r["direction"]) for r in message.response_metadata["r2"]["route"]]


HISTORY: list[AnyMessage] = [
    SystemMessage("Speak like a pirate."),
    HumanMessage("I live in Lima."),
    AIMessage("Noted."),
    HumanMessage("What is the capital of my country?"),
]


async def both(model: Any, messages: Any, mode: str) -> AIMessage:
    """The reply, without or with an event loop."""
    reply = model.invoke(messages) if mode == "sync" else await model.ainvoke(messages)
    assert isinstance(reply, AIMessage)
    return reply


@pytest.mark.parametrize("mode", ["sync", "async"])
class TestTurns:
    async def test_one_subtask_sees_the_conversation_as_it_is(self, mode: str) -> None:
        model, (m1,), router = chat(["Lima, arr."])
        reply = await both(model, HISTORY, mode)
        assert reply.content == "Lima, arr."
        assert [m.content for m in m1.call_history[0]] == [m.content for m in HISTORY]
        assert "I live in Lima." in str(router.call_history[0][-1].content)  # the digest
        assert "Speak like a pirate." not in str(router.call_history[0])

    async def test_parts_see_system_prompt_and_digest(self, mode: str) -> None:
        model, (m1,), _ = chat(["answer: Peru", "answer: Lima"], plan="1: which country\n2: capital of #1")
        reply = await both(model, HISTORY, mode)
        assert reply.content == "Lima"
        first, second = m1.call_history
        for call in (first, second):
            assert str(call[0].content).startswith("Speak like a pirate.")
            assert "user: I live in Lima.\nassistant: Noted." in str(call[1].content)
        assert "<data>Peru</data>" in str(second[1].content)

    async def test_bound_tools_are_not_decomposed(self, mode: str) -> None:
        model, (m1,), router = chat([calling(a=1, b=2)], plan="1: one\n2: two with #1")
        reply = await both(model.bind_tools([add]), "add 1 and 2", mode)
        assert [(c["name"], c["args"]) for c in reply.tool_calls] == [("add", {"a": 1, "b": 2})]
        assert router.call_history == []
        assert len(m1.call_history) == 1

    async def test_an_answer_to_a_tool_call_is_not_decomposed(self, mode: str) -> None:
        model, (m1,), router = chat(["It is 3."])
        asked = [HumanMessage("add 1 and 2"), calling(a=1, b=2), ToolMessage("3", tool_call_id="c1")]
        assert (await both(model, asked, mode)).content == "It is 3."
        assert router.call_history == []
        assert [m.type for m in m1.call_history[0]] == ["human", "ai", "tool"]

    async def test_decomposed_when_asked(self, mode: str) -> None:
        """The parts get no tools; the call that writes the reply does."""
        replies = ["answer: 1", "answer: 2", calling(a=1, b=2)]
        model, (m1,), _ = chat(replies, plan="1: one\n2: two with #1", decompose_with_tools=True)
        reply = await both(model.bind_tools([add]), "add one and two", mode)
        assert reply.tool_calls[0]["args"] == {"a": 1, "b": 2}
        assert route(reply)[-1][0] == "aggregator"
        assert len(m1.call_history) == 3

    async def test_a_call_of_an_unknown_tool_goes_upward(self, mode: str) -> None:
        wrong = calling(a=1, b=2)
        wrong.tool_calls[0]["name"] = "subtract"
        model, _, _ = chat([wrong], [calling(a=1, b=2)])
        reply = await both(model.bind_tools([add]), "add 1 and 2", mode)
        assert route(reply) == [("executor", "m1", "initial"), ("executor", "m2", "upward")]
        assert reply.tool_calls[0]["name"] == "add"

    async def test_a_tool_that_has_to_be_called_goes_upward_without_a_call(self, mode: str) -> None:
        model, _, _ = chat(["I would rather talk."], [calling(a=1, b=2)])
        reply = await both(model.bind_tools([add], tool_choice="any"), "add 1 and 2", mode)
        assert [m for _, m, _ in route(reply)] == ["m1", "m2"]

    async def test_low_confidence_goes_upward(self, mode: str) -> None:
        unsure: Callable[[str], AIMessage] = lambda prompt: scripted_message("Perhaps Cusco.", prompt, 0.2)  # noqa: E731
        model, _, _ = chat(unsure, ["Lima."], max_replans=0)
        reply = await both(model, HISTORY, mode)
        assert reply.content == "Lima."
        assert route(reply)[1:] == [("executor", "m1", "initial"), ("executor", "m2", "upward")]

    async def test_a_failure_goes_upward(self, mode: str) -> None:
        model, _, _ = chat([RejectedError("no")], ["Lima."])
        assert (await both(model, HISTORY, mode)).content == "Lima."

    async def test_no_answer_raises(self, mode: str) -> None:
        model, _, _ = chat([RejectedError("no")], [RejectedError("neither")])
        with pytest.raises(NoAnswerError, match="no answer") as raised:
            await both(model, HISTORY, mode)
        assert raised.value.status == "error"

    async def test_fallbacks_take_over(self, mode: str) -> None:
        model, _, _ = chat([RejectedError("no")])
        other, _, _ = chat(["from the other"])
        assert (await both(model.with_fallbacks([other]), HISTORY, mode)).content == "from the other"

    async def test_a_budget_is_kept(self, mode: str) -> None:
        model, (m1,), router = chat(["Lima."], budget_usd=1e-9)
        with pytest.raises(NoAnswerError) as raised:
            await both(model, HISTORY, mode)
        assert raised.value.status == "budget_exhausted"
        assert m1.call_history == router.call_history == []

    async def test_usage_is_the_sum_and_told_per_model(self, mode: str) -> None:
        model, _, _ = chat(["answer: Peru", "answer: Lima"], plan="1: which country\n2: capital of #1")
        reply = await both(model, HISTORY, mode)
        told = reply.response_metadata["r2"]
        assert set(told["usage"]) == {"router", "m1"}
        assert reply.usage_metadata is not None
        for count in ("input_tokens", "output_tokens"):
            assert reply.usage_metadata[count] == sum(row[count] for row in told["usage"].values()) > 0
        assert told["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in told["usage"].values()))
        assert reply.response_metadata["model_name"] == "r2"

    async def test_structured_output_that_is_no_json_goes_upward(self, mode: str) -> None:
        town = calling()
        town.tool_calls[0]["name"], town.tool_calls[0]["args"] = "Town", {"name": "Lima"}
        model, _, router = chat(["a town"], [town], capabilities=frozenset({"tools"}))
        chain = model.with_structured_output(Town, include_raw=True)
        got: Mapping[str, Any] = chain.invoke("a town") if mode == "sync" else await chain.ainvoke("a town")
        assert got["parsed"] == Town(name="Lima")
        assert got["parsing_error"] is None
        assert [m for _, m, _ in route(got["raw"])] == ["m1", "m2"]
        assert router.call_history == []

    async def test_a_pinned_model_is_the_only_one(self, mode: str) -> None:
        model, (m1, m2), router = chat(["no"], ["yes"])
        reply = await both(model.bind(model="m2"), HISTORY, mode)
        assert (reply.content, reply.response_metadata["model_name"]) == ("yes", "m2")
        assert m1.call_history == router.call_history == []
        assert len(m2.call_history) == 1


class TestTools:
    def test_go_to_models_that_can_call_them(self) -> None:
        model, models, _ = chat(["m1"], [calling(a=1, b=2)], capabilities=frozenset())
        pool = ModelPool([model.pool["m1"], _with(model.pool["m2"], frozenset({"tools"}))])
        capable = ChatR2(pool=pool, decomposer=model.decomposer, allocator=FixedAllocator(pool, "m1"))
        reply = capable.bind_tools([add]).invoke("add 1 and 2")
        assert [m for _, m, _ in route(reply)] == ["m2"]
        assert models[0].call_history == []

    def test_a_pool_that_cannot_call_them_is_refused_at_once(self) -> None:
        model, _, _ = chat(["x"], capabilities=frozenset())
        with pytest.raises(BadValueError, match="tools"):
            model.bind_tools([add])
        with pytest.raises(BadValueError, match="structured_output"):
            model.with_structured_output(Town, method="json_schema")


def _with(spec: ModelSpec, capabilities: frozenset[str]) -> ModelSpec:
    return ModelSpec(name=spec.name, model=spec.model, price=spec.price, capabilities=capabilities)


class Breaking(ToolScripted):
    """Streams two words, then breaks."""

    def _stream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        from langchain_core.outputs import ChatGenerationChunk

        yield ChatGenerationChunk(message=AIMessageChunk(content="Lima "))
        yield ChatGenerationChunk(message=AIMessageChunk(content="is "))
        raise ConnectionError("sk-secret-secret")


class TestStreams:
    def test_an_accepted_text_comes_by_words_and_only_the_last_piece_has_usage(self) -> None:
        model, _, _ = chat(["Lima is the capital."], ["unused"])
        pieces = list(model.stream(HISTORY))
        assert [p.content for p in pieces if p.content] == ["Lima", " is", " the", " capital."]
        assert [bool(p.usage_metadata) for p in pieces].count(True) == 1
        assert pieces[-1].chunk_position == "last"

    def test_a_rejected_text_is_never_shown(self) -> None:
        unsure: Callable[[str], AIMessage] = lambda prompt: scripted_message("Perhaps Cusco.", prompt, 0.2)  # noqa: E731
        model, _, _ = chat(unsure, ["Lima."])
        assert "".join(str(p.content) for p in model.stream(HISTORY)) == "Lima."

    async def test_what_broke_off_is_not_tried_again_and_raises(self) -> None:
        model, _, _ = chat(["x"])
        spec = ModelSpec(name="m1", model=Breaking(script=["x"]), price=Price(input=1.0, output=1.0))
        pool = ModelPool([spec])
        breaking = ChatR2(pool=pool, decomposer=model.decomposer, allocator=FixedAllocator(pool, "m1"))
        shown: list[Any] = []

        async def read() -> None:
            async for piece in breaking.astream(HISTORY):
                shown.append(piece.content)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(BrokenOffError) as raised:
            await read()
        assert shown == ["Lima ", "is "]
        assert "sk-secret" not in str(raised.value)

    def test_the_first_try_when_asked(self) -> None:
        model, (_, m2), _ = chat(["x"], ["unused"])
        spec = ModelSpec(name="m1", model=Breaking(script=["x"]), price=Price(input=1.0, output=1.0))
        pool = ModelPool([spec, model.pool["m2"]])
        parts = {"decomposer": model.decomposer, "allocator": FixedAllocator(pool, "m1")}
        stream = ChatR2(pool=pool, stream_first=True, **parts).stream(HISTORY)
        assert next(stream).content == "Lima "
        with pytest.raises(BrokenOffError):
            list(stream)
        assert m2.call_history == []

    @pytest.mark.parametrize("mode", ["invoke", "stream"])
    def test_an_aggregator_writes_the_reply(self, mode: str) -> None:
        replies = ["answer: Peru", "answer: Lima", "Arr, it be Lima in Peru."]
        model, (m1,), _ = chat(replies, plan="1: which country\n2: capital of #1", aggregation="llm")
        text = model.invoke(HISTORY).text if mode == "invoke" else "".join(p.text for p in model.stream(HISTORY))
        assert text == "Arr, it be Lima in Peru."
        assert str(m1.call_history[-1][0].content).startswith("Speak like a pirate.")

    def test_a_stop_word_ends_an_answer_taken_out_of_a_part(self) -> None:
        model, _, _ = chat(["answer: Peru", "answer: Lima in Peru"], plan="1: which country\n2: capital of #1")
        assert model.invoke(HISTORY, stop=[" in"]).text == "Lima"

    async def test_whoever_stops_reading_stops_the_run(self) -> None:
        model, _, _ = chat(["x"])
        spec = ModelSpec(name="m1", model=Breaking(script=["x"]), price=Price(input=1.0, output=1.0))
        pool = ModelPool([spec])
        pieces = ChatR2(pool=pool, decomposer=model.decomposer, allocator=FixedAllocator(pool, "m1")).astream(HISTORY)
        assert (await anext(pieces)).content == "Lima "
        await pieces.aclose()  # type: ignore[attr-defined]
        assert asyncio.all_tasks() == {asyncio.current_task()}


class TestTraces:
    @pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
    async def test_the_pools_calls_are_children(self, mode: str) -> None:
        model, _, _ = chat(["Lima."])
        seen = RunCollectorCallbackHandler()
        config: Any = {"callbacks": [seen]}
        if mode == "astream":
            assert [piece async for piece in model.astream(HISTORY, config)]
        elif mode == "ainvoke":
            await model.ainvoke(HISTORY, config)
        else:
            list(getattr(model, mode)(HISTORY, config))
        (root,) = seen.traced_runs
        names, runs = [], [root]
        while runs:
            run = runs.pop()
            names.append(run.name)
            runs += run.child_runs
        assert root.name == "ChatR2"
        assert {"executor:m1", "decomposer:router"} <= set(names)

    def test_a_usage_callback_sees_the_sum_under_r2(self) -> None:
        model, _, _ = chat(["Lima."])
        usage = UsageMetadataCallbackHandler()
        model.invoke(HISTORY, config={"callbacks": [usage]})
        rest = [row["total_tokens"] for name, row in usage.usage_metadata.items() if name != "r2"]
        assert usage.usage_metadata["r2"]["total_tokens"] == sum(rest) > 0

    @pytest.mark.parametrize("saver", [None, InMemorySaver()])
    def test_in_a_graph_each_token_comes_once_and_nothing_else_is_kept(self, saver: Any) -> None:
        model, _, _ = chat(["Lima is it."])

        def answered(state: MessagesState) -> dict[str, Any]:
            return {"messages": [model.invoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("model", answered)
        builder.add_edge(START, "model")
        builder.add_edge("model", END)
        graph: Any = builder.compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": "1"}}
        usage = UsageMetadataCallbackHandler()
        tokens = [
            part[0].content
            for part in graph.stream({"messages": HISTORY}, {**config, "callbacks": [usage]}, stream_mode="messages")
            if isinstance(part[0], AIMessageChunk)
        ]
        assert "".join(map(str, tokens)) == "Lima is it."
        assert {row["total_tokens"] for row in usage.usage_metadata.values()} != {0}
        calls = usage.usage_metadata
        assert calls["r2"]["total_tokens"] == sum(row["total_tokens"] for n, row in calls.items() if n != "r2")
        if saver is not None:
            assert {c.config["configurable"]["checkpoint_ns"] for c in saver.list(config)} == {""}


class TestAsAnObject:
    def test_tokens_are_counted_without_a_tokenizer(self) -> None:
        model, _, _ = chat(["x"])
        assert model.get_num_tokens("12345678") == 2

    def test_unknown_arguments_are_refused(self) -> None:
        with pytest.raises(BadValueError, match="budget_dollars"):
            chat(["x"], budget_dollars=1)

    def test_limits_are_checked(self) -> None:
        with pytest.raises(BadValueError, match="budget_usd"):
            chat(["x"], budget_usd=-1)

    def test_an_unknown_model_is_refused(self) -> None:
        with pytest.raises(UnknownModelError):
            chat(["x"], model="m9")

    def test_without_a_pool(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("R2_POOL", raising=False)
        with pytest.raises(BadValueError, match="R2_POOL"):
            ChatR2()

    def test_no_key_is_shown(self) -> None:
        openai = pytest.importorskip("langchain_openai")
        inner = openai.ChatOpenAI(model="x", api_key=SecretStr("sk-very-secret-key"), base_url="http://127.0.0.1:1/v1")
        pool = ModelPool([ModelSpec(name="x", model=inner, price=Price(input=1.0, output=1.0))])
        fields: dict[str, Any] = {"api_key": "sk-other-secret-key"}
        model = ChatR2(pool=pool, allocator=FixedAllocator(pool, "x"), **fields)
        shown = f"{model!r}{json.dumps(dumpd(model))}{model._identifying_params}{model._get_llm_string()}"
        assert "secret-key" not in shown

    @pytest.mark.filterwarnings("ignore:The function `load` is in beta")
    def test_loads_what_it_dumps(self) -> None:
        model = ChatR2(pool="langchain_r2/pools/paper.toml", budget_usd=0.5)
        loaded = load(dumpd(model), allowed_objects=[ChatR2], valid_namespaces=["langchain_r2"])
        assert (loaded.pool, loaded.budget_usd) == (model.pool, 0.5)

    def test_a_cache_tells_pools_apart(self) -> None:
        cache = InMemoryCache()
        first, (m1,), _ = chat(["one"], cache=cache)
        second, _, _ = chat(["two"], ["dearer"], cache=cache)
        assert [m.invoke("hi").content for m in (first, first, second)] == ["one", "one", "two"]
        assert len(m1.call_history) == 1
