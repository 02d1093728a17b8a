"""The benchmarks, by name."""

from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple, cast, get_args

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import arithmetic


class Item(NamedTuple):
    """One question with its right answer."""

    id: str
    query: str
    gold: str


class Benchmark(NamedTuple):
    """How to get items and to grade answers."""

    name: str
    splits: tuple[str, ...]
    """Splits to evaluate on; training data is not among them."""
    load: Callable[[str, int, int], list[Item]]
    """From split, count and seed to items."""
    grade: Callable[[str, str], bool]
    """From a prediction and the gold answer to right or wrong."""


def _arithmetic(split: str, limit: int, seed: int) -> list[Item]:
    # `load_items` has checked the split.
    stream = arithmetic.problems(cast("arithmetic.Split", split), seed=seed, shard="eval")
    return [Item(p.id, p.query, p.answer) for p in islice(stream, limit)]


_SPLITS: Final = tuple(s for s in get_args(arithmetic.Split) if s != "train")
BENCHMARKS: Final = {"arithmetic": Benchmark("arithmetic", _SPLITS, _arithmetic, arithmetic.grade)}


def load_items(name: str, split: str, limit: int, seed: int) -> tuple[Benchmark, list[Item]]:
    """A benchmark and its first items.

    Raises:
        BadValueError: There is no such benchmark or split, or the count is not a number from 1 up.
    """
    if name not in BENCHMARKS:
        raise BadValueError("benchmark", name, BENCHMARKS)
    benchmark = BENCHMARKS[name]
    if split not in benchmark.splits:
        raise BadValueError("split", split, benchmark.splits)
    if limit < 1:
        raise BadValueError("limit", limit, "a whole number from 1 up")
    return benchmark, benchmark.load(split, limit, seed)
