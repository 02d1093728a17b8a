"""What a run of training took and gave: its ledgers, what that is worth in queries, its learning curves in figures.

A folder may hold several runs, as ``make train-embedded`` leaves them: every ``ledger.jsonl`` and ``metrics.jsonl`` in
it counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from langchain_r2.errors import BadValueError
from langchain_r2.ledger import add_costs
from langchain_r2.plots import read_metrics
from training.costs import break_even_queries, totals
from training.grpo_metrics import DOMINANT

Row = Mapping[str, Any]

SHOWN: Final = {
    "reward": "reward",
    "accuracy": "accuracy",
    "cost_usd": "USD per query",
    "kl": "KL",
    "zero_variance_share": "groups without a signal",
    "entropy": "entropy",
}
"""Figures of the learning curves, by their name in ``metrics.jsonl``."""
ENDS: Final = 10
"""Steps at the beginning and at the end of a stage that its figures are means of."""
SUMMED: Final = ("processes", "seconds", "cpu_s", "calls", "sent", "input_tokens", "output_tokens")


@dataclass(frozen=True)
class Saving:
    """What a query costs with the router that came out, against something else, and when that has paid for it."""

    against: str
    before_usd: float
    after_usd: float
    spent_usd: float | None
    """On the training; None: a price is unknown."""

    @property
    def saved_usd(self) -> float:
        """Per query."""
        return self.before_usd - self.after_usd

    @property
    def queries(self) -> float | None:
        """Until the savings have paid for the training; None: never, or nobody knows."""
        return None if self.spent_usd is None else break_even_queries(self.spent_usd, self.saved_usd)


@dataclass(frozen=True)
class Report:
    """All that a page shows."""

    name: str
    ledger: Mapping[str, Row]
    """By stage, the folder of its run before it."""
    savings: Sequence[Saving]
    curves: Mapping[str, Sequence[Row]]
    """By run, the rows of its metrics."""

    @property
    def spent(self) -> dict[str, Any]:
        """What all stages took together."""
        rows = self.ledger.values()
        sums: dict[str, Any] = {name: sum(row.get(name, 0) for row in rows) for name in SUMMED}
        cost: float | None = 0.0
        for row in rows:
            cost = add_costs(cost, row["spent_usd"])
        return sums | {"spent_usd": cost}


def read_report(folder: Path, records: Path | None = None) -> Report:
    """Read a run, or a folder of runs.

    Args:
        folder: Of ``sample``, ``label``, ``grpo``, ``alternate`` or ``make train-embedded``.
        records: Records of tests, a line per problem and stage; None: those in the folder, if there are any.

    Raises:
        BadValueError: The folder has no ledger, or a file is something else.
    """
    ledger: dict[str, Row] = {}
    for file in sorted(folder.rglob("ledger.jsonl")):
        ledger |= {_named(folder, file, stage): row for stage, row in totals(file).items()}
    if not ledger:
        raise BadValueError(
            "folder of a run", str(folder), "one that a stage of training has written a ledger.jsonl in"
        )
    curves = {_named(folder, file, "") or "run": read_metrics(file) for file in sorted(folder.rglob("metrics.jsonl"))}
    report = Report(folder.resolve().name, ledger, (), {name: rows for name, rows in curves.items() if rows})
    spent_usd = report.spent["spent_usd"]
    kept = records or folder / "records"
    savings = _of_records(kept, spent_usd) if kept.is_dir() else []
    for marker in sorted(folder.rglob("stages/start-data.json")):
        savings += _of_run(marker.parents[1], _named(folder, marker.parents[1] / "x", ""), spent_usd)
    return Report(report.name, ledger, savings, report.curves)


def _named(folder: Path, file: Path, stage: str) -> str:
    """A stage with the folder of its run, where that is a part of the folder asked for."""
    return "/".join(part for part in (*file.parent.relative_to(folder).parts, stage) if part)


def _of_run(run: Path, name: str, spent_usd: float | None) -> list[Saving]:
    """From the data of the first stage to that of the last, and from the strongest model's own runs."""
    rows = {file.stem: _read(file) for file in (run / "stages").glob("*-data.json")}
    # in the order in which they were done: a marker is written when its stage ends
    order = sorted(rows, key=lambda stem: (run / "stages" / f"{stem}.json").stat().st_mtime_ns)
    order = ["start-data", *(stem for stem in order if stem != "start-data")]
    first, last = rows[order[0]].get("cost_usd"), rows[order[-1]].get("cost_usd")
    prefix = f"{name}: " if name else ""
    found = []
    if last is not None and first is not None and len(order) > 1:
        found.append(Saving(f"{prefix}the router before reinforcement, on the training data", first, last, spent_usd))
    references = [row for row in _rows(run / "ledger.jsonl") if row["stage"] == "references"]
    reference = references[-1].get("reference_usd") if references else None
    if last is not None and reference is not None:
        against = f"{prefix}the strongest model step by step, on the training data"
        found.append(Saving(against, reference, last, spent_usd))
    return found


def _of_records(folder: Path, spent_usd: float | None) -> list[Saving]:
    """From the first stage of the records to each other one."""
    costs: dict[str, list[float | None]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for row in _rows(file):
            costs.setdefault(str(row["stage"]), []).append(row["cost_usd"])
    means = {s: fmean(c for c in of if c is not None) for s, of in costs.items() if of and None not in of}
    start = "sft" if "sft" in means else next(iter(means), None)
    if start is None:
        return []
    others = [stage for stage in means if stage != start]
    return [Saving(f"{stage} against {start}, on the tests", means[start], means[stage], spent_usd) for stage in others]


def stage_figures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """By stage: steps, and every figure's mean over its first and over its last steps."""
    by_stage: dict[str, list[Row]] = {}
    for row in rows:
        by_stage.setdefault(str(row.get("stage", "")), []).append(row)
    return [_figures(stage, of) for stage, of in by_stage.items()]


def _figures(stage: str, rows: Sequence[Row]) -> dict[str, Any]:
    made: dict[str, Any] = {"stage": stage, "steps": rows[-1]["step"]}
    for name in SHOWN:
        made[name] = (_mean(rows[:ENDS], name), _mean(rows[-ENDS:], name))
    shares: dict[str, float] = {}
    last = [row["model_shares"] for row in rows[-ENDS:] if row.get("model_shares")]
    for row in last:
        for model, share in row.items():
            shares[model] = shares.get(model, 0.0) + share / len(last)
    made["model"], made["share"] = max(shares.items(), key=lambda pair: pair[1], default=(None, None))
    return made


def _mean(rows: Sequence[Row], name: str) -> float | None:
    known = [row[name] for row in rows if row.get(name) is not None]
    return fmean(known) if known else None


def warnings_of(curves: Mapping[str, Sequence[Row]]) -> list[str]:
    """Where one model took nearly all subtasks: by run and stage, the first time, how many steps, and the last word."""
    said = []
    for run, rows in curves.items():
        by_stage: dict[str, list[Row]] = {}
        for row in rows:
            if row.get("warning"):
                by_stage.setdefault(str(row.get("stage", "")), []).append(row)
        for warned in by_stage.values():
            first, last = warned[0], warned[-1]
            since = f"over {DOMINANT:.0%} on {len(warned)} steps, first on step {first['step']}"
            said.append(f"{run}: {last['warning']}; {since}")
    return said


def _read(file: Path) -> Row:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _rows(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise BadValueError("file of a run", str(file), "JSON lines", str(error)) from error
