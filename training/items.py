"""Problems to train on: from a file, or from the arithmetic generator; splits that are apart, each with its hash."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple, cast, get_args

from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks import arithmetic
from langchain_r2.evals.grading import GRADERS, Grader
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row, Source, check_ids, read_rows

ARITHMETIC: Final = "arithmetic"
"""The source, and the grader, of the generated problems."""


class TrainItem(NamedTuple):
    """One problem with its right answer."""

    id: str
    query: str
    answer: str
    split: str
    aliases: tuple[str, ...] = ()
    """Other right answers."""

    def as_item(self) -> Item:
        """As graders read it."""
        return Item(self.id, self.query, self.answer, self.aliases)


def load_train_items(source: str, split: str, limit: int, *, seed: int = 0, shard: str = "training") -> list[TrainItem]:
    """Problems of a split.

    Args:
        source: ``arithmetic``, or the path of a file with a line ``{"id": ..., "query": ..., "answer": ...}`` each.
            Lines may have a ``split``; then only those of this split are read.
        split: Which split.
        limit: Most problems.
        seed: The same seed draws the same ones.
        shard: Of the generator: further problems of the same split and seed.

    Raises:
        BadValueError: The file cannot be read, a line lacks its id, query or gold answer, an id is there twice, or
            there is no problem of this split.
    """
    if limit < 1:
        raise BadValueError("limit", limit, "a whole number from 1 up")
    if source == ARITHMETIC:
        if split not in get_args(arithmetic.Split):
            raise BadValueError("split", split, get_args(arithmetic.Split))
        stream = arithmetic.problems(cast("arithmetic.Split", split), seed=seed, shard=shard)
        return [TrainItem(p.id, p.query, p.answer, split) for p in islice(stream, limit)]
    rows = read_rows(Source(split, limit, seed, source))
    items = [_item(row, split) for row in rows if row.values.get("split", split) == split]
    check_ids([(item.id, row.where) for item, row in zip(items, _of_split(rows, split), strict=True)])
    if not items:
        raise BadValueError("split", split, "one that the data has", f"No line of {source} is of it.")
    return Source(split, limit, seed, source).chosen(items)


def _of_split(rows: Sequence[Row], split: str) -> list[Row]:
    return [row for row in rows if row.values.get("split", split) == split]


def _item(row: Row, split: str) -> TrainItem:
    answer = row.values.get("answer")
    if answer is None or isinstance(answer, bool) or not str(answer).strip():
        hint = "A plan can only be scored against a gold answer: add it, or leave the line out."
        raise row.error("answer", "the gold answer, a text or a number", hint)
    aliases = row.texts("aliases", optional=True)
    id_ = row.any_text("id") or str(row.number)
    return TrainItem(id_, row.text("query"), row.any_text("answer"), split, aliases)


def check_apart(items: Iterable[TrainItem], others: Iterable[TrainItem]) -> None:
    """Refuse a split to train or choose on that overlaps another one, by id or by text.

    Raises:
        BadValueError: A problem is in both; the message counts them and shows the first.
    """
    ours = list(items)
    theirs = list(others)
    known = {key for item in theirs for key in (("id", item.id), ("query", same_query(item.query)))}
    both = [item for item in ours if ("id", item.id) in known or ("query", same_query(item.query)) in known]
    if both:
        name, other = both[0].split, theirs[0].split
        hint = f"{len(both)} problem(s) are in both, the first is {both[0].id!r}: {both[0].query!r:.80}. Take them out."
        raise BadValueError(f"split {name!r}", f"{len(both)} of {len(ours)} items", f"none that {other!r} has", hint)


def same_query(query: str) -> str:
    """A query as it is compared: spaces and capitals do not matter."""
    return " ".join(query.casefold().split())


def split_of(query: str) -> str:
    """The split of a query that comes from no data set: 10 % test, 10 % validation, else train, by a hash of its text.

    Recorded again, or with other plans, it is always in the same one.
    """
    hundredth = int(hashlib.sha256(same_query(query).encode(errors="surrogatepass")).hexdigest()[:8], 16) % 100
    return "test" if hundredth < 10 else "validation" if hundredth < 20 else "train"


def split_hash(items: Iterable[TrainItem]) -> str:
    """What a split consists of, whatever its order."""
    rows = sorted([item.id, item.query, item.answer] for item in items)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def grader_named(name: str) -> Grader | str:
    """A grader for ``open_grader``: ``arithmetic``, or any that ``langchain-r2 eval --grader`` takes.

    Raises:
        BadValueError: There is none of that name.
    """
    if name == ARITHMETIC:
        return _grade_arithmetic
    if name not in GRADERS:
        raise BadValueError("grader", name, (ARITHMETIC, *GRADERS))
    return name


def _grade_arithmetic(prediction: str, item: Item) -> bool:
    return arithmetic.grade(prediction, item.gold)
