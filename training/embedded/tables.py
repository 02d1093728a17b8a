"""Tables of what training gave, computed from raw records: ``python -m training.embedded.tables FOLDER``.

A record is one problem run by the router of one stage and seed. Intervals are bootstraps over problems and seeds, both
drawn with replacement; differences are paired by problem and seed.

Shapes: ``_S`` seeds, ``_N`` problems.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_r2.errors import BadValueError

DRAWS: Final = 2000
Floats = npt.NDArray[np.float64]


class Runs(NamedTuple):
    """All runs of a stage on a split; seeds and problems in the same order for all stages."""

    right_SN: Floats
    cost_SN: Floats
    """USD."""
    router_SN: Floats
    calls_SN: Floats
    subtasks_SN: Floats


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def text(self, form: str) -> str:
        """As tables show it."""
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]"


def read_runs(folder: Path) -> dict[str, dict[str, Runs]]:
    """Runs by split and stage, the stages in the order of their files' names.

    Raises:
        BadValueError: There are no records, or two stages were not run on the same problems with the same seeds.
    """
    rows: dict[tuple[str, str], dict[tuple[int, str], dict[str, Any]]] = defaultdict(dict)
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows[row["split"], row["stage"]][row["seed"], row["id"]] = row
    if not rows:
        raise BadValueError("folder of records", str(folder), "one with records of stages, *.jsonl")
    seeds = {seed for by_key in rows.values() for seed, _ in by_key}
    for by_key in rows.values():
        if len({seed for seed, _ in by_key}) == 1:  # it was trained once: it stands beside every seed
            by_key |= {(seed, id_): row for (_, id_), row in by_key.items() for seed in seeds}
    found: dict[str, dict[str, Runs]] = defaultdict(dict)
    keys: dict[str, list[tuple[int, str]]] = {}
    for (split, stage), by_key in rows.items():
        order = keys.setdefault(split, sorted(by_key))
        if sorted(by_key) != order:
            hint = "Stages are compared problem by problem: run them on the same ones, with the same seeds."
            raise BadValueError(f"records of {stage} on {split}", len(by_key), f"the {len(order)} of the others", hint)
        found[split][stage] = _runs([by_key[key] for key in order], len({seed for seed, _ in order}))
    return found


def _runs(rows: list[dict[str, Any]], seeds: int) -> Runs:
    def column(name: str) -> Floats:
        return np.array([row[name] for row in rows], float).reshape(seeds, -1)

    return Runs(*(column(name) for name in ("right", "cost_usd", "router_usd", "calls", "subtasks")))


def interval(shape: tuple[int, ...], statistic: Callable[[Any], float]) -> Interval:
    """A statistic of the runs at an index of seeds and problems, with its bootstrap interval."""
    seeds, problems = shape
    rng = np.random.default_rng(0)
    drawn = [
        statistic(np.ix_(rng.integers(0, seeds, seeds), rng.integers(0, problems, problems))) for _ in range(DRAWS)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(statistic(np.ix_(range(seeds), range(problems))), float(low), float(high))


def against(runs: Runs, other: Runs) -> tuple[Interval, Interval]:
    """Accuracy less another stage's, in points, and cost as a share of its."""
    gap_SN = 100 * (runs.right_SN - other.right_SN)
    points = interval(gap_SN.shape, lambda at: float(gap_SN[at].mean()))
    ratio = interval(gap_SN.shape, lambda at: float(runs.cost_SN[at].sum() / other.cost_SN[at].sum()))
    return points, ratio


def table(split: str, stages: dict[str, Runs], reference: str) -> str:
    """A table of one split in Markdown, each stage against the reference, and what the intervals say."""
    first = next(iter(stages.values()))
    lines = [
        f"{split}: {first.right_SN.shape[1]} problems, {first.right_SN.shape[0]} seeds; 95 % intervals",
        "",
        "| stage | accuracy | USD per million queries | router | calls | subtasks | points | cost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    verdicts = []
    for name, runs in stages.items():
        right, cost = 100 * runs.right_SN, 1e6 * runs.cost_SN
        accuracy = interval(right.shape, lambda at, of=right: float(of[at].mean()))  # type: ignore[misc]
        usd = interval(cost.shape, lambda at, of=cost: float(of[at].mean()))  # type: ignore[misc]
        shares = f"{runs.router_SN.sum() / runs.cost_SN.sum():.0%} | {runs.calls_SN.mean():.2f}"
        cells = f"{accuracy.text('.1f')} | {usd.text('.1f')} | {shares} | {runs.subtasks_SN.mean():.2f}"
        if name == reference or reference not in stages:
            lines.append(f"| {name} | {cells} | | |")
            continue
        points, ratio = against(runs, stages[reference])
        lines.append(f"| {name} | {cells} | {points.text('+.1f')} | {ratio.text('.3f')} |")
        said = "touches zero" if points.low <= 0 <= points.high else "is clear of zero"
        cheaper = "touches 1" if ratio.low <= 1 <= ratio.high else "is clear of 1"
        verdicts.append(
            f"- {name} against {reference}: the interval of the accuracy {said}, that of the cost {cheaper}"
        )
    return "\n".join([*lines, "", *verdicts])


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", default="sft", help="stage that the others are compared with")
    args = parser.parse_args(arguments)
    for split, stages in read_runs(args.folder).items():
        print(table(split, stages, args.against), end="\n\n")


if __name__ == "__main__":
    main()
