"""Tools and retrievers as members of a pool."""

from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, tool

from langchain_r2 import FREE, ConfigurationError, ModelPool, ModelSpec, R2Context, create_r2_graph
from langchain_r2.confidence import Confidence
from langchain_r2.executors import per_call, retriever_executor, tool_executor
from langchain_r2.ledger import bill
from langchain_r2.routers.pinned import PinnedAllocator
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.types import Allocation, Plan, Subtask


@tool
def upper(text: str) -> str:
    """Write a text in capitals."""
    if text == "break":
        raise RuntimeError("broken")
    return text.upper()


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two
    whole numbers."""
    return a * b


class Shelf(BaseRetriever):
    """Finds texts that have a word of the query."""

    texts: list[str]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(t) for t in self.texts if set(query.split()) & set(t.split())]


def pool_with(*executors: ModelSpec, answers: Any = ("answer: a model",)) -> ModelPool:
    return ModelPool(scripted_pool(*[[*answers]] * 3).models, executors=executors)


def graph_of(pool: ModelPool, plan: str, pins: dict[str, str], **options: Any) -> Any:
    router = ModelSpec(name="r", model=ScriptedChatModel(script=[plan]), price=FREE)

    def allocate(value: Any) -> Any:
        models = {s["id"]: "m1" for s in value["plan"]["subtasks"]}
        allocation = Allocation(models=models, reasons=dict.fromkeys(models, "allocated"), note=None)
        return {"allocation": allocation, "attempts": []}

    allocator = PinnedAllocator(pool, pins, otherwise=RunnableLambda(allocate))
    return create_r2_graph(pool, decomposer=PromptedDecomposer(router), allocator=allocator, **options)


def tries(output: Any) -> list[tuple[str, str, str, str | None]]:
    rows = [a for a in output["attempts"] if a["role"] == "executor"]
    return [(a["subtask_id"], a["model"], a["direction"], a["answer"]) for a in rows]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_subtask_goes_to_a_tool_and_its_result_to_the_next(asynchronous: bool) -> None:
    pool = pool_with(tool_executor(upper, price=per_call(0.002)))
    graph = graph_of(pool, "1: shout\n2: say #1", {"^shout$": "upper"})

    output = await graph.ainvoke({"query": "q"}) if asynchronous else graph.invoke({"query": "q"})

    assert tries(output) == [("1", "upper", "initial", "SHOUT"), ("2", "m1", "initial", "a model")]
    model = pool["m1"].model
    assert isinstance(model, ScriptedChatModel)
    assert "SHOUT" in str(model.call_history[0])
    assert bill(output["attempts"]).by_model["upper"] == pytest.approx(0.002)


def test_the_result_of_a_subtask_is_put_into_the_tool_s_text() -> None:
    pool = pool_with(tool_executor(upper, price=FREE))

    output = graph_of(pool, "1: first\n2: shout #1", {"^shout": "upper"}).invoke({"query": "q"})

    assert tries(output)[1] == ("2", "upper", "initial", "SHOUT A MODEL")


def test_a_tool_that_fails_is_followed_by_a_model_of_its_group() -> None:
    pool = pool_with(tool_executor(upper, price=FREE))

    output = graph_of(pool, "1: break", {"break": "upper"}).invoke({"query": "q"})

    assert tries(output) == [("1", "upper", "initial", None), ("1", "m2", "upward", "a model")]
    assert output["attempts"][1]["error_type"] == "InvalidReplyError"


def numbers(text: str) -> dict[str, int]:
    a, b = (int(word) for word in text.split() if word.isdigit())
    return {"a": a, "b": b}


def test_a_text_that_the_tool_does_not_take_costs_nothing() -> None:
    pool = pool_with(tool_executor(multiply, price=per_call(1e-3), arguments=numbers, group="LLM"))
    graph = graph_of(pool, "1: 6 times 7\n2: six times 7", {"times": "multiply"})

    output = graph.invoke({"query": "q"})

    assert sorted(tries(output)) == [
        ("1", "multiply", "initial", "42"),
        ("2", "m3", "upward", "a model"),
        ("2", "multiply", "initial", None),
    ]
    assert bill(output["attempts"]).by_model["multiply"] == pytest.approx(1e-3)


def test_a_tool_is_paid_from_the_budget() -> None:
    pool = pool_with(tool_executor(upper, price=per_call(0.5)))
    graph = graph_of(pool, "1: shout", {"shout": "upper"})

    assert graph.invoke({"query": "q"}, context=R2Context(budget_usd=0.6))["answer"] == "SHOUT"
    refused = graph.invoke({"query": "q"}, context=R2Context(budget_usd=0.4))
    assert refused["status"] == "budget_exhausted"
    assert not tries(refused)


def test_a_retriever_s_texts_are_the_answer() -> None:
    shelf = retriever_executor(
        Shelf(texts=["red apples", "green pears", "red wine"]), name="shelf", skills="fruit", price=FREE
    )
    pool = pool_with(shelf)

    output = graph_of(pool, "1: red\n2: what is #1", {"^red$": "shelf"}).invoke({"query": "q"})

    assert tries(output)[0][3] == "red apples\n\nred wine"


def test_all_of_a_tool_s_result_is_the_answer_and_it_is_called_once() -> None:
    calls: list[str] = []

    @tool
    def page(text: str) -> str:
        """Show a page."""
        calls.append(text)
        return "question: why ?\n\nanswer: so\n\nthe rest"

    pool = pool_with(tool_executor(page, price=FREE))
    graph = graph_of(pool, "1: show", {"show": "page"}, confidence=Confidence(samples=3))

    assert graph.invoke({"query": "q"})["answer"] == "question: why ?\n\nanswer: so\n\nthe rest"
    assert calls == ["show"]


def test_nothing_found_goes_to_a_model() -> None:
    shelf = retriever_executor(Shelf(texts=["apples"]), name="shelf", skills="fruit", price=FREE)

    output = graph_of(pool_with(shelf), "1: red", {"red": "shelf"}).invoke({"query": "q"})

    assert [(model, answer) for _, model, _, answer in tries(output)] == [("shelf", ""), ("m2", "a model")]


def test_executors_stand_beside_the_order_of_the_models() -> None:
    pool = pool_with(tool_executor(upper, price=FREE, group="LLM"))

    assert pool.names == ("m1", "m2", "m3")
    assert (len(pool), pool.cheapest.name, pool.strongest.name) == (3, "m1", "m3")
    assert "upper" in pool
    assert pool["upper"].skills == "Write a text in capitals."
    assert (pool.up("upper"), pool.down("upper"), pool.down("m1")) == ("m3", None, None)
    assert pool.prices()["upper"]["output"] == 0.0


def test_an_executor_s_name_is_its_own() -> None:
    with pytest.raises(ConfigurationError, match="every name once"):
        pool_with(tool_executor(upper, price=FREE, name="m1"))


def test_the_allocator_reads_description_and_price() -> None:
    pool = pool_with(tool_executor(multiply, price=per_call(0.002), arguments=numbers))
    spec = ModelSpec(name="a", model=ScriptedChatModel(script=lambda prompt: prompt), price=FREE)
    allocator = PromptedAllocator(spec, pool)
    card = next(c for c in allocator.cards("q") if c.group == "tool")
    assert (card.skills, card.price) == ("Multiply two whole numbers.", "0.002 a call")

    def choose(prompt: str) -> str:
        alias = next(line.split(":")[0] for line in prompt.splitlines() if "Multiply" in line)
        return f"1: {alias}"

    allocator.spec = ModelSpec(name="a", model=ScriptedChatModel(script=choose), price=FREE)
    plan = Plan(subtasks=[Subtask(id="1", text="x", depends_on=[])], parse="clean", confidence=None, rejected=[])
    made = allocator.invoke({"query": "q", "plan": plan})
    assert made["allocation"]["models"] == {"1": "multiply"}


def test_a_fine_tuned_allocator_is_shown_the_models_that_it_was_trained_on() -> None:
    spec = ModelSpec(name="a", model=ScriptedChatModel(script=["1 : a"]), price=FREE, prompt_style="bare")

    assert len(PromptedAllocator(spec, pool_with(tool_executor(upper, price=FREE))).cards("q")) == 3


def test_the_other_allocator_is_not_asked_where_all_is_pinned() -> None:
    def never(value: Any) -> Any:
        raise AssertionError

    pool = pool_with(tool_executor(upper, price=FREE))
    allocator = PinnedAllocator(pool, {"loud": "upper"}, otherwise=RunnableLambda(never))
    plan = Plan(subtasks=[Subtask(id="1", text="#query", depends_on=[])], parse="clean", confidence=None, rejected=[])

    made = allocator.invoke({"query": "be loud", "plan": plan})

    assert made["allocation"]["models"] == {"1": "upper"}


def test_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="one argument"):
        tool_executor(multiply, price=FREE)
    pool = pool_with(tool_executor(upper, price=FREE))
    with pytest.raises(ConfigurationError, match="lower"):
        PinnedAllocator(pool, {"x": "lower"}, otherwise=RunnableLambda(numbers))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="regular expression"):
        PinnedAllocator(pool, {"(": "upper"}, otherwise=RunnableLambda(numbers))  # type: ignore[arg-type]


def test_the_tool_s_run_is_a_child_in_the_trace() -> None:
    class Seen(BaseCallbackHandler):
        parents: dict[Any, Any]
        tools: list[Any]

        def __init__(self) -> None:
            self.parents, self.tools = {}, []

        def on_chat_model_start(self, *args: Any, run_id: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
            self.parents[run_id] = parent_run_id

        def on_tool_start(self, *args: Any, parent_run_id: Any = None, **kwargs: Any) -> None:
            self.tools.append(parent_run_id)

    seen = Seen()
    pool = pool_with(tool_executor(upper, price=FREE))
    graph_of(pool, "1: shout", {"shout": "upper"}).invoke({"query": "q"}, {"callbacks": [seen]})

    assert len(seen.tools) == 1
    assert seen.tools[0] in seen.parents


def test_any_tool_will_do() -> None:
    class Twice(BaseTool):
        name: str = "twice"
        description: str = "Says it twice."

        def _run(self, text: str) -> str:
            return f"{text} {text}"

    output = graph_of(pool_with(tool_executor(Twice(), price=FREE)), "1: hey", {"hey": "twice"}).invoke({"query": "q"})

    assert output["answer"] == "hey hey"
