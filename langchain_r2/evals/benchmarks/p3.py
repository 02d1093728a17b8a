"""P3 (Schuster et al. 2021): programming puzzles. An answer is right if the puzzle's ``sat`` returns True for it.

``sat`` is code, so a :class:`~langchain_r2.evals.grading.CodeChecker` has to run it; without one the grader refuses.
``p3`` asks for a value, ``p3-programs`` takes code that works one out, too: some puzzles have only very long answers.
The checker is public: a solver may be asked again after a failed check, but then the tries have to be counted.
"""

from functools import partial
from typing import Final

from langchain_r2.evals.benchmarks.base import Benchmark, from_rows
from langchain_r2.evals.grading.code import has_type
from langchain_r2.evals.items import Item
from langchain_r2.evals.reading import Row

_FORM: Final = """\
Find a value for the first argument of sat so that sat returns True. Its type is {ans_type}.
Give the value as a Python literal, on one line, without code around it.

{sat}"""

_FORM_OF_PROGRAMS: Final = """\
Find a value for the first argument of sat so that sat returns True. Its type is {ans_type}.
Give the value as a Python literal, on one line; or else Python code that defines sol(), which returns the value.

{sat}"""

_EXAMPLES: Final = {"int": 1, "float": 1.0, "str": "", "bool": True}


def _item(row: Row, form: str = _FORM) -> Item:
    ans_type = row.text("ans_type")
    inner = ans_type.replace("List[", "").rstrip("]")
    if inner not in _EXAMPLES or not has_type(_nested(ans_type), ans_type):
        raise row.error("ans_type", f"{', '.join(_EXAMPLES)}, or List[...] of them")
    sat, bodies = row.text("sat"), row.texts("sol_bodies", optional=True)
    # 54 of the 1,715 puzzles have no known solution: they can be graded all the same.
    gold = f"{row.text('sol_header')}\n{bodies[0]}" if bodies else ""
    meta = {"sat": sat, "ans_type": ans_type, "family": row.text("name").partition(":")[0]}
    # The solution's docstring tells the puzzle in words; its header and bodies are not shown.
    told = row.any_text("sol_docstring").strip().strip('"').strip()
    query = form.format(ans_type=ans_type, sat=sat) + (f"\n\n{told}" if told else "")
    return Item(row.text("name"), query, gold, meta=meta)


def _nested(ans_type: str) -> object:
    if ans_type.startswith("List["):
        return [_nested(ans_type[5:-1])]
    return _EXAMPLES.get(ans_type)


BENCHMARK = Benchmark("p3", from_rows(_item), "code")
PROGRAMS = Benchmark("p3-programs", from_rows(partial(_item, form=_FORM_OF_PROGRAMS)), "program")
