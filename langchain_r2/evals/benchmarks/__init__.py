"""The benchmarks, by name."""

from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, cast, get_args

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import (
    arithmetic,
    champ,
    commonsenseqa,
    gsm8k,
    mathematics,
    musique,
    p3,
    scan,
    scan_commands,
)
from langchain_r2.evals.benchmarks.base import Benchmark
from langchain_r2.evals.benchmarks.own_data import own_data
from langchain_r2.evals.grading import Grader
from langchain_r2.evals.items import GoldStep, Item
from langchain_r2.evals.reading import Source, digest


def _arithmetic(source: Source) -> list[Item]:
    # `load_items` has checked the split.
    split = cast("arithmetic.Split", source.split)
    stream = arithmetic.problems(split, seed=source.seed, shard="eval")
    return [
        Item(p.id, p.query, p.answer, steps=tuple(GoldStep(s.text, s.depends_on, str(s.answer)) for s in p.steps))
        for p in islice(stream, source.limit)
    ]


def _grade(prediction: str, item: Item) -> bool:
    return arithmetic.grade(prediction, item.gold)


_SPLITS: Final = ("test", *(s for s in get_args(arithmetic.Split) if s not in {"train", "test"}))
_GENERATED: Final = Benchmark("arithmetic", _arithmetic, _grade, _SPLITS)
_ALL: Final = (
    _GENERATED,
    scan.BENCHMARK,
    scan_commands.BENCHMARK,
    mathematics.BENCHMARK,
    champ.BENCHMARK,
    commonsenseqa.BENCHMARK,
    musique.BENCHMARK,
    gsm8k.BENCHMARK,
    p3.BENCHMARK,
    p3.PROGRAMS,
)

BENCHMARKS: Final = {benchmark.name: benchmark for benchmark in _ALL}
"""What ``langchain-r2 eval`` takes; a path stands for a user's own data."""


class Selection(NamedTuple):
    """Items to evaluate on, and how they were chosen."""

    benchmark: Benchmark
    items: list[Item]
    facts: dict[str, Any]
    """What a report has to state: benchmark, split, data and its hash, limit, seed, grader."""


def load_items(
    benchmark: str | Benchmark,
    *,
    split: str | None = None,
    limit: int = 200,
    seed: int = 0,
    data: str | None = None,
    grader: Grader | str | None = None,
    first: bool = False,
) -> Selection:
    """Choose items of a benchmark.

    Args:
        benchmark: Its name, a benchmark, or the path of a file of own data.
        split: Which split; None: its usual one. A file has no splits.
        limit: Most items.
        seed: The same seed draws the same items.
        data: Path of its data, or ``hf:owner/name``; not for what is generated.
        grader: In place of its own one; own data needs one.
        first: Take the first items in the order of the data, instead of drawing.

    Raises:
        BadValueError: There is no such benchmark or split, the count is not a number from 1 up, or something is wrong
            with the data.
    """
    chosen = _found(benchmark, grader) if isinstance(benchmark, str) else benchmark
    chosen = chosen if grader is None else chosen._replace(grader=grader)
    data = chosen.data if data is None else data
    of_file = data is not None or not chosen.splits
    split = split or (chosen.splits or ("test",))[0]
    if not of_file and split not in chosen.splits:
        raise BadValueError("split", split, chosen.splits)
    if limit < 1:
        raise BadValueError("limit", limit, "a whole number from 1 up")
    if data is not None and chosen is _GENERATED:
        raise BadValueError("data", data, "nothing: these problems are generated")
    source = Source(split, limit, seed, data, first)
    items = chosen.load(source)
    own = BENCHMARKS.get(chosen.name, chosen).grader is chosen.grader and chosen.name in BENCHMARKS
    named = chosen.grader if isinstance(chosen.grader, str) else getattr(chosen.grader, "__name__", "a grader")
    facts = {"benchmark": chosen.name, "split": split, "limit": limit, "seed": seed, "first": first}
    facts |= {
        "data": data,
        "data_sha256": digest(data),
        "items": len(items),
        "grader": "its own rule" if own and callable(chosen.grader) else named,
    }
    return Selection(chosen, items, facts)


def _found(name: str, grader: Grader | str | None) -> Benchmark:
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    if not (Path(name).is_file() or Path(name).suffix in {".jsonl", ".json"}):
        raise BadValueError("benchmark", name, (*BENCHMARKS, "the path of a file of questions"))
    if grader is None:
        hint = 'Lines {"id": ..., "query": ..., "answer": ...} need one: --grader exact, numeric, choice, math or llm.'
        raise BadValueError("grader", grader, "the name of a grader", hint)
    return own_data(name, grader)


__all__ = ["BENCHMARKS", "Benchmark", "GoldStep", "Item", "Selection", "Source", "load_items", "own_data"]
