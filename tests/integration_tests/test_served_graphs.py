"""``langgraph dev`` as users start it, offline and without a key: its graphs are run, streamed, drawn and edited."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolCall
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from tests.integration_tests.serving import wait_for
from tests.unit_tests.middleware.agents import ToolModel

ROOT = Path(__file__).parents[2]
QUERY = {
    "query": "tom fills 33 boxes with 50 cards each . mia has 31 bags and each holds 32 cards . "
    "how many cards do they have together ?"
}
POOL = """
name = "two of ours"
[[models]]
embedded = "r2-large"
[[models]]
embedded = "r2-max"
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that was started with no key in its environment."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "pool.toml").write_text(POOL)
    for name in ("ARCHITECTURE.md", "docs", "graphs", "langchain_r2", "langgraph.json"):
        (folder / name).symlink_to(ROOT / name)  # the server writes into the folder that it is started in
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    environment = {**kept, "HOME": str(folder), "R2_POOL": str(folder / "pool.toml"), "LANGGRAPH_CLI_NO_ANALYTICS": "1"}
    options = ["--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "langgraph_cli", "dev", *options]
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/ok", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def client(served: str) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=served, timeout=120) as made:
        yield made


def executed(output: Any) -> set[str]:
    return {a["model"] for a in output["attempts"] if a["role"] == "executor"}


def test_all_graphs_are_served_and_drawn_with_their_schemas(client: SyncLangGraphClient) -> None:
    assistants = {a["graph_id"]: a["assistant_id"] for a in client.assistants.search()}
    assert set(assistants) == {"r2", "r2_embedded", "tool_agent", "retrieval"}
    for graph, id_ in assistants.items():
        drawn: Any = client.assistants.get_graph(id_, xray=True)
        nodes = {str(node["id"]).split(":")[-1] for node in drawn["nodes"]}
        assert {"decompose", "allocate", "reallocate_upward", "reallocate_downward", "replan"} <= nodes
        assert ("schedule" in nodes) == (graph == "tool_agent")
        schemas: Any = client.assistants.get_schemas(id_)
        assert "query" in schemas["input_schema"]["properties"]
        assert "budget_usd" in schemas["context_schema"]["properties"]


def test_runs(client: SyncLangGraphClient) -> None:
    limits = {"budget_usd": 0.01}
    output: Any = client.runs.wait(None, "r2_embedded", input=QUERY, context=limits)
    assert (output["answer"], output["status"]) == ("2642", "ok")

    output = client.runs.wait(None, "r2", input=QUERY)
    assert executed(output) <= {"r2-large", "r2-max"}  # the pool of R2_POOL

    said: Any = {"messages": [{"role": "user", "content": QUERY["query"]}]}
    output = client.runs.wait(None, "tool_agent", input=said)
    assert output["answer"] == output["messages"][-1]["content"] == "2642"
    assert "multiply" in executed(output)

    output = client.runs.wait(None, "retrieval", input={"query": "docs : what does a budget do ?"})
    assert executed(output) == {"documents"}

    refused: Any = client.runs.wait(None, "r2_embedded", input=QUERY, context={"budget_usd": 1e-9})
    assert refused["status"] == "budget_exhausted"


def test_a_stream_tells_steps_and_decisions(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    parts = list(client.runs.stream(thread, "r2_embedded", input=QUERY, stream_mode=["updates", "custom"]))
    steps = [name for part in parts if part.event == "updates" for name in part.data]
    told = [part.data["event"] for part in parts if part.event == "custom"]
    assert [s for s in steps if s in {"decompose", "allocate", "execute_plan", "aggregate"}] == [
        "decompose",
        "allocate",
        "execute_plan",
        "aggregate",
    ]
    assert told[0] == "plan"
    assert "attempt" in told
    kept: Any = client.threads.get_state(thread)["values"]
    assert kept["answer"] == "2642"


def test_a_person_edits_the_plan_before_it_runs(client: SyncLangGraphClient) -> None:
    thread = client.threads.create()["thread_id"]
    client.runs.wait(thread, "r2_embedded", input=QUERY, interrupt_before=["allocate"])
    state: Any = client.threads.get_state(thread)
    assert state["next"] == ["allocate"]
    subtasks: Any = [{"id": "1", "text": "12 times 34", "depends_on": []}]
    client.threads.update_state(
        thread, {"plan": {**state["values"]["plan"], "subtasks": subtasks}}, as_node="decompose"
    )

    output: Any = client.runs.wait(thread, "r2_embedded", input=None)

    assert (output["answer"], len(output["results"])) == ("408", 1)


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")  # langgraph-supervisor 0.0.31 itself calls it
@pytest.mark.filterwarnings("ignore:This API is in beta")  # as_tool
def test_the_code_of_the_page_about_graphs_runs(served: str, capsys: pytest.CaptureFixture[str]) -> None:
    def calling(name: str, **args: str) -> ToolModel:
        call = ToolCall(name=name, args=args, id="1", type="tool_call")
        return ToolModel(script=[AIMessage("", tool_calls=[call]), "It is 408."], bound=[])

    task = calling("task", description=QUERY["query"], subagent_type="arithmetic")
    names: dict[str, Any] = {"url": served, "model": calling("transfer_to_arithmetic"), "deep_model": task}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "graphs.md").read_text(), re.DOTALL):
        exec(block, names)  # noqa: S102 - our own page
    names["client"].close()

    assert capsys.readouterr().out.split("\n") == ["408", "408", "It is 408.", "It is 408.", "408", "408", "1", ""]
