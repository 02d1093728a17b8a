"""What any runnable does, the router's do too: retries, fallbacks, alternatives, caches, tags; every run has a name."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import ConfigurableField, Runnable
from pydantic import BaseModel

from langchain_r2 import FREE, ChatR2, ConfigurationError, ModelSpec, R2Context, create_r2_graph
from langchain_r2.confidence import Confidence
from langchain_r2.embedded import embedded_router
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer, cheapest
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.types import Plan, Subtask
from tests.unit_tests.middleware.agents import ToolModel, add, agent_of, asked, calling, pool_of, sure, unsure

QUERY = "tom has 12 boxes and each holds 34 pens . how many pens does tom have now ?"
PLAN = Plan(subtasks=[Subtask(id="1", text="x", depends_on=[])], parse="clean", confidence=None, rejected=[])
POOL = scripted_pool(["answer: 1"], ["answer: 2"])


class OnceError(ConfigurationError):
    """What a script raises the first time: an error that no part of the router catches."""


def failing_once(text: str) -> Callable[[str], str]:
    failed: list[bool] = []

    def script(prompt: str) -> str:
        if not failed:
            failed.append(True)
            raise OnceError("once")
        return text

    return script


def spec_of(script: Any) -> ModelSpec:
    return ModelSpec(name="r", model=ScriptedChatModel(script=script), price=FREE)


def graph_of(pool: Any = POOL, **parts: Any) -> Any:
    return create_r2_graph(pool, **{"decomposer": NoDecomposer(), "allocator": cheapest(pool), **parts})


def chat_of(pool: Any = POOL, **parts: Any) -> ChatR2:
    return ChatR2(**{"pool": pool, "decomposer": NoDecomposer(), "allocator": cheapest(pool), **parts})


def answer(output: Any) -> Any:
    """What came out of either."""
    if isinstance(output, dict):
        return output.get("answer") or output.get("plan") or output["allocation"]["models"]
    return output.text


PARTS: dict[str, tuple[Callable[[Any], Any], Any, Any, Any]] = {
    "graph": (lambda s: graph_of(decomposer=PromptedDecomposer(spec_of(s))), {"query": "q"}, "1: x", "1"),
    "chat model": (lambda s: chat_of(decomposer=PromptedDecomposer(spec_of(s))), "q", "1: x", "answer: 1"),
    "decomposer": (lambda s: PromptedDecomposer(spec_of(s)), {"query": "q"}, "1: x", PLAN),
    "allocator": (
        lambda s: PromptedAllocator(spec_of(s), POOL, shuffle_aliases=False),
        {"query": "q", "plan": PLAN},
        "1: b",
        {"1": "m2"},
    ),
}
"""Each is made of its model's script; then its input, a reply that it understands, and what comes out."""


def shape(output: Any) -> Any:
    found = answer(output)
    return [s["text"] for s in found["subtasks"]] if isinstance(found, dict) and "subtasks" in found else found


@pytest.fixture(params=PARTS)
def part(request: pytest.FixtureRequest) -> tuple[Callable[[Any], Any], Any, Any, Any]:
    make, value, reply, expected = PARTS[request.param]
    return make, value, reply, ["x"] if expected is PLAN else expected


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_with_retry(part: Any, asynchronous: bool) -> None:
    make, value, reply, expected = part
    with pytest.raises(OnceError):
        make(failing_once(reply)).invoke(value)
    again = make(failing_once(reply)).with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert shape(await again.ainvoke(value) if asynchronous else again.invoke(value)) == expected


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_with_fallbacks(part: Any, asynchronous: bool) -> None:
    make, value, reply, expected = part
    safe = make(failing_once(reply)).with_fallbacks([make([reply])])
    assert shape(await safe.ainvoke(value) if asynchronous else safe.invoke(value)) == expected


def test_configurable_alternatives(part: Any) -> None:
    make, value, reply, expected = part
    broken = make(failing_once(reply))
    field = ConfigurableField(id="which")
    # A graph and a router are no `RunnableSerializable`; bound, as any such runnable, they have alternatives too.
    first = broken if isinstance(broken, ChatR2) else broken.bind()
    either = first.configurable_alternatives(field, default_key="broken", sound=make([reply]))
    assert shape(either.with_config(configurable={"which": "sound"}).invoke(value)) == expected
    with pytest.raises(OnceError):
        either.invoke(value)


def test_a_run_of_the_graph_chooses_among_alternatives_of_its_parts() -> None:
    decomposer: Any = PromptedDecomposer(spec_of(["1: a\n2: b"]))
    either = decomposer.bind().configurable_alternatives(ConfigurableField(id="plans"), none=NoDecomposer())
    strong: Any = cheapest(POOL)
    models = strong.bind().configurable_alternatives(ConfigurableField(id="models"), m2=FixedAllocator(POOL, "m2"))
    graph = graph_of(decomposer=either, allocator=models)

    assert len(graph.invoke({"query": "q"})["results"]) == 2
    chosen = graph.invoke({"query": "q"}, {"configurable": {"plans": "none", "models": "m2"}})
    assert [(r["text"], r["model"]) for r in chosen["results"]] == [("q", "m2")]


def test_configurable_fields_of_a_chat_model() -> None:
    fields: Any = chat_of().configurable_fields(budget_usd=ConfigurableField(id="budget"))
    reply = fields.with_config(configurable={"budget": 1.0}).invoke("q")
    assert reply.text == "answer: 1"
    with pytest.raises(Exception, match="budget"):
        fields.with_config(configurable={"budget": 1e-12}).invoke("q")


def test_a_cache_of_a_pool_model_makes_its_second_reply_free() -> None:
    model = ScriptedChatModel(script=lambda prompt: scripted_message("answer: 1", prompt), cache=InMemoryCache())
    graph = graph_of(scripted_pool(model))
    first, second = (graph.invoke({"query": "q"}) for _ in range(2))
    assert (first["answer"], second["answer"], len(model.call_history)) == ("1", "1", 1)
    assert (bill(first["attempts"]).cost_usd or 0) > 0
    assert bill(second["attempts"]).cost_usd == 0


def test_a_cache_of_the_chat_model_saves_the_whole_run() -> None:
    pool = scripted_pool(["answer: 1"])
    model = chat_of(pool, cache=InMemoryCache())
    assert [model.invoke("q").text for _ in range(2)] == ["answer: 1"] * 2
    inner = pool["m1"].model
    assert isinstance(inner, ScriptedChatModel)
    assert len(inner.call_history) == 1


class Seen(BaseCallbackHandler):
    """Keeps what every run is called, and its tags and metadata."""

    def __init__(self) -> None:
        self.names: list[Any] = []
        self.runs: list[tuple[Any, list[str], dict[str, Any], UUID | None]] = []

    def _start(self, serialized: Any, *args: Any, **kwargs: Any) -> None:
        self.names.append(kwargs.get("name") or (serialized or {}).get("name"))
        found = kwargs.get("tags") or [], kwargs.get("metadata") or {}, kwargs.get("parent_run_id")
        self.runs.append((self.names[-1], *found))

    on_chain_start = on_chat_model_start = on_tool_start = on_retriever_start = _start


def test_callbacks_tags_metadata_and_a_name(part: Any) -> None:
    make, value, reply, expected = part
    seen = Seen()
    named: Runnable[Any, Any] = make([reply]).with_config(tags=["mine"], metadata={"user": "tom"}, run_name="named")
    assert shape(named.invoke(value, {"callbacks": [seen]})) == expected
    assert seen.runs[0][0] == "named"
    assert seen.runs[0][3] is None
    assert len(seen.runs) > 1
    for _, tags, metadata, _ in seen.runs:
        assert "mine" in tags
        assert metadata["user"] == "tom"
    assert not any(run[0] == "named" for run in seen.runs[1:])


class Form(BaseModel):
    """A number."""

    number: int


def structured(seen: Seen) -> None:
    model = ToolModel(script=[calling("Form", number=1)], bound=[])
    chain = chat_of(scripted_pool(model, capabilities=frozenset({"tools"}))).with_structured_output(
        Form, include_raw=True
    )
    assert chain.invoke("q", {"callbacks": [seen]})["parsed"] == Form(number=1)


def replanned(seen: Seen) -> None:
    model = PromptedDecomposer(spec_of(["1: #query", "1: a\n2: b #1"]))
    pool = scripted_pool(lambda p: scripted_message("answer: 1", p, 0.1), prices=[1.0])
    graph = graph_of(pool, decomposer=model, confidence=Confidence(samples=2))
    graph.invoke({"query": "q"}, {"callbacks": [seen]}, context=R2Context(max_replans=1))


def agent(seen: Seen) -> None:
    pool = pool_of([unsure("x"), calling("add", a=1, b=2), sure("3")], [calling("add", a=1, b=2), sure("3")])
    agent_of(pool, tools=[add]).invoke(asked(), {"callbacks": [seen]})


def embedded(seen: Seen) -> None:
    for execution in ("tasks", "send"):
        create_r2_graph(**embedded_router(), execution=execution).invoke({"query": QUERY}, {"callbacks": [seen]})


def chat(seen: Seen) -> None:
    list(ChatR2(**embedded_router()).stream(QUERY, {"callbacks": [seen]}))


@pytest.mark.parametrize("run", [embedded, chat, structured, replanned, agent])
def test_every_run_has_a_name(run: Callable[[Seen], None]) -> None:
    seen = Seen()
    run(seen)
    assert len(seen.names) > 3
    assert all(seen.names)
    assert [name for name in seen.names if any(w in name.lower() for w in ("unnamed", "lambda"))] == []


async def test_every_event_has_a_name() -> None:
    graph = create_r2_graph(**embedded_router())
    names = {event["name"] async for event in graph.astream_events({"query": QUERY}, version="v2")}
    assert {"r2", "decompose", "PromptedDecomposer", "subtask", "aggregate"} <= names
    assert not any(not name or "lambda" in name.lower() for name in names)
