"""MuSiQue-Ans (Trivedi et al. 2022): questions over several paragraphs, with their decompositions.

Graded as its authors do: exact match (the score) and F1 of the words, the best over the answer and its aliases.
"""

import re
from typing import Final

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.grading import Grade, ungradable
from langchain_r2.evals.grading.text import overlap
from langchain_r2.evals.items import GoldStep, Item
from langchain_r2.evals.reading import Row

_FORM: Final = "Answer from the paragraphs in as few words as possible."


def grade(prediction: str, item: Item) -> Grade:
    """Exact match and F1 of the words."""
    golds = [gold for gold in (item.gold, *item.aliases) if gold.strip()]
    if not golds:
        return ungradable("the gold answer is empty")
    matched, f1 = overlap(prediction, golds)
    return Grade("graded", float(matched), measures={"f1": f1})


def _item(row: Row) -> Item:
    if row.values.get("answerable", True) is not True:
        hint = "Questions without an answer need the metric of MuSiQue-Full: take MuSiQue-Ans."
        raise row.error("answerable", "true", hint)
    paragraphs = [f"{p.text('title')}: {p.text('paragraph_text')}" for p in row.tables("paragraphs", optional=True)]
    query = "\n\n".join([*paragraphs, row.text("question") + (f"\n{_FORM}" if paragraphs else "")])
    parts = row.tables("question_decomposition", optional=True)
    steps = tuple(_step(part, place) for place, part in enumerate(parts, 1))
    aliases = row.texts("answer_aliases", optional=True)
    return Item(row.text("id"), query, row.text("answer"), aliases, {"hops": len(steps)}, steps)


def _step(part: Row, place: int) -> GoldStep:
    text = part.text("question")
    needs = tuple(dict.fromkeys(re.findall(r"#(\d+)", text)))
    if any(not 0 < int(id_) < place for id_ in needs):
        raise part.error("question", f"#1 to #{place - 1} for the answers of earlier steps")
    return GoldStep(text, needs, part.text("answer"))


BENCHMARK = Benchmark("musique", from_rows(_item), grade)
