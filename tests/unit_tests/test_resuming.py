"""A run that did not end goes on: from its checkpoint, from the call ledger, or from both."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

from langchain_r2 import R2Context, aresume, resume
from langchain_r2.call_ledger import CallLedger, Run
from langchain_r2.errors import BadValueError, ConfigurationError, UnknownThreadError
from langchain_r2.resuming import Checkpoint, Way, way_on
from langchain_r2.state import R2State
from langchain_r2.testing import scripted_message

THREAD: Any = {"configurable": {"thread_id": "1"}}
PLAN = "1: first\n2: second #1\n3: third #2"


class KilledError(ConfigurationError):
    """What ends a run here: an error that no node catches."""


class Breaking:
    """A script that breaks the run at some subtask, until it is mended."""

    def __init__(self, at: str = "second") -> None:
        self.at = at

    def __call__(self, prompt: str) -> Any:
        text = prompt.rsplit("Your subtask: ", 1)[-1]
        if self.at and text.startswith(self.at):
            raise KilledError("killed")
        needed = re.findall(r"<data>(\w+)</data>", text)
        return scripted_message(f"answer: {'_'.join([text.split()[0], *needed])}", prompt)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[CallLedger]:
    with CallLedger(tmp_path / "calls.db") as made:
        yield made


@pytest.fixture(params=["none", "memory", "sqlite"])
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "sqlite":
        from langgraph.checkpoint.sqlite import SqliteSaver

        with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as made:
            yield made
    else:
        yield InMemorySaver() if request.param == "memory" else None


@asynccontextmanager
async def async_saver(kind: str, path: Path) -> AsyncIterator[Any]:
    if kind == "sqlite":
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        async with AsyncSqliteSaver.from_conn_string(str(path / "runs.db")) as made:
            yield made
    else:
        yield InMemorySaver() if kind == "memory" else None


def shape(output: Any) -> Any:
    """All that a run gives but for times, names and what was lost on the way."""
    rows = [(a["subtask_id"], a["model"], a["answer"]) for a in output["attempts"] if not a["error_type"]]
    return output["answer"], output["status"], output["plan"], rows, [m.text for m in output["messages"]]


EXPECTED = "third_second_first"


def test_a_broken_run_goes_on_and_pays_for_nothing_twice(make: Any, saver: Any, ledger: CallLedger) -> None:
    script = Breaking()
    made = make(script, plan=PLAN, checkpointer=saver, ledger=ledger)
    with pytest.raises(KilledError):
        made.graph.invoke({"query": "q"}, THREAD)
    script.at = ""
    output = resume(made.graph, "1")
    assert (output["answer"], output["status"], len(output["messages"])) == (EXPECTED, "ok", 2)
    assert shape(output) == shape(make(Breaking(""), plan=PLAN).graph.invoke({"query": "q"}))
    assert len(made.router.call_history) == 1
    assert [c.rsplit(": ", 1)[-1].split()[0] for c in made.calls("m1")] == ["first", "second", "second", "third"]


@pytest.mark.parametrize("kind", ["none", "memory", "sqlite"])
async def test_the_same_with_an_event_loop(make: Any, kind: str, tmp_path: Path, ledger: CallLedger) -> None:
    script = Breaking()
    async with async_saver(kind, tmp_path) as saver:
        made = make(script, plan=PLAN, checkpointer=saver, ledger=ledger)
        with pytest.raises(KilledError):
            await made.graph.ainvoke({"query": "q"}, THREAD)
        script.at = ""
        assert (await aresume(made.graph, "1"))["answer"] == EXPECTED
        sent = len(made.calls("m1"))
        assert (len(made.router.call_history), sent) == (1, 4)
        assert (await aresume(made.graph, "1"))["answer"] == EXPECTED
        assert len(made.calls("m1")) == sent


def test_a_run_that_ended_gives_its_result_again(make: Any, saver: Any, ledger: CallLedger) -> None:
    made = make(Breaking(""), plan=PLAN, checkpointer=saver, ledger=ledger)
    first = made.graph.invoke({"query": "q"}, THREAD)
    sent = len(made.calls("m1"))
    assert resume(made.graph, "1") == first
    assert len(made.calls("m1")) == sent
    assert made.graph.invoke({"query": "q"}, THREAD)["run_id"] != first["run_id"]  # asked anew, it runs anew
    assert len(made.calls("m1")) == 2 * sent


def test_without_a_ledger_the_checkpoint_is_gone_on_from(make: Any) -> None:
    script = Breaking()
    made = make(script, plan=PLAN, checkpointer=InMemorySaver())
    with pytest.raises(KilledError):
        made.graph.invoke({"query": "q"}, THREAD, context=R2Context(max_attempts=1))
    script.at = ""
    assert resume(made.graph, "1", context=R2Context(max_attempts=1))["answer"] == EXPECTED
    assert len(made.router.call_history) == 1


def test_the_ledger_keeps_the_limits(make: Any, saver: Any, ledger: CallLedger) -> None:
    script = Breaking()
    made = make(script, plan=PLAN, checkpointer=saver, ledger=ledger)
    with pytest.raises(KilledError):
        made.graph.invoke({"query": "q"}, THREAD, context=R2Context(threshold=0.5, budget_usd=1.0))
    run = ledger.newest("1").result()
    assert run is not None
    assert (run.context["threshold"], run.context["budget_usd"]) == (0.5, 1.0)
    script.at = ""
    assert resume(made.graph, "1", context=R2Context(budget_usd=1e-9))["status"] == "budget_exhausted"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_query_as_a_message_goes_on_with_all_messages(make: Any, ledger: CallLedger, keeps: bool) -> None:
    script = Breaking()
    made = make(script, plan=PLAN, checkpointer=InMemorySaver() if keeps else None, ledger=ledger)
    asked = [HumanMessage("before", id="1"), HumanMessage("q", id="2")]
    with pytest.raises(KilledError):
        made.graph.invoke({"messages": asked}, THREAD)
    script.at = ""
    output = resume(made.graph, "1")
    assert [(m.type, m.text) for m in output["messages"]] == [("human", "before"), ("human", "q"), ("ai", EXPECTED)]


def test_a_second_turn_without_a_checkpoint_is_asked_again(make: Any, ledger: CallLedger) -> None:
    """With ``durability="exit"`` a killed turn leaves only the checkpoint of the one before."""
    script = Breaking("")
    made = make(script, plan=PLAN, checkpointer=InMemorySaver(), ledger=ledger)
    made.graph.invoke({"query": "one"}, THREAD)
    script.at = "second"
    with pytest.raises(KilledError):
        make(script, plan=PLAN, ledger=ledger).graph.invoke({"query": "two"}, THREAD)
    script.at = ""
    sent = len(made.router.call_history)
    output = resume(made.graph, "1")
    assert (output["query"], output["answer"]) == ("two", EXPECTED)
    assert [m.text for m in output["messages"]] == ["one", EXPECTED, "two", EXPECTED]
    assert len(made.router.call_history) == sent


def test_a_result_that_did_not_reach_its_thread_is_brought_there_without_a_call(make: Any, ledger: CallLedger) -> None:
    made = make(Breaking(""), plan=PLAN, checkpointer=InMemorySaver(), ledger=ledger)
    first = made.graph.invoke({"query": "q"}, THREAD)
    sent = len(made.calls("m1"))
    made.graph.checkpointer.delete_thread("1")  # killed before the only checkpoint of `durability="exit"`
    again = resume(made.graph, "1")
    assert (again["run_id"], shape(again)) == (first["run_id"], shape(first))
    assert (len(made.calls("m1")), len(made.router.call_history)) == (sent, 1)
    assert made.graph.get_state(THREAD).values["answer"] == EXPECTED


def test_a_thread_that_nobody_knows(make: Any, saver: Any, ledger: CallLedger) -> None:
    with pytest.raises(UnknownThreadError, match="thread 'x' has no run"):
        resume(make(Breaking(""), checkpointer=saver, ledger=ledger).graph, "x")


def test_a_graph_that_keeps_nothing(make: Any) -> None:
    with pytest.raises(BadValueError, match="a checkpointer, a ledger, or both"):
        resume(make(Breaking("")).graph, "1")
    other = StateGraph(R2State).add_node("n", lambda state: {}).set_entry_point("n").compile()
    with pytest.raises(BadValueError, match="create_r2_graph"):
        resume(other, "1")


def known(**changes: Any) -> Run:
    run = Run("run", "1", "open", {"query": "q"}, {}, None, admitted_at=10.0)
    return run._replace(**changes)


def kept(**changes: Any) -> Checkpoint:
    return Checkpoint("run", "q", is_input=False, created_at=11.0)._replace(**changes)


@pytest.mark.parametrize(
    ("run", "checkpoint", "keeps", "way"),
    [
        (None, None, True, None),
        (None, kept(), True, "checkpoint"),
        (known(), None, False, "again"),
        (known(), None, True, "again"),
        (known(state="done"), None, False, "result"),
        (known(state="done"), None, True, "again"),
        (known(), kept(), True, "checkpoint"),
        (known(state="done"), kept(), True, "checkpoint"),
        # the question's own checkpoint, before and after it was admitted
        (known(), kept(run_id="before", is_input=True, created_at=9.0), True, "checkpoint"),
        (known(run_id="before", state="done"), kept(run_id="before", is_input=True), True, "checkpoint"),
        (known(run_id="before"), kept(run_id="before", is_input=True, query="other"), True, "checkpoint"),
        # checkpoints of an earlier run only
        (known(), kept(run_id="before", created_at=9.0), True, "again"),
        (known(state="done"), kept(run_id="before", created_at=9.0), True, "again"),
        (known(), kept(run_id="before", is_input=True, query="other", created_at=9.0), True, "again"),
        # a later run that was not written down
        (known(), kept(run_id="later"), True, "checkpoint"),
    ],
)
def test_how_to_go_on(run: Run | None, checkpoint: Checkpoint | None, keeps: bool, way: Way | None) -> None:
    assert way_on(run, checkpoint, keeps=keeps) == way


def test_subtasks_as_nodes_of_their_own(make: Any, ledger: CallLedger) -> None:
    script = Breaking()
    made = make(script, plan=PLAN, execution="send", checkpointer=InMemorySaver(), ledger=ledger)
    with pytest.raises(KilledError):
        made.graph.invoke({"query": "q"}, THREAD)
    script.at = ""
    assert resume(made.graph, "1")["answer"] == EXPECTED
    assert (len(made.router.call_history), len(made.calls("m1"))) == (1, 4)


@pytest.mark.parametrize(("more", "status"), [(1.001, "ok"), (0.999, "budget_exhausted")])
def test_the_budget_counts_what_was_spent_and_lost_before_once(
    make: Any, saver: Any, ledger: CallLedger, more: float, status: str
) -> None:
    make(Breaking(""), plan=PLAN, ledger=ledger).graph.invoke({"query": "q"}, {"configurable": {"thread_id": "whole"}})
    whole = ledger.newest("whole").result()
    assert whole is not None
    *_, second, third = ledger.calls(whole.run_id).result()
    script = Breaking()
    made = make(script, plan=PLAN, checkpointer=saver, ledger=ledger)
    with pytest.raises(KilledError):
        made.graph.invoke({"query": "q"}, THREAD)
    script.at = ""
    run = ledger.newest("1").result()
    assert run is not None
    before = ledger.spent(run.run_id).result().cost_usd
    assert before > (second.worst_usd or 0.0)  # the lost call, in full
    needed = before + (second.cost_usd or 0.0) + (third.worst_usd or 0.0) * more
    output = resume(made.graph, "1", context=R2Context(budget_usd=needed, max_attempts=1, max_replans=0))
    assert output["status"] == status
    assert ledger.spent(run.run_id).result().cost_usd == pytest.approx(sum(a["cost_usd"] for a in output["attempts"]))
