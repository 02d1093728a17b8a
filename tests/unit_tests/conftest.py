"""A router graph on scripted models, made in one line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput
from langchain_r2.routers.prompted import PromptedDecomposer
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport
from langchain_r2.types import Allocation


@dataclass
class Made:
    """A graph and the models in it."""

    graph: Any
    pool: ModelPool
    router: ScriptedChatModel

    def calls(self, model: str) -> list[str]:
        """The last message of every call of a pool model."""
        chat = self.pool[model].model
        assert isinstance(chat, ScriptedChatModel)
        return [str(messages[-1].text) for messages in chat.call_history]


def executed(output: Mapping[str, Any], subtask: str | None = None) -> list[tuple[str, str, str, str]]:
    """Subtask, model, direction and reason of every executor's attempt."""
    rows = [a for a in output["attempts"] if a["role"] == "executor" and subtask in {None, a["subtask_id"]}]
    return [(a["subtask_id"], a["model"], a["direction"], a["reason"]) for a in rows]


def make_graph(
    *scripts: Any,
    plan: str = "1: #query",
    replans: Mapping[str, str] | None = None,
    models: Mapping[str, str] | None = None,
    prices: Any = (),
    settings: Mapping[str, Any] | None = None,
    router_price: float = 1.0,
    max_subtasks: int = 1000,
    **options: Any,
) -> Made:
    """Make a graph.

    Args:
        scripts: One per model, ``m1`` first.
        plan: What the decomposer writes.
        replans: What it writes instead where the text to decompose contains the key.
        models: Model by subtask id; ``m1`` for all others.
        prices: Of the pool models.
        settings: More fields of their specs.
        router_price: Of the decomposer's tokens.
        max_subtasks: Bound of the plan.
        options: For ``create_r2_graph``.
    """
    pool = scripted_pool(*scripts, prices=prices, **(settings or {}))
    transport = Transport(max_tries=1)

    def decompose(prompt: str) -> str:
        return next((text for key, text in (replans or {}).items() if f"<data>{key}" in prompt), plan)

    def allocate(value: AllocatorInput) -> AllocatorOutput:
        chosen = {s["id"]: (models or {}).get(s["id"], "m1") for s in value["plan"]["subtasks"]}
        allocation = Allocation(models=chosen, reasons=dict.fromkeys(chosen, "allocated"), note=None)
        return AllocatorOutput(allocation=allocation, attempts=[])

    router = ScriptedChatModel(script=decompose)
    spec = ModelSpec(name="r", model=router, price=Price(input=router_price, output=router_price))
    parts: dict[str, Any] = {
        "decomposer": PromptedDecomposer(spec, max_subtasks=max_subtasks, transport=transport),
        "allocator": RunnableLambda(allocate),
        "transport": transport,
    }
    return Made(create_r2_graph(pool, **{**parts, **options}), pool, router)


def answering(text: str = "{prompt}", probability: float | None = 1.0, finish: str = "stop") -> Callable[[str], Any]:
    """A script that always answers the same, that sure."""
    return lambda prompt: scripted_message(f"answer: {text}", prompt, probability, finish)


@pytest.fixture
def make() -> Callable[..., Made]:
    return make_graph


@pytest.fixture
def says() -> Callable[..., Callable[[str], Any]]:
    return answering


@pytest.fixture
def tries() -> Callable[..., list[tuple[str, str, str, str]]]:
    return executed
