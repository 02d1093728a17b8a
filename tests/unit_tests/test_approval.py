"""A person is asked: before a plan is executed, and before a step up that costs more than a price."""

import re
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_r2 import R2Context, aresume, resume
from langchain_r2.approval import PlannedSubtask, decision, planned
from langchain_r2.errors import BadValueError, ConfigurationError
from langchain_r2.ledger import bill
from langchain_r2.resuming import awaiting, waiting
from langchain_r2.run_record import run_record
from langchain_r2.testing import scripted_message
from langchain_r2.trace.data import run_data

THREAD: Any = {"configurable": {"thread_id": "1"}}
ASK = R2Context(approve_plan=True, max_replans=0)
ASK_UP = R2Context(approve_upward_usd=0.0, max_replans=0)
PARALLEL = "1: one\n2: two\n3: three #1 #2"


def text_of(prompt: str) -> str:
    return prompt.rsplit("Your subtask: ", 1)[-1]


def named(prompt: str) -> Any:
    """Answers with the subtask's first word."""
    return scripted_message(f"answer: {text_of(prompt).split()[0]}", prompt)


def unsure(prompt: str) -> Any:
    return scripted_message(f"answer: {text_of(prompt).split()[0]}?", prompt, 0.2)


@pytest.fixture(params=["tasks", "send"])
def execution(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def asked(output: Any) -> list[Any]:
    return [stop.value for stop in output.get("__interrupt__", ())]


def test_a_plan_is_shown_with_its_cost_before_anything_is_executed(make: Any, execution: str) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    (request,) = asked(made.graph.invoke({"query": "q"}, THREAD, context=ASK))

    assert made.calls("m1") == []
    assert (request["kind"], request["query"], request["kept"], request["problem"]) == ("plan", "q", [], None)
    assert [s["text"] for s in request["plan"]["subtasks"]] == ["one", "two", "three #1 #2"]
    assert request["allocation"]["models"] == {"1": "m1", "2": "m1", "3": "m1"}
    costs = request["estimate"]
    assert 0 <= costs["min_usd"] < costs["expected_usd"] < costs["worst_usd"]
    assert request["spent_usd"] > 0
    assert [w.request for w in waiting(made.graph, "1")] == [request]

    output = resume(made.graph, "1", decisions="approve")
    assert (output["answer"], output["status"], output["approval"]) == ("three", "ok", "approved")
    assert len(made.router.call_history) == 1
    assert len(made.calls("m1")) == 3
    assert waiting(made.graph, "1") == []
    assert request["spent_usd"] + costs["min_usd"] <= bill(output["attempts"]).cost_usd <= costs["worst_usd"]


async def test_the_same_on_an_event_loop(make: Any, execution: str) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    assert asked(await made.graph.ainvoke({"query": "q"}, THREAD, context=ASK))
    assert [w.request["kind"] for w in await awaiting(made.graph, "1")] == ["plan"]
    output = await aresume(made.graph, "1", decisions={"action": "approve"})
    assert (output["answer"], len(made.calls("m1"))) == ("three", 3)


def test_nobody_asks_where_nobody_wants_it(make: Any) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver())
    names = [n for u in made.graph.stream({"query": "q"}, THREAD, stream_mode="updates") for n in u]
    assert names == ["decompose", "allocate", "subtask", "subtask", "subtask", "execute_plan", "aggregate"]


def test_an_edit_changes_models(make: Any, tries: Any, execution: str) -> None:
    made = make(unsure, named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    made.graph.invoke({"query": "q"}, THREAD, context=ASK)
    output = resume(made.graph, "1", decisions={"action": "edit", "models": {"1": "m2", "2": "m2", "3": "m2"}})
    assert {row[1:] for row in tries(output)} == {("m2", "initial", "chosen")}
    assert output["approval"] == "edited"


def test_what_a_person_chose_is_not_left_for_a_cheaper_model(make: Any, tries: Any) -> None:
    # The budget cannot pay for the plan as chosen: the allocator's own choice would step down.
    made = make(named, named, plan="1: one", prices=(0.001, 1000.0), checkpointer=InMemorySaver())
    limits = R2Context(approve_plan=True, budget_usd=0.05, max_replans=0)
    made.graph.invoke({"query": "q"}, THREAD, context=limits)
    output = resume(made.graph, "1", decisions={"action": "edit", "models": {"1": "m2"}})
    assert output["status"] == "budget_exhausted"
    assert tries(output) == []


def test_an_edit_changes_the_plan(make: Any, execution: str) -> None:
    made = make(named, named, named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    made.graph.invoke({"query": "q"}, THREAD, context=ASK)
    subtasks: list[PlannedSubtask] = [
        {"id": "b", "text": "last #a"},
        {"id": "a", "text": "first"},
        {"id": "1", "text": "uno"},
    ]
    output = resume(made.graph, "1", decisions={"action": "edit", "subtasks": subtasks, "models": {"a": "m3"}})
    assert [(s["id"], s["depends_on"]) for s in output["plan"]["subtasks"]] == [("a", []), ("b", ["a"]), ("1", [])]
    assert {r["id"]: r["model"] for r in output["results"]} == {"a": "m3", "b": "m2", "1": "m1"}
    assert output["allocation"]["reasons"] == {"a": "chosen", "b": "default_route", "1": "allocated"}


def test_a_rejected_plan_costs_no_more(make: Any, execution: str) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    (request,) = asked(made.graph.invoke({"query": "q"}, THREAD, context=ASK))
    output = resume(made.graph, "1", decisions={"action": "reject", "note": "too dear"})
    assert (output["answer"], output["status"], output["error"]) == (None, "rejected", "too dear")
    assert output["messages"][-1].text == "No answer: too dear"
    assert (made.calls("m1"), bill(output["attempts"]).cost_usd) == ([], request["spent_usd"])
    again = made.graph.invoke({"query": "q"}, THREAD)  # the thread goes on, and asks nobody
    assert (again["answer"], again["status"], again["approval"]) == ("three", "ok", "not_asked")


WRONG = [
    pytest.param("perhaps", "decision is 'perhaps'", id="no-decision"),
    pytest.param({"action": "approve", "models": {"1": "m1"}}, "only beside", id="edit-in-approval"),
    pytest.param({"action": "edit", "moduls": {}}, "moduls", id="misspelt"),
    pytest.param({"action": "edit"}, "edit of a plan", id="nothing-changed"),
    pytest.param({"action": "edit", "model": "m1"}, "edit of a plan", id="edit-of-a-step"),
    pytest.param({"action": "edit", "models": {"9": "m1"}}, "['9']", id="unknown-subtask"),
    pytest.param({"action": "edit", "models": {"1": "m9"}}, "no model 'm9'", id="unknown-model"),
    pytest.param({"action": "edit", "models": "m1"}, "models is 'm1'", id="no-models"),
    pytest.param({"action": "edit", "subtasks": []}, "plan is", id="no-subtasks"),
    pytest.param({"action": "edit", "subtasks": "1: x"}, "subtasks is '1: x'", id="no-list"),
    pytest.param({"action": "edit", "subtasks": [{"id": "1", "text": " "}]}, "subtask is", id="empty-text"),
    pytest.param({"action": "edit", "subtasks": [{"id": "1", "text": "a #1"}]}, "cycle", id="cycle"),
    pytest.param({"action": "edit", "subtasks": [{"id": "1", "text": "a #7"}]}, "missing_dependency", id="missing"),
    pytest.param({"action": "reject", "note": 3}, "note of a decision", id="note"),
]


@pytest.mark.parametrize(("wrong", "problem"), WRONG)
def test_a_wrong_decision_is_asked_for_again_and_loses_nothing(make: Any, wrong: Any, problem: str) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver())
    made.graph.invoke({"query": "q"}, THREAD, context=ASK)
    for _ in range(2):
        (request,) = asked(made.graph.invoke(Command(resume=wrong), THREAD))
        assert problem in request["problem"]
        assert made.calls("m1") == []
    assert made.graph.invoke(Command(resume="approve"), THREAD)["answer"] == "three"
    assert len(made.router.call_history) == 1


def test_resume_refuses_what_is_no_decision_before_anything_happens(make: Any) -> None:
    made = make(named, plan=PARALLEL, checkpointer=InMemorySaver())
    made.graph.invoke({"query": "q"}, THREAD, context=ASK)
    for wrong in ("perhaps", {"action": "no"}, {"0" * 32: "approve"}, {}):
        with pytest.raises(BadValueError, match="decision"):
            resume(made.graph, "1", decisions=wrong)  # type: ignore[arg-type]
    (request,) = asked(resume(made.graph, "1"))  # without a decision it asks again
    assert request["problem"] is None
    assert resume(made.graph, "1", decisions="approve")["status"] == "ok"
    with pytest.raises(BadValueError, match="waits for nobody"):
        resume(made.graph, "1", decisions="approve")


@pytest.mark.parametrize("limits", [ASK, ASK_UP])
def test_a_graph_that_cannot_go_on_again_does_not_begin(make: Any, limits: R2Context) -> None:
    made = make(named, plan=PARALLEL)
    with pytest.raises(BadValueError, match="checkpointer"):
        made.graph.invoke({"query": "q"}, THREAD, context=limits)
    assert made.router.call_history == []


def test_a_resumed_run_keeps_the_limits_that_it_began_with(make: Any) -> None:
    made = make(unsure, named, plan="1: one", prices=(1.0, 2.0), checkpointer=InMemorySaver())
    limits = R2Context(approve_plan=True, max_replans=0, max_attempts=1, budget_usd=0.5)
    (request,) = asked(made.graph.invoke({"query": "q"}, THREAD, context=limits))
    assert request["estimate"]["worst_usd"] <= 0.5
    output = made.graph.invoke(Command(resume="approve"), THREAD)
    assert [r["verdict"]["reason"] for r in output["results"]] == ["attempts_used"]
    assert len(made.calls("m2")) == 0
    # Another run of the thread has its own.
    assert made.graph.invoke({"query": "q"}, THREAD)["results"][0]["model"] == "m2"


def test_parallel_subtasks_ask_at_once_and_nothing_is_paid_twice(make: Any, execution: str) -> None:
    made = make(unsure, named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    requests = asked(made.graph.invoke({"query": "q"}, THREAD, context=ASK_UP))
    requests.sort(key=lambda request: request["subtask_id"])  # they come in the order in which they stop
    assert [(r["kind"], r["subtask_id"], r["model"], r["to"], r["reason"]) for r in requests] == [
        ("upward", "1", "m1", "m2", "low_confidence"),
        ("upward", "2", "m1", "m2", "low_confidence"),
    ]
    assert [(r["answer"], r["confidence"]) for r in requests] == [
        ("one?", pytest.approx(0.2)),
        ("two?", pytest.approx(0.2)),
    ]
    assert all(r["estimate"]["min_usd"] < r["estimate"]["expected_usd"] < r["estimate"]["worst_usd"] for r in requests)
    by_subtask: dict[str, Any] = {w.request["subtask_id"]: w for w in waiting(made.graph, "1")}  # type: ignore[typeddict-item]
    one, two = by_subtask["1"], by_subtask["2"]

    # One answer at a time: the other question stays.
    still = asked(resume(made.graph, "1", decisions={two.id: "reject"}))
    assert [r["subtask_id"] for r in still] == ["1"]
    third = asked(resume(made.graph, "1", decisions={one.id: "approve"}))
    assert [r["subtask_id"] for r in third] == ["3"]
    output = made.graph.invoke(Command(resume={"action": "edit", "model": "m2"}), THREAD)

    assert (output["answer"], output["status"]) == ("three", "best_effort")
    assert [(r["answer"], r["verdict"]["reason"]) for r in output["results"]] == [
        ("one", "confident"),
        ("two?", "not_approved"),
        ("three", "confident"),
    ]
    assert (len(made.router.call_history), len(made.calls("m1")), len(made.calls("m2"))) == (1, 3, 2)
    assert len(output["attempts"]) == 6


async def test_parallel_questions_on_an_event_loop(make: Any, execution: str) -> None:
    made = make(unsure, named, plan=PARALLEL, checkpointer=InMemorySaver(), execution=execution)
    assert len(asked(await made.graph.ainvoke({"query": "q"}, THREAD, context=ASK_UP))) == 2
    assert len(await awaiting(made.graph, "1")) == 2
    assert len(asked(await aresume(made.graph, "1", decisions="approve"))) == 1
    output = await aresume(made.graph, "1", decisions="approve")
    assert (output["answer"], output["status"], len(made.calls("m1")), len(made.calls("m2"))) == ("three", "ok", 3, 3)


def test_only_a_step_up_above_the_price_is_asked_about(make: Any) -> None:
    def run(above: float) -> Any:
        made = make(unsure, named, plan="1: one", prices=(1.0, 1000.0), checkpointer=InMemorySaver())
        return made.graph.invoke({"query": "q"}, THREAD, context=R2Context(approve_upward_usd=above, max_replans=0))

    (request,) = asked(run(0.0))
    assert asked(run(request["estimate"]["expected_usd"] * 1.01)) == []
    assert len(asked(run(request["estimate"]["expected_usd"] * 0.99))) == 1


def test_a_step_up_of_unknown_price_is_asked_about(make: Any) -> None:
    made = make(unsure, named, plan="1: one", prices=(1.0, None), checkpointer=InMemorySaver())
    (request,) = asked(
        made.graph.invoke({"query": "q"}, THREAD, context=R2Context(approve_upward_usd=1e9, max_replans=0))
    )
    assert request["estimate"] == {"min_usd": None, "expected_usd": None, "worst_usd": None}


def test_a_wrong_answer_to_a_step_is_asked_for_again(make: Any) -> None:
    made = make(unsure, named, plan="1: one", checkpointer=InMemorySaver())
    made.graph.invoke({"query": "q"}, THREAD, context=ASK_UP)
    for wrong in ({"action": "edit", "models": {"1": "m2"}}, {"action": "edit"}, {"action": "edit", "model": "m9"}):
        (request,) = asked(made.graph.invoke(Command(resume=wrong), THREAD))
        assert request["problem"]
    assert made.graph.invoke(Command(resume="approve"), THREAD)["answer"] == "one"
    assert len(made.calls("m1")) == 1


def test_parts_of_a_sub_plan_get_their_own_decisions_whoever_starts_first(make: Any) -> None:
    """LangGraph numbers the graphs of a task as they start; a part must not go on from its sibling's checkpoint."""
    import threading

    slow = {"part": "left"}
    started = threading.Event()

    def late(text: str) -> str:
        if text.startswith("part"):  # the part named here enters its graph after the other
            if text == slow["part"]:
                started.wait(2)
            else:
                threading.Timer(0.2, started.set).start()
        return re.sub(r"[0-9]+", "0", text)

    def script(prompt: str) -> Any:
        hard = "hard" in text_of(prompt)
        return scripted_message(f"answer: {text_of(prompt)}", prompt, 0.1 if hard else 0.3)

    def better(prompt: str) -> Any:
        return scripted_message(f"answer: best {text_of(prompt)}", prompt)

    made = make(
        script,
        better,
        plan="1: hard",
        replans={"hard": "1: part left\n2: part right"},
        prices=(1.0, 1000.0),
        kind_of=late,
        checkpointer=InMemorySaver(),
    )
    slow["part"] = "part left"
    requests = asked(made.graph.invoke({"query": "q"}, THREAD, context=R2Context(approve_upward_usd=0.0)))
    assert sorted(r["subtask_id"] for r in requests) == ["1.1", "1.2"]
    started.clear()
    slow["part"] = "part right"
    by_subtask = {w.request["subtask_id"]: w.id for w in waiting(made.graph, "1")}  # type: ignore[typeddict-item]
    output = resume(made.graph, "1", decisions={by_subtask["1.1"]: "approve", by_subtask["1.2"]: "reject"})
    parts = [(p["id"], p["text"], p["answer"]) for p in output["results"][0]["part_results"]]
    assert parts == [("1.1", "part left", "best part left"), ("1.2", "part right", "part right")]
    assert output["answer"] == "part right"  # the last part's
    assert (len(made.calls("m1")), len(made.calls("m2"))) == (3, 1)


def test_decisions_are_told_on_the_custom_stream(make: Any) -> None:
    made = make(unsure, named, plan="1: one", checkpointer=InMemorySaver())
    both = R2Context(approve_plan=True, approve_upward_usd=0.0, max_replans=0)
    made.graph.invoke({"query": "q"}, THREAD, context=both)
    events = [*made.graph.stream(Command(resume="approve"), THREAD, stream_mode="custom")]
    events += made.graph.stream(Command(resume="reject"), THREAD, stream_mode="custom")
    told = [{k: v for k, v in e.items() if k != "event"} for e in events if e["event"] == "approval"]
    assert told == [{"outcome": "approved"}, {"subtask_id": "1", "outcome": "rejected", "to": None}]


def test_a_record_tells_what_a_person_approved_of(make: Any) -> None:
    def recorded(*, ask: bool) -> Any:
        made = make(unsure, named, plan="1: one", checkpointer=InMemorySaver())
        limits = R2Context(approve_plan=ask, approve_upward_usd=0.0 if ask else None, max_replans=0)
        output = made.graph.invoke({"query": "q"}, THREAD, context=limits)
        while asked(output):
            output = made.graph.invoke(Command(resume="approve"), THREAD)
        return run_data(run_record(output, id="1", wall_s=1.0))

    data = recorded(ask=True)
    assert (data["approval"], [move.get("approved") for move in data["moves"]]) == ("approved", [True])
    data = recorded(ask=False)
    assert (data["approval"], [move.get("approved") for move in data["moves"]]) == (None, [None])


def test_a_graph_around_it_can_stop_too(make: Any) -> None:
    """Inside another graph, the checkpointer is the outer one's."""
    from langgraph.graph import START, StateGraph

    from langchain_r2.state import R2State

    made = make(named, plan=PARALLEL)
    outer = StateGraph(R2State, R2Context)
    outer.add_node("r2", made.graph)
    outer.add_edge(START, "r2")
    graph = outer.compile(checkpointer=InMemorySaver())
    assert len(asked(graph.invoke({"query": "q"}, THREAD, context=ASK))) == 1  # type: ignore[call-overload]
    assert graph.invoke(Command(resume="approve"), THREAD, context=ASK)["answer"] == "three"
    assert len(made.router.call_history) == 1


def test_decisions_and_plans_say_what_is_wrong_with_them() -> None:
    assert decision("approve") == {"action": "approve"}
    assert planned([{"id": "1", "text": " a "}]) == [{"id": "1", "text": "a", "depends_on": []}]
    with pytest.raises(ConfigurationError, match="depends_on"):
        planned([{"id": "1", "text": "a", "depends_on": "2"}])


@pytest.mark.parametrize("value", [-1.0, True, "1", float("nan")])
def test_a_price_to_ask_above_is_a_number(value: Any) -> None:
    with pytest.raises(BadValueError, match="approve_upward_usd"):
        R2Context(approve_upward_usd=value)
