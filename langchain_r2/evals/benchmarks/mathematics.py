r"""MATH (Hendrycks et al. 2021) in its own layout and in that of MATH-500: competition problems.

The own layout has a solution with the answer in its last ``\boxed{...}`` (23 of the 5,000 test problems have another
one first); MATH-500 has the answer itself, too.
"""

from typing import Final

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.grading.latex import last_boxed
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row

# Words alone would not be found in a sentence.
_FORM: Final = r"Give the answer in \boxed{}, as simple as it can be."


def _item(row: Row) -> Item:
    gold = row.text("answer") if "answer" in row.values else last_boxed(row.text("solution"))
    if gold is None:
        raise row.error("solution", r"a solution with its answer in \boxed{...}")
    subject = row.any_text("subject") or row.any_text("type")
    level = row.any_text("level").removeprefix("Level ")
    given = row.any_text("unique_id") or row.any_text("idx") or str(row.number)
    meta = {"subject": subject, "level": level}
    return Item(f"math-{given}", f"{row.text('problem')}\n\n{_FORM}", gold, meta=meta)


BENCHMARK = Benchmark("math", from_rows(_item), "math")
