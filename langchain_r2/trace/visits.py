"""How often the nodes of the drawn graph ran in a run, and what they cost."""

from typing import NamedTuple

from langchain_r2.ledger import add_costs
from langchain_r2.trace.data import moves_of_record
from langchain_r2.types import Attempt, RunRecord


class Visit(NamedTuple):
    """What a node did in a run."""

    times: int
    cost_usd: float | None
    """None where a price that it needs is unknown."""


def visits_of(record: RunRecord) -> dict[str, Visit]:
    """Visits by the node's name. A node that asked no model cost nothing."""
    moves = [move["kind"] for move in moves_of_record(record)]
    costs: dict[str, float | None] = {}
    for row in record["attempts"]:
        node = _node(row)
        costs[node] = add_costs(costs.get(node, 0.0), row["cost_usd"])
    tried = {(row["subtask_id"], row["model"]) for row in record["attempts"] if _node(row) == "execute_subtask"}
    times = {
        "decompose": 1,
        "allocate": 1,
        "execute_subtask": len(tried),
        "reallocate_upward": moves.count("upward"),
        "reallocate_downward": moves.count("downward"),
        "replan": moves.count("replan") + moves.count("not_replanned"),
        "aggregate": int(record["answer"] is not None),
    }
    return {name: Visit(count, costs.get(name, 0.0)) for name, count in times.items()}


def _node(row: Attempt) -> str:
    """The node that made a call."""
    if row["role"] in {"decomposer", "allocator"}:
        whole = "decompose" if row["role"] == "decomposer" else "allocate"
        return whole if row["subtask_id"] is None else "replan"
    return "aggregate" if row["role"] == "aggregator" else "execute_subtask"
