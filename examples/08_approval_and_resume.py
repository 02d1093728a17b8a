"""A run asks before it spends, waits on the disk, goes on with an answer; then one part is done differently."""

import tempfile
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite import SqliteSaver

from langchain_r2 import R2Context, create_r2_graph, resume
from langchain_r2.embedded import embedded_router
from langchain_r2.ledger import bill, usd
from langchain_r2.rerouting import rerouted
from langchain_r2.resuming import waiting

QUERY = "tom fills 33 boxes with 50 cards each and loses 20 . how many cards is that for tom ?"
THREAD: RunnableConfig = {"configurable": {"thread_id": "question-1"}}
LIMITS = R2Context(approve_plan=True, approve_upward_usd=0.00003, budget_usd=0.01)


def begin(file: str) -> None:
    """Ask the question, and stop before anything is executed."""
    with SqliteSaver.from_conn_string(file) as saver:
        graph = create_r2_graph(**embedded_router(), checkpointer=saver)
        graph.invoke({"query": QUERY}, THREAD, context=LIMITS)


def go_on(file: str) -> None:
    """Answer what the run asks, as another process would, until it ends."""
    with SqliteSaver.from_conn_string(file) as saver:
        graph = create_r2_graph(**embedded_router(), checkpointer=saver)
        state: dict[str, Any] = {}
        while questions := waiting(graph, "question-1"):
            for _, asked in questions:
                least, expected, worst = (usd(asked["estimate"][k]) for k in ("min_usd", "expected_usd", "worst_usd"))
                if asked["kind"] == "plan":
                    print("plan:", [s["text"] for s in asked["plan"]["subtasks"]], asked["allocation"]["models"])
                else:
                    print(f"step up: subtask {asked['subtask_id']}, {asked['model']} -> {asked['to']}")
                print(f"  costs {least} - {expected} expected - {worst} USD at worst")
            state = resume(graph, "question-1", decisions="approve")
        print("answer:", state["answer"], "for", usd(bill(state["attempts"]).cost_usd), "USD")

        # Another model for subtask 2 alone: the answer of subtask 1 is kept, and nothing else is paid.
        again = graph.invoke(rerouted(state, "2", model="r2-max"), THREAD, context=R2Context())
        print("again:", again["answer"], "for", usd(bill(again["attempts"]).cost_usd), "USD")


with tempfile.TemporaryDirectory() as home:
    threads = str(Path(home) / "threads.db")
    begin(threads)
    go_on(threads)
