"""Calibrates every model on validation steps, and chooses the router's settings by running it on validation problems.

Nothing of a test split is read here. Writes ``pool.json`` and ``router.json``, which the library loads.
"""

import asyncio
import dataclasses
import hashlib
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer
from tqdm import tqdm

from langchain_r2.confidence import Calibration, fit
from langchain_r2.embedded.bundle import embedded_router
from langchain_r2.evals.benchmarks.arithmetic import Problem, grade, problems
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.prompts import bare, plan_lines
from training.arithmetic_data import split_step
from training.embedded.labels import step_answers
from training.embedded.models import SEED, ask, load_engine, parameters, write_json
from training.embedded.sizes import POOL, PRICE_DATE, PRICE_SOURCE, Size

CALIBRATION_PROBLEMS: Final = 500
CHOICE_PROBLEMS: Final = 150
COVERAGES: Final = (0.75, 0.9)
THRESHOLDS: Final = (0.85, 0.95, 0.97, 0.985)
CONCURRENCY: Final = 64
TOLERANCE: Final = 0.005
"""Of the settings whose accuracy is within this of the best, the cheapest are taken."""


def validation_problems(count: int, shard: str) -> list[Problem]:
    """The first problems of a validation stream."""
    return list(itertools.islice(problems("validation", seed=SEED, shard=shard), count))


def write_pool(home: Path, tokenizer: Tokenizer) -> dict[str, Calibration]:
    """Measure every pool model on validation steps; write ``pool.json`` and return the calibrations."""
    drawn = validation_problems(CALIBRATION_PROBLEMS, "calibration")
    gold = {s.resolved: str(s.answer) for p in drawn for s in p.steps}
    digest = hashlib.sha256(json.dumps(sorted(gold)).encode()).hexdigest()[:16]
    engines = {size.name: load_engine(home / size.name, tokenizer) for size in POOL}
    answers = step_answers(engines, tokenizer, list(gold))
    calibrations: dict[str, Calibration] = {}
    rows = []
    for size in POOL:
        own = answers[size.name]
        right = [grade(own[step].text, answer) for step, answer in gold.items()]
        calibration = fit([own[step].signal for step in gold], right)
        calibrations[size.name] = dataclasses.replace(calibration, data_sha256=digest)
        by_kind: dict[str, list[bool]] = defaultdict(list)
        for step, hit in zip(gold, right, strict=True):
            a, operation, b = split_step(step)
            by_kind[f"{operation} {len(str(a))}x{len(str(b))}"].append(hit)
        rows.append(_pool_row(home, size, sum(right) / len(right), by_kind))
    write_json(home / "pool.json", rows)
    return calibrations


def _pool_row(home: Path, size: Size, accuracy: float, by_kind: dict[str, list[bool]]) -> dict[str, Any]:
    fitted = json.loads((home / size.name / "fit.json").read_text())
    return {
        "name": size.name,
        "parameters": parameters(home / size.name),
        "architecture": f"Llama, {size.layers} layers of width {size.width}",
        "training": "the mixture of training/arithmetic_data.py" + (", work written out" if size.works else ""),
        "training_tokens": fitted["tokens"],
        "training_seconds": round(fitted["seconds"]),
        "context_tokens": 1024,
        "max_output_tokens": 512,
        "skills": f"single steps {accuracy:.0%} right"
        + ("; writes its work out" if size.works else "; answers at once"),
        "step_accuracy": round(accuracy, 4),
        "step_accuracy_by_kind": {k: [round(sum(v) / len(v), 3), len(v)] for k, v in sorted(by_kind.items())},
        "price": {
            "input": size.input_usd,
            "output": size.output_usd,
            "source": f"{PRICE_SOURCE}: {size.real_model}",
            "date": PRICE_DATE,
        },
    }


def write_router(home: Path, tokenizer: Tokenizer, calibrations: dict[str, Calibration]) -> dict[str, Any]:
    """Calibrate the decomposer, choose coverage and threshold on validation problems, write ``router.json``."""
    count = parameters(home / "router" / "decomposer_base")
    larger = next((s for s in POOL if parameters(home / s.name) >= count), POOL[-1])
    settings: dict[str, Any] = {
        "price": {
            "input": larger.input_usd,
            "output": larger.output_usd,
            "source": f"the price of {larger.name}, the pool model next larger in parameters",
            "date": PRICE_DATE,
        },
        "parameters": count,
        "context_tokens": 1024,
        "max_output_tokens": 192,
        "plan_threshold": 0.5,
        "decomposer_calibration": dataclasses.asdict(_decomposer_calibration(home, tokenizer)),
        "calibrations": {name: dataclasses.asdict(c) for name, c in calibrations.items()},
        "coverage": COVERAGES[0],
        "threshold": THRESHOLDS[0],
    }
    drawn = validation_problems(CHOICE_PROBLEMS, "choice")
    write_json(home / "router.json", settings)
    return choose(home, settings, lambda: asyncio.run(run_validation(home, drawn)))


def choose(home: Path, settings: dict[str, Any], run: Callable[[], tuple[float, float]]) -> dict[str, Any]:
    """Choose coverage and threshold, and write them into a home's ``router.json``, with what was tried.

    Args:
        home: Whose router it is.
        settings: All others.
        run: Gives accuracy and USD per query of the router as it stands in ``router.json``, on validation problems.
    """
    tried = []
    for coverage, threshold in tqdm(list(itertools.product(COVERAGES, THRESHOLDS)), desc="choosing settings"):
        write_json(home / "router.json", {**settings, "coverage": coverage, "threshold": threshold})
        accuracy, cost = run()
        tried.append({"coverage": coverage, "threshold": threshold, "accuracy": accuracy, "usd_per_query": cost})
    chosen = cheapest_of_the_best(tried)
    settings |= {"coverage": chosen["coverage"], "threshold": chosen["threshold"]}
    settings["chosen_on"] = {"split": "validation", "problems": CHOICE_PROBLEMS, "tried": tried}
    write_json(home / "router.json", settings)
    return settings


def cheapest_of_the_best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of what was tried on validation, the cheapest within the tolerance of the most accurate."""
    best = max(row["accuracy"] for row in rows)
    return min(
        (row for row in rows if row["accuracy"] >= best - TOLERANCE), key=lambda row: float(row["usd_per_query"])
    )


async def run_validation(home: Path, drawn: list[Problem]) -> tuple[float, float]:
    """Accuracy and USD per query of the router, as it stands in ``router.json``, on some problems."""
    graph = create_r2_graph(**embedded_router(home))
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(problem: Problem) -> tuple[bool, float]:
        async with gate:
            out = await graph.ainvoke({"query": problem.query})
        return grade(out["answer"] or "", problem.answer), bill(out["attempts"]).cost_usd or 0.0

    rows = await asyncio.gather(*(one(p) for p in drawn))
    return sum(r for r, _ in rows) / len(rows), sum(c for _, c in rows) / len(rows)


def _decomposer_calibration(home: Path, tokenizer: Tokenizer) -> Calibration:
    drawn = validation_problems(CALIBRATION_PROBLEMS, "plans")
    engine = load_engine(home / "router" / "decomposer_base", tokenizer, home / "router" / "decomposer")
    answers = ask(engine, tokenizer, [bare.decompose(p.query).user for p in drawn], 192)
    right = [a.text == plan_lines([s.text for s in p.steps]) for a, p in zip(answers, drawn, strict=True)]
    digest = hashlib.sha256(json.dumps([p.query for p in drawn]).encode()).hexdigest()[:16]
    return dataclasses.replace(fit([a.signal for a in answers], right), data_sha256=digest)
