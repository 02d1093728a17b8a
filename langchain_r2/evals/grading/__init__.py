"""Graders, by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.base import Grade, Grader, graded, right, ungradable, wrong
from langchain_r2.evals.grading.code import CodeChecker, CodeGrader
from langchain_r2.evals.grading.judge import Judge
from langchain_r2.evals.grading.latex import LatexGrader
from langchain_r2.evals.grading.text import choice, exact, numeric
from langchain_r2.model_spec import ModelSpec
from langchain_r2.transport import Transport


class Tools(NamedTuple):
    """What some graders need besides the answer."""

    judge: ModelSpec | None = None
    transport: Transport | None = None
    """Of the judge."""
    checker: CodeChecker | None = None
    """What runs puzzles, for the graders `RUNS_CODE`."""


def _judge(tools: Tools) -> Grader:
    if tools.judge is None:
        raise BadValueError("judge", None, "a model of the pool", "Name it with --judge.")
    return Judge(tools.judge, tools.transport)


GRADERS: Final[dict[str, Callable[[Tools], Grader]]] = {
    "exact": lambda _: exact,
    "numeric": lambda _: numeric,
    "choice": lambda _: choice,
    "math": lambda _: LatexGrader(),
    "llm": _judge,
    "code": lambda tools: CodeGrader(tools.checker),
    "program": lambda tools: CodeGrader(tools.checker, allow_code=True),
}
"""What makes a grader, by the name that ``--grader`` takes."""

RUNS_CODE: Final = frozenset({"code", "program"})
"""The graders that run code; ``program`` takes answers that are code, too."""


@contextmanager
def open_grader(grader: Grader | str, tools: Tools | None = None) -> Iterator[Grader]:
    """A grader, or the one of that name; whatever it has started is ended afterwards.

    Raises:
        BadValueError: There is none of that name, or something that it needs was not given.
        MissingExtraError: It needs a package that is not installed.
    """
    if isinstance(grader, str) and grader not in GRADERS:
        raise BadValueError("grader", grader, GRADERS)
    made = GRADERS[grader](tools or Tools()) if isinstance(grader, str) else grader
    try:
        yield made
    finally:
        if close := getattr(made, "close", None):
            close()


__all__ = [
    "GRADERS",
    "RUNS_CODE",
    "CodeChecker",
    "Grade",
    "Grader",
    "Tools",
    "graded",
    "open_grader",
    "right",
    "ungradable",
    "wrong",
]
