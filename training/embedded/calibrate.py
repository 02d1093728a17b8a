"""Calibrates every model on validation problems, and chooses the router's settings by running it on them.

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
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.prompts import bare
from training.embedded.arithmetic import Arithmetic
from training.embedded.domain import Domain, Task
from training.embedded.labels import step_answers
from training.embedded.models import ask, load_engine, parameters, write_json
from training.embedded.sizes import PRICE_DATE, PRICE_SOURCE, Size

CALIBRATION_PROBLEMS: Final = 500
CONCURRENCY: Final = 64
TOLERANCE: Final = 0.005
"""Of the settings whose accuracy is within this of the best, the cheapest are taken."""


def write_pool(domain: Domain, home: Path, tokenizer: Tokenizer) -> dict[str, Calibration]:
    """Measure every pool model on validation subtasks; write ``pool.json`` and return the calibrations."""
    gold = domain.subtasks(CALIBRATION_PROBLEMS)
    digest = _digest(sorted(gold))
    engines = {size.name: load_engine(home / size.name, tokenizer) for size in domain.pool}
    answers = step_answers(engines, tokenizer, list(gold))
    calibrations: dict[str, Calibration] = {}
    rows = []
    for size in domain.pool:
        own = answers[size.name]
        right = [domain.grade(own[text].text, subtask.answer) for text, subtask in gold.items()]
        calibration = fit([own[text].signal for text in gold], right)
        calibrations[size.name] = dataclasses.replace(calibration, data_sha256=digest)
        by_kind: dict[str, list[bool]] = defaultdict(list)
        for subtask, hit in zip(gold.values(), right, strict=True):
            by_kind[subtask.kind].append(hit)
        rows.append(_pool_row(domain, home, size, sum(right) / len(right), by_kind))
    write_json(home / "pool.json", rows)
    return calibrations


def _pool_row(
    domain: Domain, home: Path, size: Size, accuracy: float, by_kind: dict[str, list[bool]]
) -> dict[str, Any]:
    fitted = json.loads((home / size.name / "fit.json").read_text())
    return {
        "name": size.name,
        "parameters": parameters(home / size.name),
        "architecture": f"Llama, {size.layers} layers of width {size.width}",
        "training": domain.training + (", work written out" if size.works else ""),
        "training_tokens": fitted["tokens"],
        "training_seconds": round(fitted["seconds"]),
        "context_tokens": 1024,
        "max_output_tokens": 512,
        "skills": f"{domain.measured} {accuracy:.0%} right"
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


def write_router(
    domain: Domain, home: Path, tokenizer: Tokenizer, calibrations: dict[str, Calibration]
) -> dict[str, Any]:
    """Calibrate the decomposer, choose the settings on validation problems, write ``router.json``."""
    count = parameters(home / "router" / "decomposer_base")
    larger = next((s for s in domain.pool if parameters(home / s.name) >= count), domain.pool[-1])
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
        "aggregation": domain.aggregation,
        "plan_threshold": 0.5,
        "decomposer_calibration": dataclasses.asdict(_decomposer_calibration(domain, home, tokenizer)),
        "calibrations": {name: dataclasses.asdict(c) for name, c in calibrations.items()},
        **{name: values[0] for name, values in domain.tried.items()},
    }
    drawn = domain.tasks("validation", domain.choice_problems, "choice", home)
    write_json(home / "router.json", settings)
    return choose(home, settings, lambda: asyncio.run(run_validation(domain, home, drawn)), domain=domain)


def choose(
    home: Path, settings: dict[str, Any], run: Callable[[], tuple[float, float]], *, domain: Domain | None = None
) -> dict[str, Any]:
    """Choose the settings that a domain has tried, and write them into a home's ``router.json``, with what was tried.

    Args:
        home: Whose router it is.
        settings: All others.
        run: Gives accuracy and USD per query of the router as it stands in ``router.json``, on validation problems.
        domain: Its own; None: arithmetic.
    """
    domain, tried = domain or Arithmetic(), []
    for values in tqdm(list(itertools.product(*domain.tried.values())), desc="choosing settings"):
        chosen = dict(zip(domain.tried, values, strict=True))
        write_json(home / "router.json", {**settings, **chosen})
        accuracy, cost = run()
        tried.append({**chosen, "accuracy": accuracy, "usd_per_query": cost})
    best = cheapest_of_the_best(tried)
    settings |= {name: best[name] for name in domain.tried}
    settings["chosen_on"] = {"split": "validation", "problems": domain.choice_problems, "tried": tried}
    write_json(home / "router.json", settings)
    return settings


def cheapest_of_the_best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of what was tried on validation, the cheapest within the tolerance of the most accurate."""
    best = max(row["accuracy"] for row in rows)
    return min(
        (row for row in rows if row["accuracy"] >= best - TOLERANCE), key=lambda row: float(row["usd_per_query"])
    )


async def run_validation(domain: Domain, home: Path, drawn: Sequence[Task]) -> tuple[float, float]:
    """Accuracy and USD per query of the router, as it stands in ``router.json``, on some problems."""
    graph = create_r2_graph(**embedded_router(home))
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(task: Task) -> tuple[bool, float]:
        async with gate:
            out = await graph.ainvoke({"query": task.query})
        return domain.grade(out["answer"] or "", task.answer), bill(out["attempts"]).cost_usd or 0.0

    rows = await asyncio.gather(*(one(task) for task in drawn))
    return sum(r for r, _ in rows) / len(rows), sum(c for _, c in rows) / len(rows)


def _decomposer_calibration(domain: Domain, home: Path, tokenizer: Tokenizer) -> Calibration:
    drawn = domain.tasks("validation", CALIBRATION_PROBLEMS, "plans", home)
    engine = load_engine(home / "router" / "decomposer_base", tokenizer, home / "router" / "decomposer")
    answers = ask(engine, tokenizer, [bare.decompose(task.query).user for task in drawn], 192)
    right = [domain.is_right_plan(a.text, task) for a, task in zip(answers, drawn, strict=True)]
    digest = _digest([task.query for task in drawn])
    return dataclasses.replace(fit([a.signal for a in answers], right), data_sha256=digest)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
