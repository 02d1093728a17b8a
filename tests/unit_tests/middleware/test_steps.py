from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from langchain_r2.middleware.state import Route, with_new, with_routes
from langchain_r2.middleware.steps import after, new_route, start_of, step_kind, step_plan, step_query
from tests.unit_tests.middleware.agents import agent_of, asked, pool_of, sure, tried, unsure

ORDER = ["a", "b", "c"]
RANK = {"a": 0, "b": 1, "c": 2}
SUMMARY = HumanMessage("so far", additional_kwargs={"lc_source": "summarization"})


def result(name: str, status: Any = "success") -> ToolMessage:
    return ToolMessage("1", tool_call_id=name, name=name, status=status)


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ([HumanMessage("hi")], "user"),
        ([HumanMessage("hi"), AIMessage(""), result("b"), result("a")], "tool:a,b"),
        ([AIMessage(""), result("a"), result("b", "error")], "tool_error"),
        ([result("old"), AIMessage(""), result("a")], "tool:a"),
        ([SUMMARY], "other"),
        ([], "other"),
    ],
)
def test_kinds_of_steps(messages: list[BaseMessage], kind: str) -> None:
    assert step_kind(messages) == kind


def test_what_an_allocator_is_shown() -> None:
    messages = [HumanMessage("first"), AIMessage(""), HumanMessage("second"), AIMessage(""), result("add"), SUMMARY]

    assert step_query(messages) == "second"
    assert step_query([SystemMessage("rules")]) == "rules"
    assert len(step_query([HumanMessage("x" * 10_000)])) < 10_000
    assert step_plan("q", "tool:add")["subtasks"][0]["text"] == "q\n(the step after the result of add)"


def route(model: str, home: str, streak: int, mean: float, patience: int = 2) -> Route:
    return Route(model=model, home=home, streak=streak, confidence_sum=mean * streak, patience=patience)


@pytest.mark.parametrize(
    ("at", "order", "floor", "downward", "expected"),
    [
        (route("b", "b", 0, 0.0), ORDER, None, True, ("b", "initial")),
        (route("b", "b", 2, 0.99), ORDER, None, True, ("a", "downward")),
        (route("b", "b", 2, 0.90), ORDER, None, True, ("b", "initial")),  # below home only on confidence
        (route("c", "b", 2, 0.10), ORDER, None, True, ("b", "downward")),  # back home on acceptance alone
        (route("c", "b", 2, 0.10, 4), ORDER, None, True, ("c", "initial")),
        (route("b", "b", 2, 0.99), ORDER, "b", True, ("b", "initial")),
        (route("b", "b", 2, 0.99), ORDER, None, False, ("b", "initial")),
        (route("a", "a", 9, 0.99), ORDER, None, True, ("a", "initial")),
        (route("b", "b", 9, 0.99), ["a", "c"], None, True, ("c", "initial")),  # b cannot take this call
        (route("c", "c", 0, 0.0), ["a", "b"], None, True, ("b", "initial")),
        (route("c", "c", 2, 0.99), ["a", "c"], None, True, ("a", "downward")),
    ],
)
def test_where_a_step_starts(
    at: Route, order: list[str], floor: str | None, downward: bool, expected: tuple[str, str]
) -> None:
    assert start_of(at, order, RANK, floor=floor, downward=downward)[:2] == expected


def test_a_route_stays_where_it_got_to_and_waits_longer_after_each_climb() -> None:
    now = after(new_route("a"), "a", "b", accepted=True, confidence=0.9, reason="low_confidence")
    assert (now["model"], now["home"], now["streak"], now["patience"]) == ("b", "a", 1, 4)

    now = after(now, "b", "b", accepted=True, confidence=0.8, reason=None)
    assert now["streak"] == 2
    assert now["confidence_sum"] == pytest.approx(1.7)

    down = after(now, "a", "a", accepted=True, confidence=0.99, reason=None)
    assert (down["model"], down["streak"], down["patience"]) == ("a", 1, 4)

    failed = after(now, "a", "b", accepted=True, confidence=0.9, reason="low_confidence")
    assert (failed["model"], failed["patience"]) == ("b", 8)


def test_a_model_that_could_not_be_reached_says_nothing_about_its_answers() -> None:
    assert after(new_route("a"), "a", "b", accepted=True, confidence=None, reason="unreachable")["patience"] == 2


def test_an_answer_that_was_not_accepted_ends_a_streak() -> None:
    assert after(route("c", "c", 5, 0.9), "c", "c", accepted=False, confidence=0.1, reason=None)["streak"] == 0


def test_patience_has_a_bound() -> None:
    now = new_route("a")
    for _ in range(20):
        now = after(now, "a", "b", accepted=True, confidence=0.9, reason="low_confidence")
    assert now["patience"] == 64


def test_reducers() -> None:
    assert with_new([1, 2], [2, 3]) == [1, 2, 3]
    assert with_routes({"a": route("a", "a", 0, 0)}, {"b": route("b", "b", 0, 0)}).keys() == {"a", "b"}


def test_a_thread_stays_at_the_stronger_model_and_comes_down_again() -> None:
    pool = pool_of([unsure("1"), sure("1")], [sure("2")])
    agent = agent_of(pool, checkpointer=InMemorySaver())

    def models(thread: str) -> list[str]:
        output = agent.invoke(asked(), {"configurable": {"thread_id": thread}})
        last = output["r2_decisions"][-1]["call"]
        return [a["model"] for a in output["r2_attempts"] if a["subtask_id"] == last]

    assert [models("1") for _ in range(6)] == [["m1", "m2"], ["m2"], ["m2"], ["m2"], ["m1"], ["m1"]]
    assert models("2") == ["m1"]  # another thread starts anew


def test_a_kind_of_its_own() -> None:
    pool = pool_of([unsure("1")], [sure("2")])
    agent = agent_of(pool, kind_of=lambda messages: "all", checkpointer=InMemorySaver())

    output = agent.invoke(asked(), {"configurable": {"thread_id": "1"}})

    assert output["r2_decisions"][0]["kind"] == "all"
    assert tried(output)[-1][0] == "m2"
