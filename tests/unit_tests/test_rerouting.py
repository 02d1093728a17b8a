"""A finished run is gone over again: one subtask changes, what needs it is executed anew, all else is kept."""

import json
import re
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langchain_r2 import R2Context, resume
from langchain_r2.call_ledger import CallLedger
from langchain_r2.errors import BadValueError, ConfigurationError, UnknownModelError
from langchain_r2.ledger import bill
from langchain_r2.rerouting import rerouted
from langchain_r2.run_record import run_record
from langchain_r2.testing import scripted_message

THREAD: Any = {"configurable": {"thread_id": "1"}}
PLAN = "1: one\n2: two #1\n3: three\n4: four #2 #3"


def script(name: str) -> Any:
    """Answers with the subtask's first word, its own name, and the answers it was shown."""

    def say(prompt: str) -> Any:
        text = prompt.rsplit("Your subtask: ", 1)[-1]
        needed = re.findall(r"<data>([\w()]+)</data>", text)
        return scripted_message(f"answer: {name}{text.split(maxsplit=1)[0]}({''.join(needed)})", prompt)

    return say


@pytest.fixture(params=["tasks", "send"])
def execution(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def executed(output: Any) -> list[tuple[Any, str]]:
    return sorted((a["subtask_id"], a["model"]) for a in output["attempts"])


def test_another_model_for_one_subtask(make: Any, execution: str) -> None:
    made = make(script("a"), script("b"), plan=PLAN, execution=execution)
    first = made.graph.invoke({"query": "q"})
    assert first["answer"] == "afour(atwo(aone())athree())"
    again = made.graph.invoke(rerouted(first, "2", model="m2"))

    assert again["answer"] == "afour(btwo(aone())athree())"
    assert executed(again) == [("2", "m2"), ("4", "m1")]  # neither the router nor the other subtasks
    paid = {name: bill(output["attempts"]).cost_usd or 0.0 for name, output in (("first", first), ("again", again))}
    assert 0 < paid["again"] < paid["first"]
    assert len(made.router.call_history) == 1
    assert [(r["id"], r.get("kept", False)) for r in again["results"]] == [
        ("1", True),
        ("2", False),
        ("3", True),
        ("4", False),
    ]
    assert again["run_id"] != first["run_id"]
    assert again["rerun_of"] == first["run_id"]
    assert run_record(again, id="x", wall_s=0.0)["cost_usd"] == bill(again["attempts"]).cost_usd


async def test_another_text_on_an_event_loop(make: Any, execution: str) -> None:
    made = make(script("a"), plan=PLAN, execution=execution)
    first = await made.graph.ainvoke({"query": "q"})
    again = await made.graph.ainvoke(rerouted(first, "2", text="deux #3"))
    assert again["answer"] == "afour(adeux(athree())athree())"
    assert executed(again) == [("2", "m1"), ("4", "m1")]
    assert [s["depends_on"] for s in again["plan"]["subtasks"] if s["id"] == "2"] == [["3"]]


def test_on_its_thread_the_new_answer_takes_the_place_of_the_old(make: Any) -> None:
    made = make(script("a"), script("b"), script("c"), plan=PLAN, checkpointer=InMemorySaver())
    first = made.graph.invoke({"query": "q"}, THREAD)
    again = made.graph.invoke(rerouted(first, "4", model="m2"), THREAD)
    assert [m.text for m in again["messages"]] == ["q", "bfour(atwo(aone())athree())"]
    # From the checkpoint, and over one that was gone over already.
    third = made.graph.invoke(rerouted(made.graph.get_state(THREAD).values, "3", model="m3"), THREAD)
    assert [m.text for m in third["messages"]] == ["q", "bfour(atwo(aone())cthree())"]
    assert executed(third) == [("3", "m3"), ("4", "m2")]
    assert third["rerun_of"] == first["run_id"]
    # What is asked next is a run of its own.
    last = made.graph.invoke({"query": "q"}, THREAD)
    assert last["rerun_of"] is None
    assert (len(last["messages"]), len(made.router.call_history)) == (4, 2)
    assert not any(r.get("kept") for r in last["results"])


def test_elsewhere_question_and_answer_are_there(make: Any) -> None:
    made = make(script("a"), plan=PLAN, checkpointer=InMemorySaver())
    again = made.graph.invoke(
        rerouted(made.graph.invoke({"query": "q"}, THREAD), "4"), {"configurable": {"thread_id": "2"}}
    )
    assert [m.type for m in again["messages"]] == ["human", "ai"]


def test_from_a_record_in_a_file(make: Any) -> None:
    made = make(script("a"), script("b"), plan=PLAN)
    record = json.loads(json.dumps(run_record(made.graph.invoke({"query": "q"}), id="x", wall_s=1.0)))
    again = made.graph.invoke(rerouted(record, "3", model="m2"))
    assert again["answer"] == "afour(atwo(aone())bthree())"
    assert run_record(again, id="y", wall_s=1.0).get("rerun_of") == ""


def test_a_plan_of_the_query_itself_may_have_a_number_sign_in_it(make: Any) -> None:
    made = make(script("a"), script("b"), plan="nonsense", max_subtasks=1)
    first = made.graph.invoke({"query": "what is issue #7 about?"})
    assert made.graph.invoke(rerouted(first, "1", model="m2"))["answer"].startswith("bwhat")


def test_a_chosen_model_is_not_left_for_a_cheaper_one_but_may_still_climb(make: Any) -> None:
    weak = lambda prompt: scripted_message("answer: weak", prompt, 0.1)  # noqa: E731 - a script
    made = make(script("a"), weak, script("c"), plan=PLAN)
    first = made.graph.invoke({"query": "q"})
    again = made.graph.invoke(rerouted(first, "3", model="m2"), context=R2Context(max_replans=0))
    assert [(a["model"], a["direction"], a["reason"]) for a in again["attempts"] if a["subtask_id"] == "3"] == [
        ("m2", "initial", "chosen"),
        ("m3", "upward", "low_confidence"),
    ]


def test_somebody_may_have_to_approve_of_it(make: Any) -> None:
    made = make(script("a"), script("b"), plan=PLAN, checkpointer=InMemorySaver())
    first = made.graph.invoke({"query": "q"}, THREAD)
    output = made.graph.invoke(rerouted(first, "2", model="m2"), THREAD, context=R2Context(approve_plan=True))
    request = output["__interrupt__"][0].value
    assert (request["kept"], request["spent_usd"]) == (["1", "3"], 0.0)
    wrong = {"action": "edit", "subtasks": [{"id": "1", "text": "x"}]}
    assert "keeps earlier answers" in resume(made.graph, "1", decisions=wrong)["__interrupt__"][0].value["problem"]  # type: ignore[arg-type]
    output = resume(made.graph, "1", decisions={"action": "edit", "models": {"4": "m2"}})
    assert output["answer"] == "bfour(btwo(aone())athree())"
    assert executed(output) == [("2", "m2"), ("4", "m2")]


@pytest.mark.parametrize("kept", ["ledger", "both"])
def test_killed_and_resumed_it_is_still_only_that_part(make: Any, tmp_path: Any, kept: str) -> None:
    class KilledError(ConfigurationError):
        pass

    broken = [True]

    def breaking(prompt: str) -> Any:
        if broken[0] and "four" in prompt.rsplit("Your subtask: ", 1)[-1]:
            raise KilledError("killed")
        return script("a")(prompt)

    with CallLedger(tmp_path / "calls.db") as ledger:
        saver = InMemorySaver() if kept == "both" else None
        made = make(breaking, script("b"), plan=PLAN, ledger=ledger, checkpointer=saver)
        broken[0] = False
        first = made.graph.invoke({"query": "q"}, THREAD)
        broken[0] = True
        with pytest.raises(KilledError):
            made.graph.invoke(rerouted(first, "2", model="m2"), THREAD)
        broken[0] = False
        output = resume(made.graph, "1")
        assert output["answer"] == "afour(btwo(aone())athree())"
        lost = [("4", "m1")]  # the call that the kill broke off is on the bill too
        assert executed(output) == [("2", "m2"), *lost, ("4", "m1")]
        assert (len(made.router.call_history), len(made.calls("m2"))) == (1, 1)
        assert resume(made.graph, "1")["answer"] == output["answer"]


def test_what_cannot_be_gone_over_is_refused_before_anything_is_paid(make: Any) -> None:
    made = make(script("a"), plan=PLAN)
    first = made.graph.invoke({"query": "q"})
    sent = len(made.calls("m1"))
    with pytest.raises(BadValueError, match="subtask is '9'"):
        rerouted(first, "9", model="m1")
    for text in ("", "two #4", "two #9"):
        with pytest.raises(BadValueError, match="text of a subtask"):
            rerouted(first, "2", text=text)
    with pytest.raises(BadValueError, match="without results"):
        rerouted({**first, "results": []}, "1")
    with pytest.raises(UnknownModelError):
        made.graph.invoke(rerouted(first, "2", model="m9"))
    whole: Any = rerouted(first, "2").get("rerun")
    changes: list[dict[str, Any]] = [
        {"kept": [*whole["kept"], {**whole["kept"][0], "id": "9"}]},
        {"allocation": {"models": {}, "reasons": {}, "note": None}},
        {"plan": {**whole["plan"], "subtasks": whole["plan"]["subtasks"][::-1]}},
    ]
    for change in changes:
        with pytest.raises(BadValueError, match="rerun"):
            made.graph.invoke({"rerun": {**whole, **change}})
    with pytest.raises(BadValueError, match="without plan"):
        made.graph.invoke({"rerun": {k: v for k, v in whole.items() if k != "plan"}})
    assert len(made.calls("m1")) == sent


def test_a_subtask_without_an_answer_is_executed_again(make: Any) -> None:
    down = [True]

    def flaky(prompt: str) -> Any:
        if down[0] and prompt.rsplit("Your subtask: ", 1)[-1].startswith("three"):
            return ConnectionError("down")
        return script("a")(prompt)

    made = make(flaky, plan=PLAN)
    first = made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    assert first["answer"] is None
    down[0] = False
    again = made.graph.invoke(rerouted(first, "3"))
    assert again["answer"] == "afour(atwo(aone())athree())"
    assert executed(again) == [("3", "m1"), ("4", "m1")]
