"""From a run record to what its page shows, as JSON data: the plan with its sub-plans, times, moves, the bill."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from langchain_r2.ledger import bill
from langchain_r2.trace.layout import layered
from langchain_r2.types import Attempt, Move, RunRecord, Subtask, SubtaskResult

_MOST_ROWS: Final = 40
"""Subtasks of a layer in one column of the drawn plan."""

Json = dict[str, Any]


def run_data(record: RunRecord) -> Json:
    """What the page of a run shows. Records without times, moves or results (older ones) give what they have."""
    began = _began(record)
    nodes = _nodes(record)
    attempts = [_attempt(row, began) for row in record["attempts"]]
    _add_attempts(nodes, record["attempts"], attempts)
    moves = moves_of_record(record)
    for move in moves:
        if node := nodes.get(move["subtask_id"]):
            node["moves"].append(move["kind"])
    _place(nodes)
    critical = _critical(nodes, attempts)
    for node in nodes.values():
        node["critical"] = node["id"] in critical
    started, allocation = _time(record), record.get("allocation")
    return {
        "id": record["id"],
        "query": record["query"],
        "answer": record["answer"],
        "status": record["status"],
        "approval": record.get("approval"),
        "error": record["error"],
        "wall_s": record["wall_s"],
        "started": datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if started else None,
        "plan_confidence": record.get("plan_confidence"),
        "plan_rejected": record.get("plan_rejected", []),
        "allocation_note": allocation["note"] if allocation else None,
        "nodes": list(nodes.values()),
        "attempts": attempts,
        "moves": [{**move, "at_s": move["at"] - began} for move in moves],
        "bill": bill_data(record["attempts"]),
        "cost_usd": record["cost_usd"],
    }


def bill_data(attempts: Sequence[Attempt]) -> Json:
    """The bill of some attempts, by role and by model."""
    total = bill(attempts)
    return {
        "cost_usd": total.cost_usd,
        "calls": total.calls,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "router_share": total.router_share,
        "by_role": _parts(attempts, [row["role"] for row in attempts]),
        "by_model": _parts(attempts, [row["model"] for row in attempts]),
    }


def moves_of(results: Iterable[SubtaskResult]) -> list[Move]:
    """All moves of some subtasks and of their parts, in the order of their time."""
    found: list[Move] = []
    for result in results:
        found += [*result.get("moves", []), *moves_of(result.get("part_results", []))]
    return sorted(found, key=lambda move: move["at"])


def moves_of_record(record: RunRecord) -> list[Move]:
    """A record's moves; for an older record those that its attempts tell of."""
    if "results" in record:
        return moves_of(record["results"])
    found, last = [], dict[str, Attempt]()
    for row in record["attempts"]:
        id_ = row["subtask_id"]
        if row["role"] != "executor" or id_ is None:
            continue
        before, last[id_] = last.get(id_), row
        if row["direction"] in {"upward", "downward"} and (before is None or before["model"] != row["model"]):
            kind = "upward" if row["direction"] == "upward" else "downward"
            model, sure = (before["model"], before["confidence"]) if before else ("", None)
            at = row.get("started_at", 0.0)
            values = {"model": model, "to": row["model"], "reason": row["reason"], "confidence": sure, "at": at}
            found.append(Move(kind=kind, subtask_id=id_, **values))  # type: ignore[typeddict-item]
    return found


def _parts(attempts: Sequence[Attempt], keys: Sequence[str]) -> list[Json]:
    rows: dict[str, list[Attempt]] = {}
    for key, row in zip(keys, attempts, strict=True):
        rows.setdefault(key, []).append(row)
    parts = []
    for key, some in rows.items():
        part = bill(some)
        groups = {row["group"] for row in some}
        parts.append(
            {
                "name": key,
                "group": groups.pop() if len(groups) == 1 else None,
                "calls": part.calls,
                "input_tokens": part.input_tokens,
                "output_tokens": part.output_tokens,
                "cost_usd": part.cost_usd,
            }
        )
    return parts


def _began(record: RunRecord) -> float:
    """When the run began; of a run that was resumed, when its first attempt was sent."""
    times = [time for row in (record, *record["attempts"]) if (time := _time(row)) is not None]
    return min(times, default=0.0)


def _time(row: Mapping[str, Any]) -> float | None:
    """When something began, if that is told, and can be."""
    time = row.get("started_at")  # None where a record was written with a number that JSON lacks
    return time if isinstance(time, (int, float)) and 0 < time < 1e11 else None


def _attempt(row: Attempt, began: float) -> Json:
    time = _time(row)
    start_s = None if time is None else time - began
    return {
        **{key: value for key, value in row.items() if key != "started_at"},
        "start_s": start_s,
        "end_s": None if start_s is None else start_s + row["wall_s"],
    }


def _nodes(record: RunRecord) -> dict[str, Json]:
    """All subtasks, parts of replanned ones behind them, by id."""
    nodes: dict[str, Json] = {}
    _add_plan(nodes, record["plan"], {r["id"]: r for r in record.get("results", [])}, "")
    for row in record["attempts"]:  # an older record does not tell the texts of a sub-plan
        id_ = row["subtask_id"]
        if id_ is not None and id_ not in nodes:
            nodes[id_] = _node(id_, "", [], None)
    _join_parts(nodes)
    return nodes


def _add_plan(
    nodes: dict[str, Json], plan: Iterable[Subtask], results: Mapping[str, SubtaskResult], prefix: str
) -> None:
    for subtask in plan:
        id_ = prefix + subtask["id"]
        result = results.get(id_)
        nodes[id_] = _node(id_, subtask["text"], [prefix + d for d in subtask["depends_on"]], result)
        if result and result["parts"]:
            inner = {r["id"]: r for r in result.get("part_results", [])}
            _add_plan(nodes, result["parts"], inner, id_ + ".")


def _node(id_: str, text: str, needs: list[str], result: SubtaskResult | None) -> Json:
    return {
        "id": id_,
        "text": text,
        "resolved": result["text"] if result else None,
        "needs": needs,
        "answer": result["answer"] if result else None,
        "model": result["model"] if result else None,
        "verdict": result["verdict"] if result else None,
        "group": None,
        "confidence": None,
        "cost_usd": 0.0,
        "attempts": [],
        "moves": [],
        "after": list(needs),
        "parent": id_.rpartition(".")[0] or None,
    }


def _join_parts(nodes: dict[str, Json]) -> None:
    """Put parts into the drawn plan: behind what they stand for, before what needs its answer."""
    last: dict[str, str] = {}
    for node in nodes.values():
        if node["parent"] in nodes:
            last[node["parent"]] = node["id"]
            if not node["needs"]:
                node["after"] = [node["parent"]]
    for node in nodes.values():
        ends = []
        for id_ in node["after"]:
            end = id_
            while id_ != node["parent"] and end in last:
                end = last[end]
            ends.append(end)
        node["after"] = [id_ for id_ in dict.fromkeys(ends) if id_ in nodes]


def _add_attempts(nodes: Mapping[str, Json], rows: Sequence[Attempt], attempts: Sequence[Json]) -> None:
    """Give each subtask its attempts, and what they tell of it: cost, group, confidence."""
    for number, (row, shown) in enumerate(zip(rows, attempts, strict=True)):
        node = nodes.get(row["subtask_id"] or "")
        if node is None:
            continue
        node["attempts"].append(number)
        cost = row["cost_usd"]
        node["cost_usd"] = None if cost is None or node["cost_usd"] is None else node["cost_usd"] + cost
        if shown["role"] != "executor":
            continue
        if node["verdict"] is None:  # an older record: its last try is what it ended with
            node["model"], node["answer"] = row["model"], row["answer"]
        if row["model"] == node["model"]:
            node["group"], node["confidence"] = row["group"], row["confidence"]
    for node in reversed(list(nodes.values())):  # a replanned one has the group of its last part
        parent = nodes.get(node["parent"] or "")
        if parent is not None and parent["group"] is None and parent["model"] == node["model"]:
            parent["group"] = node["group"]


def _place(nodes: Mapping[str, Json]) -> None:
    edges = [(before, node["id"]) for node in nodes.values() for before in node["after"]]
    layout = layered(list(nodes), edges, most_across=_MOST_ROWS)
    for id_, node in nodes.items():
        node["layer"], node["row"] = layout.places[id_].layer, round(layout.places[id_].across, 3)
        bends = (layout.routes[before, id_][1:-1] for before in node["after"])
        node["bends"] = [[[p.layer, round(p.across, 3)] for p in bend] for bend in bends]


def _critical(nodes: Mapping[str, Json], attempts: Sequence[Json]) -> set[str]:
    """The chain of subtasks that the run's end waited for, each for the one before."""
    ends: dict[str, float] = {}
    for id_, node in nodes.items():
        times = [attempts[i]["end_s"] for i in node["attempts"] if attempts[i]["end_s"] is not None]
        if times:
            ends[id_] = max(times)
    path: set[str] = set()
    at = max(ends, key=ends.__getitem__, default=None)
    while at is not None and at not in path:
        path.add(at)
        at = max((b for b in nodes[at]["after"] if b in ends), key=ends.__getitem__, default=None)
    return path
