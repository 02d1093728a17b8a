"""A user's own questions: lines ``{"id": "...", "query": "...", "answer": "..."}``, graded by any grader.

The id is optional (the line's number), so is ``aliases``, a list of other right answers. What else a line has is in the
item's ``meta``, for graders.
"""

from pathlib import Path

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.grading import Grader
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row


def own_data(path: str | Path, grader: Grader | str) -> Benchmark:
    """A benchmark of a file's questions.

    Args:
        path: The file.
        grader: A grader, or the name of one; see :data:`langchain_r2.evals.grading.GRADERS`.
    """
    return Benchmark(Path(path).stem, from_rows(_item), grader, data=str(path))


def _item(row: Row) -> Item:
    answer = row.any_text("answer")
    if not answer.strip():
        raise row.error("answer", "a text or a number")
    rest = {key: value for key, value in row.values.items() if key not in {"id", "query", "answer", "aliases"}}
    aliases = row.texts("aliases", optional=True)
    return Item(row.any_text("id") or str(row.number), row.text("query"), answer, aliases, rest)
