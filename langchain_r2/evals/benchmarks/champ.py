"""CHAMP (Mao et al. 2024): competition problems with concepts and hints.

Its answers are no LaTeX: read as such, ``sum_(i=1)^n i^2, or equivalently ...`` equals 1. So a rule grades only what is
one number, or yes or no; the others, words and formulas, are ungradable but by a judge (``--grader llm``).
The model-written solutions in the data (``fws_annotations``) are not gold and are not read.
"""

import re
from typing import Final

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.grading import Grade, right, ungradable, wrong
from langchain_r2.evals.grading.text import numeric, yes_or_no
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row

_NUMBER: Final = re.compile(r"-?\d+(?:/\d+)?")
_FORM: Final = "The answer is a number, yes or no, a formula, or a few words."


def grade(prediction: str, item: Item) -> Grade:
    """Grade a number or yes or no; nothing else."""
    gold = item.gold.strip()
    if _NUMBER.fullmatch(gold):
        return numeric(prediction, item)
    if gold not in {"Yes", "No"}:
        return ungradable("neither a number nor yes or no; a judging model can grade it: --grader llm")
    said = yes_or_no(prediction)
    if said is None:
        return wrong("neither yes nor no")
    return right() if said == (gold == "Yes") else wrong()


def _item(row: Row) -> Item:
    meta = {"category": row.any_text("category")}
    return Item(row.text("identifier"), f"{row.text('_text')}\n\n{_FORM}", row.text("_answer"), meta=meta)


BENCHMARK = Benchmark("champ", from_rows(_item), grade)
