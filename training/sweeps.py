"""How much the choices of METHOD 2.4 and 3.2 matter: weights of ``J``, and what difficulty is read from and cut at.

Computed from what ``sample`` and ``label`` kept; no model is called. The tokens' probabilities that alpha is a quantile
of are read from the kept executions. What is swept is the value alone: everything else stays at what was run with.

Two views on the weights, because ``J`` never decides alone: the plan that it ranks first among all usable ones, and the
one that it ranks first among those that were right, with the cost of that plan's label.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from math import exp
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from langchain_r2.confidence.calibration import auroc
from langchain_r2.confidence.signals import quantile
from langchain_r2.errors import BadValueError
from langchain_r2.types import Group
from training.kept_signals import Signals, Step, kept_steps
from training.label_search import difficulty
from training.lines import read_lines
from training.sampling import Terms, j_scores
from training.settings import SamplingSettings, SearchSettings, from_table

Row = dict[str, Any]

PARTS: Final = 4
"""Weights are multiples of one part in so many."""
ALPHAS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
EASY: Final = (0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
MEDIUM: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
QUANTILES: Final = (0.05, 0.1, 0.25, 0.5, 0.75)
"""Of the confidences: thresholds beside the stated ones."""
GROUPS: Final[tuple[Group, ...]] = ("SLM", "MLM", "LLM")


def sweep(folder: Path, cache_file: Path, config: str, limit: int) -> dict[str, Any]:
    """All tables.

    Args:
        folder: Of ``sample`` and ``label``.
        cache_file: The executions that they kept.
        config: Names the pool that they ran with.
        limit: Most problems whose subtasks alpha is swept on.

    Raises:
        BadValueError: A file is not there, or another pool was sampled with.
    """
    sampled, labelled = read_lines(folder / "samples.jsonl"), read_lines(folder / "labels.jsonl")
    provenance = labelled[0]["provenance"]
    sampling = from_table(provenance["settings"], SamplingSettings, "the samples' settings")
    search = from_table(provenance["search"], SearchSettings, "the labels' settings")
    steps = kept_steps(sampled, labelled, cache_file, config, limit)
    if not steps:
        raise BadValueError("labels", str(folder), "at least one plan with a label", "Look at label_report.json.")
    easy = [replace(search, tau_easy=tau) for tau in cuts(EASY, steps) if tau >= search.tau_medium]
    medium = [replace(search, tau_medium=tau) for tau in cuts(MEDIUM, steps) if tau <= search.tau_easy]
    return {
        "problems": len(sampled),
        "subtasks": len(steps),
        "subtasks_with_probabilities": sum(step.logprobs is not None for step in steps),
        "sampling": asdict(sampling),
        "search": asdict(search),
        "weights": weight_rows(sampled, label_costs(labelled), sampling),
        "alpha": alpha_rows([step for step in steps if step.logprobs], search),
        "tau_easy": [tau_row({"tau_easy": s.tau_easy}, steps, s, search) for s in easy],
        "tau_medium": [tau_row({"tau_medium": s.tau_medium}, steps, s, search) for s in medium],
    }


def weightings(default: SamplingSettings) -> list[SamplingSettings]:
    """The default, then all of a grid; only their ratio counts, so they add up to 1."""
    shares = [(c / PARTS, p / PARTS) for c in range(PARTS, -1, -1) for p in range(PARTS - c, -1, -1)]
    grid = [
        replace(default, weight_conciseness=c, weight_practicality=p, weight_coherence=1 - c - p) for c, p in shares
    ]
    return [default, *(weights for weights in grid if weights != default)]


def weight_rows(
    sampled: Sequence[Row], label_usd: Mapping[tuple[str, str], float], default: SamplingSettings
) -> list[Row]:
    """A row per weighting; the first is that of the default."""
    told = [row | {"plans": usable} for row in sampled if (usable := [p for p in row["plans"] if _ran(p)])]
    if not told:
        raise BadValueError("samples", len(sampled), "at least one problem with a plan that was run")
    made = []
    usual: list[tuple[str | None, str | None]] = []
    for weights in weightings(default):
        firsts = [(first(row["plans"], weights), first(_right(row["plans"]), weights)) for row in told]
        names = [(_text(alone), _text(right)) for alone, right in firsts]
        usual = usual or names
        row = {name: getattr(weights, f"weight_{long}") for name, long in _WEIGHTS.items()}
        row |= _alone([plan for plan, _ in firsts if plan is not None])
        row["same_as_default"] = fmean(now[0] == then[0] for now, then in zip(names, usual, strict=True))
        rights: list[tuple[str, Row]] = [
            (str(problem["id"]), plan) for problem, (_, plan) in zip(told, firsts, strict=True) if plan is not None
        ]
        row |= _among_right(rights, label_usd)
        row["right_same_as_default"] = fmean(now[1] == then[1] for now, then in zip(names, usual, strict=True))
        made.append(row)
    return made


_WEIGHTS: Final = {"w_c": "conciseness", "w_p": "practicality", "w_d": "coherence"}


def first(plans: Sequence[Row], weights: SamplingSettings) -> Row | None:
    """The plan with the lowest ``J``; of equal ones the first by its text, whatever order the file has."""
    scores = j_scores([Terms(**plan["terms"]) for plan in plans], weights)
    ordered = sorted(zip(scores, plans, strict=True), key=lambda pair: (round(pair[0], 12), pair[1]["reply"]["text"]))
    return ordered[0][1] if ordered else None


def _alone(plans: Sequence[Row]) -> Row:
    costs = [_sum(plan["evaluator_usd"], plan["router_usd"]) for plan in plans]
    return {
        "accuracy": fmean(plan["status"] == "right" for plan in plans),
        "cost_usd": _mean(costs),
        "subtasks": fmean(plan["terms"]["subtasks"] for plan in plans),
    }


def _among_right(rights: Sequence[tuple[str, Row]], label_usd: Mapping[tuple[str, str], float]) -> Row:
    costs = [
        _sum(label_usd[key], plan["router_usd"])
        for id_, plan in rights
        if (key := (id_, plan["reply"]["text"])) in label_usd
    ]
    subtasks = [plan["terms"]["subtasks"] for _, plan in rights]
    return {"right_subtasks": _mean(subtasks), "label_usd": _mean(costs), "labelled": len(costs)}


def label_costs(labelled: Iterable[Row]) -> dict[tuple[str, str], float]:
    """By problem and plan, what the executions of its label cost."""
    return {
        (row["id"], plan["reply"]["text"]): plan["label"]["cost_usd"]
        for row in labelled
        for plan in row["plans"]
        if plan["label"]["status"] == "labelled" and plan["label"]["cost_usd"] is not None
    }


def alpha_rows(steps: Sequence[Step], settings: SearchSettings) -> list[Row]:
    """A row per alpha, at the thresholds that are set; the last is the product of all probabilities."""
    if not steps:
        return []

    def read(signal: Callable[[Signals], float]) -> list[float]:
        return [exp(signal(step.logprobs or ())) for step in steps]

    rows = [_alpha_row(alpha, read(quantile(alpha)), steps, settings) for alpha in ALPHAS]
    return [*rows, _alpha_row("sequence", read(sum), steps, settings)]


def _alpha_row(alpha: float | str, values: Sequence[float], steps: Sequence[Step], settings: SearchSettings) -> Row:
    chosen: list[Group] = [difficulty(value, settings) for value in values]
    easy = [step.label_group == GROUPS[0] for step in steps]
    return {"alpha": alpha, **_groups(chosen, steps, settings), "auroc_easy": auroc(list(values), easy)}


def cuts(stated: Iterable[float], steps: Sequence[Step]) -> list[float]:
    """The stated thresholds, and where the confidences themselves lie: their quantiles, or most cut nothing."""
    known = sorted(step.confidence for step in steps if step.confidence is not None)
    return sorted({*stated, *(round(known[int(share * (len(known) - 1))], 6) for share in QUANTILES if known)})


def tau_row(named: Row, steps: Sequence[Step], settings: SearchSettings, default: SearchSettings) -> Row:
    """A row for a pair of thresholds, with the confidences that the labels were searched with."""
    chosen: list[Group] = [difficulty(step.confidence, settings) for step in steps]
    return {**named, **_groups(chosen, steps, default)}


def _groups(chosen: Sequence[Group], steps: Sequence[Step], default: SearchSettings) -> Row:
    """Shares of the groups, and how they stand to the default's choice and to the verified labels."""
    shares: Row = {group: fmean(name == group for name in chosen) for group in GROUPS}
    usual = [difficulty(step.confidence, default) for step in steps]
    places = [(GROUPS.index(name), GROUPS.index(step.label_group)) for name, step in zip(chosen, steps, strict=True)]
    return {
        **shares,
        "same_as_default": fmean(a == b for a, b in zip(chosen, usual, strict=True)),
        "as_label": fmean(a == b for a, b in places),
        "weaker_than_label": fmean(a < b for a, b in places),
        "stronger_than_label": fmean(a > b for a, b in places),
    }


def _ran(plan: Row) -> bool:
    return plan["status"] in {"right", "wrong"}


def _text(plan: Row | None) -> str | None:
    return None if plan is None else str(plan["reply"]["text"])


def _right(plans: Sequence[Row]) -> list[Row]:
    return [plan for plan in plans if plan["status"] == "right"]


def _sum(cost: float | None, router: float | None) -> float | None:
    return None if cost is None or router is None else cost + router


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def write_sweep(found: Mapping[str, Any], out: Path) -> str:
    """Write ``sweep.json``, ``sweep.md`` and the picture; gives the Markdown.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from langchain_r2.plots import save
    from training.sweep_tables import draw_sweep, markdown

    out.mkdir(parents=True, exist_ok=True)
    text = markdown(found)
    (out / "sweep.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "sweep.md").write_text(text, encoding="utf-8")
    save(draw_sweep(found), out / "sweep.png")
    return text
