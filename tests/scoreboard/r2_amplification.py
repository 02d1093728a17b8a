"""R2: every layer that could retry is told to, and the endpoint is dead."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import RetryPolicy
from pydantic import SecretStr

from langchain_r2 import R2Context, model_spec
from langchain_r2.state import R2State
from tests.scoreboard.fault_server import FaultServer, Play
from tests.scoreboard.faults import reset, status
from tests.scoreboard.graphs import Mode, ask, graph_of, spec
from tests.scoreboard.row import Outcome, Row, guarded, judged
from tests.scoreboard.stock import stock_model

ID: Final = "R2"
CAP: Final = 3
MANY: Final = 6
"""What every other layer is told."""
DEAD: Final = status("503 Unavailable", retry_after_ms="1")  # so that the layers lose no time with pauses
CONTEXT: Final = R2Context(deadline_s=20.0)
_numbers = itertools.count()

Build = Callable[[str, str], Any]
"""From the server's address and a model's name to a graph."""


def by_address(url: str, name: str) -> Any:
    """A pool model that is named by its address."""
    return graph_of([spec(url, name)])


def by_instance(url: str, name: str) -> Any:
    """A pool model that is the user's own ChatOpenAI, told to retry."""
    model = ChatOpenAI(model=name, base_url=url, api_key=SecretStr("none"), max_retries=MANY)
    return graph_of([spec(url, name, model=model, base_url=None)])


def with_retry(build: Build) -> Build:
    """The graph itself is retried by LangChain."""
    return lambda url, name: build(url, name).with_retry(stop_after_attempt=MANY)


def as_node(build: Build) -> Build:
    """The graph is a node that LangGraph retries."""

    def made(url: str, name: str) -> Any:
        builder = StateGraph(R2State)
        builder.add_node("r2", build(url, name), retry_policy=RetryPolicy(max_attempts=MANY, retry_on=Exception))
        builder.add_edge(START, "r2")
        builder.add_edge("r2", END)
        return builder.compile()

    return made


_everything: Final = as_node(with_retry(by_instance))
LAYOUTS: Final[tuple[tuple[str, Build, Mode, Play], ...]] = (
    ("by address", by_address, "sync", DEAD),
    ("by address", by_address, "async", DEAD),
    ("by address", by_address, "sync streamed", DEAD),
    ("by address", by_address, "async streamed", DEAD),
    ("own ChatOpenAI", by_instance, "sync", DEAD),
    ("own ChatOpenAI", by_instance, "async", DEAD),
    ("own ChatOpenAI", by_instance, "sync streamed", DEAD),
    ("graph with_retry", with_retry(by_instance), "sync", DEAD),
    ("graph in a node with RetryPolicy", as_node(by_instance), "sync", DEAD),
    ("all at once", _everything, "sync", DEAD),
    ("all at once", _everything, "async", DEAD),
    ("all at once, RST", _everything, "sync", reset),
)


def run(quick: bool) -> Iterator[Outcome]:
    """All layouts."""
    with FaultServer() as server:
        for name, build, mode, play in LAYOUTS[4::3] if quick else LAYOUTS:
            scenario = f"{name}, {mode}"
            yield guarded(ID, scenario, partial(_counted, server, scenario, build, mode, play))


def _counted(server: FaultServer, scenario: str, build: Build, mode: Mode, play: Play) -> Outcome:
    name = f"r2-{next(_numbers)}"
    server.script(name, always=play)
    output = ask(build(server.url, name), "id=x", mode, context=CONTEXT)
    requests = len(server.of(name))
    wrong = {
        f"more than {CAP} requests": requests > CAP,
        "not tried": requests == 0,
        "no error": output["status"] != "error" or not output["attempts"][-1]["error_type"],
        "attempts are not requests": len(output["attempts"]) != requests,
    }
    return judged(ID, scenario, wrong, requests=requests)


def stock(quick: bool) -> Iterator[Outcome]:
    """ChatOpenAI with its own two retries, alone and under the layers that users put on top."""

    def node(model: Any) -> Any:
        builder = StateGraph(R2State)

        def call(state: R2State) -> dict[str, Any]:
            return {"answer": model.invoke("id=x").text}

        builder.add_node("ask", call, retry_policy=RetryPolicy(max_attempts=3))
        builder.add_edge(START, "ask")
        return builder.compile()

    layers: dict[str, Callable[[ChatOpenAI], Any]] = {
        "alone": lambda model: model,
        "with_retry(3)": lambda model: model.with_retry(stop_after_attempt=3),
        "with_retry(2) in RetryPolicy(3)": lambda model: node(model.with_retry(stop_after_attempt=2)),
    }
    with FaultServer() as server:
        for name, layer in list(layers.items())[: 2 if quick else 3]:
            model = f"s2-{next(_numbers)}"
            server.script(model, always=DEAD)
            with suppress(Exception):  # the endpoint is dead; what counts is how often it was asked
                layer(stock_model(server.url, model)).invoke({"answer": ""} if "Policy" in name else "id=x")
            requests = len(server.of(model))
            yield judged(ID, name, {f"more than {CAP} requests": requests > CAP}, requests=requests)


def retries_of_clients() -> AbstractContextManager[Any]:
    """Chat models keep the retries of their own."""
    return patch.object(model_spec, "under_transport", lambda model: model)


ROW: Final = Row(
    id=ID,
    title="retries never multiply: every layer at its maximum, the endpoint dead",
    criterion=f"at most {CAP} requests for one call, whatever layers are configured; each is an attempt on the bill",
    run=run,
    protections={"clients without retries": retries_of_clients},
    stock=stock,
)
