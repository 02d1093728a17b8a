"""Labels for the plans of sampled problems, and the report about the search."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import exp, log
from statistics import fmean
from typing import Any

from langchain_r2.parsing import QUERY_REFERENCE
from training.items import TrainItem
from training.label_search import Search, label_data, optimum
from training.plan_runs import PlanRunner
from training.sampling import reply_of
from training.settings import SearchSettings


async def label_problem(
    runner: PlanRunner, settings: SearchSettings, row: Mapping[str, Any], evaluator: str
) -> dict[str, Any]:
    """Labels for the plans of one sampled problem; marks the best by ``J`` and the cheapest."""
    item = TrainItem(row["id"], row["query"], row["answer"], row["split"])
    right = [plan for plan in row["plans"] if plan["status"] == "right"]
    # Where the evaluation model got no plan right, the first one may still be right with others.
    tried = right[: settings.plans] or [p for p in row["plans"] if p["status"] == "wrong"][:1]
    searches = [
        Search(
            runner=runner,
            settings=settings,
            item=item,
            plan=reply_of(plan),
            subtasks=plan["subtasks"],
            reference={s["id"]: evaluator for s in plan["subtasks"]},
            confidences=plan["confidences"],
            known_right=plan["status"] == "right",
        )
        for plan in tried
    ]
    labels = await asyncio.gather(*(search.run() for search in searches))
    plans = [
        {**{k: plan[k] for k in _KEPT}, "style": style_of(plan, tried), "label": label_data(label, runner.pool)}
        for plan, label in zip(tried, labels, strict=True)
    ]
    return {
        "query": item.query,
        "answer": item.answer,
        "split": item.split,
        "plans": marked(plans),
        "replans": row["replans"],
    }


_KEPT = ("source", "reply", "subtasks", "parse", "terms", "J", "router_usd")


def style_of(plan: Mapping[str, Any], plans: Sequence[Mapping[str, Any]]) -> str:
    """How finely a plan decomposes, among the right plans of its problem.

    ``direct``: the query itself is the only subtask. ``fine``: of more subtasks than another that is not direct. Else
    ``coarse``.
    """
    if is_direct(plan):
        return "direct"
    least = min(len(p["subtasks"]) for p in plans if not is_direct(p))
    return "fine" if len(plan["subtasks"]) > least else "coarse"


def is_direct(plan: Mapping[str, Any]) -> bool:
    """Whether a plan does not decompose."""
    return len(plan["subtasks"]) == 1 and QUERY_REFERENCE in plan["subtasks"][0]["text"]


def marked(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Plans with the best labelled one by ``J``, and the one whose label costs least (with its decomposer), marked."""
    labelled = [plan for plan in plans if plan["label"]["status"] == "labelled"]
    by_j = min(labelled, key=lambda p: p["J"], default=None)
    return [{**marks, "best_by_j": plan is by_j} for plan, marks in zip(plans, marked_by_cost(plans), strict=True)]


def marked_by_cost(plans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Plans with the one marked whose label costs least; none of them the best by ``J``, which not all have."""
    priced = [p for p in plans if p["label"]["status"] == "labelled" and p["label"]["cost_usd"] is not None]
    best = min(priced, key=lambda p: p["label"]["cost_usd"] + (p["router_usd"] or 0.0), default=None)
    return [{**plan, "best_by_j": False, "best_by_cost": plan is best} for plan in plans]


async def optima(
    runner: PlanRunner, rows: Sequence[Mapping[str, Any]], most: int, done: Callable[[], Any]
) -> list[dict[str, Any]]:
    """Labels beside the true optimum, for the best-ranked plan of the first problems; too large ones are left out."""

    async def one(row: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any] | None:
        item = TrainItem(row["id"], row["query"], row["answer"], row["split"])
        known = plan["label"]["models"], plan["label"]["cost_usd"]
        best = await optimum(runner, item, plan["subtasks"], known)
        done()
        return best and {"id": row["id"], "models": best[0], "cost_usd": best[1], "label_usd": known[1]}

    labelled = [(row, plan) for row in rows for plan in row["plans"][:1] if plan["label"]["cost_usd"] is not None]
    found = await asyncio.gather(*(one(row, plan) for row, plan in labelled[:most]))
    return [comparison for comparison in found if comparison is not None]


def report(
    rows: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]], *, models: int, sent: int = 0
) -> dict[str, Any]:
    """What the search took and gave.

    Args:
        rows: Of labels.
        compared: Labels beside the true optimum.
        models: How many models the pool has.
        sent: Executions that the search really made: neither kept from sampling nor asked for before.
    """
    labels = [(plan, plan["label"]) for row in rows for plan in row["plans"]]
    good = [(plan, label) for plan, label in labels if label["status"] == "labelled"]
    never = [row for row in rows if not any(p["label"]["status"] == "labelled" for p in row["plans"])]
    ranks = Counter(rank for _, label in good for rank in label["ranks"].values())
    sizes = [len(plan["subtasks"]) for plan, _ in good]
    return {
        "problems": len(rows),
        "labels": len(good),
        "plan_runs_per_label": _mean([label["plan_runs"] for _, label in good]),
        "executions_beside_runs_per_label": _mean([label["executions"] for _, label in good]),
        # In whole plans' worth: what was really executed for a label beside the run that sampling had made.
        "executions_sent_in_plans_per_label": sent / sum(sizes) if sizes else None,
        "brute_force_plan_runs_geometric_mean": exp(_mean([n * log(models) for n in sizes]) or 0.0),
        "brute_force_plan_runs_mean": _mean([float(models**n) for n in sizes]),
        "share_of_problems_discarded": len(never) / len(rows) if rows else None,
        "plans_by_status": dict(Counter(label["status"] for _, label in labels)),
        "labels_by_style": dict(Counter(plan["style"] for plan, _ in good)),
        "best_by_cost_by_style": dict(Counter(plan["style"] for plan, _ in good if plan["best_by_cost"])),
        "ranks": {str(rank): ranks[rank] for rank in range(1, models + 1)},
        "cost_over_start": _ratio([(lb["cost_usd"], lb["reference_usd"]) for _, lb in good]),
        "optimum": {
            "plans": len(compared),
            "cost_over_optimum": _ratio([(c["label_usd"], c["cost_usd"]) for c in compared]),
            "share_at_optimum": _mean([float(c["label_usd"] <= c["cost_usd"] * (1 + 1e-9)) for c in compared]),
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    total = sum(b for _, b in known)
    return sum(a for a, _ in known) / total if total else None
