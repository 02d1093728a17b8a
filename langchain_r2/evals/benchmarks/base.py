"""What a benchmark is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from langchain_r2.evals.grading import Grader
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row, Source, check_ids, read_rows


class Benchmark(NamedTuple):
    """How to get items and to grade answers."""

    name: str
    load: Callable[[Source], list[Item]]
    grader: Grader | str
    """A grader, or the name of one."""
    splits: tuple[str, ...] = ()
    """Splits to evaluate on, the usual one first; none: those of the data that the user names."""
    data: str | None = None
    """Where its items are, if it knows that itself."""
    pool: str = "embedded"
    """The pool that is evaluated where none is named."""


def from_rows(item: Callable[[Row], Item]) -> Callable[[Source], list[Item]]:
    """A loader that makes an item of every row, all of them checked, and takes those wanted."""

    def load(source: Source) -> list[Item]:
        rows = read_rows(source)
        return chosen(source, [(item(row), row.where) for row in rows])

    return load


def chosen(source: Source, items: Sequence[tuple[Item, str]]) -> list[Item]:
    """The items wanted, each given with where it stands, once their ids are known to differ."""
    check_ids([(item.id, where) for item, where in items])
    return source.chosen([item for item, _ in items])
