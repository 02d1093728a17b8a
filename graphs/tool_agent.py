"""A router whose subtasks go to a tool where one fits: a free calculator does the multiplications.

Every subtask is a node of its own (``execution="send"``), so that Studio shows each.
"""

import re

from langchain_core.tools import tool

from langchain_r2 import FREE, ModelPool, create_r2_graph
from langchain_r2.embedded import embedded_pool, embedded_router
from langchain_r2.executors import tool_executor
from langchain_r2.routers.pinned import PinnedAllocator


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


def factors(text: str) -> dict[str, int]:
    """The tool's arguments in a subtask; a text without two factors goes to a model instead."""
    found = re.search(r"(\d+) times (\d+)", text)
    if found is None:
        raise ValueError("not a multiplication")
    return {"a": int(found[1]), "b": int(found[2])}


calculator = tool_executor(multiply, price=FREE, arguments=factors)
pool = ModelPool(embedded_pool().models, executors=[calculator], name="embedded, with a calculator")
router = embedded_router(pool=pool)
router["allocator"] = PinnedAllocator(pool, {r"\btimes\b": "multiply"}, otherwise=router["allocator"])
graph = create_r2_graph(**router, execution="send", name="tool_agent")
