"""Recorded runs as rows of ``labels.jsonl``: plans that were right, and per subtask the cheapest model seen to do it.

Nothing is guessed. A label is what a run showed, with how well it is known; the allocator learns no line of which
nobody knows whether a cheaper model would have done (``training.sft_data``). Runs that were wrong give no plan. Every
text is redacted before it is written; where a redacted plan no longer has its references, the run is left out.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from langchain_r2.evals.recorded import JudgedRun, keys_of
from langchain_r2.ledger import bill
from langchain_r2.parsing import linked_plan, references, renumbered
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import plan_lines
from langchain_r2.types import ROUTER_ROLES, RunRecord, Subtask, SubtaskResult
from training.items import same_query, split_of
from training.labelling import marked_by_cost, style_of
from training.redaction import Redact
from training.run_evidence import Evidence, outcome_rows

Row = dict[str, Any]

LEARNED: Final = frozenset({"cheapest", "next_failed"})
"""How well a label has to be known to be learned."""


class Converted(NamedTuple):
    """What came of runs."""

    rows: list[Row]
    """For ``labels.jsonl``, each with its ``split``."""
    outcomes: list[Row]
    """For ``outcomes.jsonl``: how right each model was on a text, null where that is not known."""
    counts: dict[str, Any]


def converted(
    runs: Sequence[JudgedRun],
    pool: ModelPool,
    redact: Redact,
    *,
    same_text: bool,
    held_back: Collection[str] = (),
) -> Converted:
    """Convert runs.

    Args:
        runs: Known to be right or wrong.
        pool: The models that a label may name; runs on others are left out.
        redact: Every text goes through it.
        same_text: Whether an answer that reads otherwise than the right one is wrong.
        held_back: Queries that nothing may be learned from, such as those of a test.
    """
    left_out: Counter[str] = Counter()
    known = {same_query(query) for query in held_back}
    usable: list[JudgedRun] = []
    for run in runs:
        why = _unusable(run, pool, known)
        left_out.update([why] if why else [])
        usable += [] if why else [run]
    by_split: dict[str, list[JudgedRun]] = defaultdict(list)
    for run in usable:
        by_split[split_of(redact(run.record["query"]))].append(run)
    rows: list[Row] = []
    outcomes: list[Row] = []
    lines, tries = Counter[str](), Counter[str]()
    for split, own in by_split.items():  # apart: no split knows of another's runs
        evidence = Evidence(own, same_text=same_text)
        tries.update(evidence.tries)
        made = list(_rows(own, evidence, pool, redact, split, left_out))
        rows += made
        lines.update(_lines(made))
        outcomes += _outcomes(evidence, pool, redact, split)
    counts = {
        "runs": len(runs),
        "left_out": dict(left_out),
        "right": sum(run.right for run in usable),
        "wrong": sum(not run.right for run in usable),
        "verdicts_by": dict(Counter(run.by for run in usable)),
        "queries": len({redact(run.record["query"]) for run in usable}),
        "queries_with_a_right_plan": len(rows),
        "plans": sum(len(row["plans"]) for row in rows),
        "splits": dict(Counter(row["split"] for row in rows)),
        "tries": dict(tries),
        "subtask_labels": dict(lines),
        "outcomes": len(outcomes),
    }
    return Converted(rows, outcomes, counts)


def _unusable(run: JudgedRun, pool: ModelPool, held_back: Collection[str]) -> str | None:
    record = run.record
    if same_query(record["query"]) in held_back:
        return "its query is held back"
    named = {row["model"] for row in record["attempts"] if row["role"] == "executor"}
    return None if all(name in pool.names for name in named) else "a model that the pool does not have"


def _rows(
    runs: Sequence[JudgedRun], evidence: Evidence, pool: ModelPool, redact: Redact, split: str, left_out: Counter[str]
) -> Iterator[Row]:
    by_query: dict[str, list[JudgedRun]] = defaultdict(list)
    for run in runs:
        by_query[redact(run.record["query"])].append(run)
    for query, own in by_query.items():
        right = [run for run in own if run.right]
        plans: dict[str, Row] = {}
        for run in right:
            plan = _plan(run.record, evidence, pool, redact)
            if plan is None:
                left_out["its redacted plan has lost a reference"] += 1
            elif plan["reply"] not in plans:  # equal plans of a query count once
                plans[plan["reply"]] = plan
        if not plans:
            continue
        made = list(plans.values())
        yield {
            "id": "run-" + hashlib.sha256(query.encode(errors="surrogatepass")).hexdigest()[:12],
            "query": query,
            "answer": redact(right[0].record["answer"] or ""),
            "split": split,
            "verdicts_by": dict(Counter(run.by for run in right)),
            "plans": marked_by_cost([{**plan, "style": style_of(plan, made)} for plan in made]),
            "replans": [replan for run in right for replan in _replans(run.record, redact)],
        }


def _plan(record: RunRecord, evidence: Evidence, pool: ModelPool, redact: Redact) -> Row | None:
    """A plan with the label of each subtask; None where redacting broke it."""
    subtasks = redacted_plan(record["plan"], redact)
    if subtasks is None:
        return None
    keys, ran = keys_of(record), {result["id"] for result in record.get("results", [])}
    labels = {s["id"]: evidence.of(keys[s["id"]]).label(pool) for s in subtasks if s["id"] in ran}
    models = {id_: model for id_, (model, _) in labels.items() if model is not None}
    known = {s["id"]: labels[s["id"]][1] if s["id"] in labels else "never" for s in subtasks}
    costs = [_usd(evidence, keys[id_], model) for id_, model in models.items()]
    whole = len(models) == len(subtasks)
    return {
        "source": "run",
        "reply": plan_lines(renumbered(subtasks)),
        "subtasks": subtasks,
        "router_usd": bill(a for a in record["attempts"] if a["role"] in ROUTER_ROLES).cost_usd,
        "label": {
            "status": "labelled" if whole and all(known[i] in LEARNED for i in known) else "censored",
            "models": models,
            "known": known,
            "cost_usd": sum(c for c in costs if c is not None) if whole and None not in costs else None,
            "ranks": {id_: pool.rank(model) + 1 for id_, model in models.items()},
        },
    }


def redacted_plan(subtasks: Sequence[Subtask], redact: Redact) -> list[Subtask] | None:
    """A plan with its texts redacted; None where it is no longer the same graph."""
    rows = [(s["id"], redact(s["text"]), list(s["depends_on"])) for s in subtasks]
    if any(references(text) != references(s["text"]) for (_, text, _), s in zip(rows, subtasks, strict=True)):
        return None
    linked = linked_plan(rows)
    return None if linked.problem else linked.subtasks


def _usd(evidence: Evidence, key: Any, model: str) -> float | None:  # noqa: ANN401 - a key
    costs = evidence.of(key).usd.get(model)
    return sum(costs) / len(costs) if costs else None


def _replans(record: RunRecord, redact: Redact) -> Iterator[Row]:
    """Subtasks of a right run that were decomposed in turn."""
    waiting: list[SubtaskResult] = list(record.get("results", []))
    for result in waiting:  # grows while it is walked
        waiting += result.get("part_results", [])
        parts = redacted_plan(result["parts"], redact) if result["parts"] else None
        if parts:
            yield {"text": redact(result["text"]), "parts": renumbered(parts), "whole": len(parts) == 1}


def _lines(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How well labels of subtasks are known."""
    return Counter(known for row in rows for plan in row["plans"] for known in plan["label"]["known"].values())


def _outcomes(evidence: Evidence, pool: ModelPool, redact: Redact, split: str) -> Iterator[Row]:
    for key, q, usd in outcome_rows(evidence, pool):
        yield {"split": split, "prompt": redact(key.text), "models": list(pool.names), "q": q, "c": usd}
