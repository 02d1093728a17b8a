"""A tool as an executor: a free calculator does the multiplications that only dear models get right."""

import re

from langchain_core.tools import tool

from langchain_r2 import FREE, ModelPool, create_r2_graph
from langchain_r2.embedded import embedded_pool, embedded_router
from langchain_r2.executors import tool_executor
from langchain_r2.ledger import bill
from langchain_r2.routers.pinned import PinnedAllocator


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


def factors(text: str) -> dict[str, int]:
    """The tool's arguments in a subtask; a text without two factors is refused, and goes to a model."""
    found = re.search(r"(\d+) times (\d+)", text)
    if found is None:
        raise ValueError("not a multiplication")
    return {"a": int(found[1]), "b": int(found[2])}


def main() -> None:
    """Ask with and without the tool."""
    calculator = tool_executor(multiply, price=FREE, arguments=factors)
    pool = ModelPool(embedded_pool().models, executors=[calculator], name="embedded, with a calculator")
    router = embedded_router(pool=pool)
    # The embedded allocator was trained on models alone: it is told what goes to the tool. A prompted allocator with
    # instructions reads the tool's description and price instead.
    router["allocator"] = PinnedAllocator(pool, {r"\btimes\b": "multiply"}, otherwise=router["allocator"])

    query = (
        "tom fills 33 boxes with 50 cards each . mia has 31 bags and each holds 32 cards . "
        "how many cards do they have together ?"
    )
    for name, graph in (
        ("models alone", create_r2_graph(**embedded_router())),
        ("with the calculator", create_r2_graph(**router)),
    ):
        result = graph.invoke({"query": query})
        print(f"{name}: {result['answer']}, {bill(result['attempts']).cost_usd:.8f} USD")
        for attempt in result["attempts"]:
            if attempt["role"] == "executor":
                print(f"  {attempt['subtask_id']} {attempt['model']:<10} {attempt['answer']}")


if __name__ == "__main__":
    main()
