"""Answers that are checked by running code: what a checker is, and the grader that asks one.

No code is run here. What runs it has to bound time, memory, files and network, and must not take a verdict from the
code that it runs; without such a checker the grader refuses.
"""

import ast
import asyncio
import re
from typing import Final, Literal, NamedTuple, Protocol

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading.base import Grade, right, ungradable, wrong
from langchain_r2.evals.items import Item

LONGEST: Final = 20_000
"""Characters of an answer; 90 % of the values that solve P3's puzzles have at most 507."""

_FENCE: Final = re.compile(r"```[\w+-]*\n?(.*?)```", re.DOTALL)
_PLAIN: Final = {"int": int, "float": float, "str": str, "bool": bool}


class CodeTask(NamedTuple):
    """A puzzle and an answer to it."""

    sat: str
    """Source of ``def sat(answer: ..., ...)``, which may import modules, print, loop, or draw random numbers."""
    ans_type: str
    """Type of the answer: ``int``, ``List[str]``, ..."""
    answer: str
    form: Literal["value", "code"]
    """A Python literal, or source that defines ``sol()``."""


class CodeVerdict(NamedTuple):
    """What came of it."""

    status: Literal["satisfied", "not_satisfied", "undecided"]
    """``satisfied`` only if the answer has exactly that type and ``sat`` returned the object ``True``. ``undecided`` if
    the checker itself failed, never for what the answer did."""
    reason: str = ""


class CodeChecker(Protocol):
    """Runs puzzles. Called from several threads."""

    def check(self, task: CodeTask) -> CodeVerdict:
        """Whether the answer satisfies the puzzle."""
        ...


class CodeGrader:
    """Grades answers to puzzles: items whose meta has ``sat`` and ``ans_type``."""

    def __init__(self, checker: CodeChecker | None, *, allow_code: bool = False) -> None:
        """Take what runs the puzzles.

        Args:
            checker: Runs them.
            allow_code: Whether an answer may be source that defines ``sol()``, not only a literal.

        Raises:
            BadValueError: There is none.
        """
        if checker is None:
            hint = (
                "This benchmark runs the puzzles' code against answers of models: give a CodeChecker that contains it."
            )
            raise BadValueError("code checker", checker, "a CodeChecker", hint)
        self.checker, self.allow_code = checker, allow_code

    async def __call__(self, prediction: str, item: Item) -> Grade:
        """Grade one prediction. What is no literal of the right type is wrong without running anything."""
        answer = unfenced(prediction)
        if len(answer) > LONGEST:
            return wrong(f"an answer of more than {LONGEST} characters")
        form: Literal["value", "code"] = "code" if self.allow_code and "def sol" in answer else "value"
        if form == "value":
            try:
                value = ast.literal_eval(answer)
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                return wrong("no Python literal")
            if not has_type(value, item.meta["ans_type"]):
                return wrong(f"not of type {item.meta['ans_type']}")
        task = CodeTask(item.meta["sat"], item.meta["ans_type"], answer, form)
        verdict = await asyncio.to_thread(self.checker.check, task)
        if verdict.status == "undecided":
            return ungradable(verdict.reason)
        return right() if verdict.status == "satisfied" else wrong(verdict.reason)


def unfenced(text: str) -> str:
    """An answer without the code fence around it."""
    found = _FENCE.findall(text)
    return (found[-1] if found else text.strip().strip("`")).strip()


def has_type(value: object, ans_type: str) -> bool:
    """Whether a value has exactly a type as puzzles name it: ``True`` is no ``int``, and ``1`` no ``float``."""
    if ans_type.startswith("List[") and ans_type.endswith("]"):
        return type(value) is list and all(has_type(part, ans_type[5:-1]) for part in value)
    return ans_type in _PLAIN and type(value) is _PLAIN[ans_type]
