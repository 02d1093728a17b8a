r"""The grader of mathematical answers: the last ``\boxed{...}``, compared by math-verify.

Stricter than math-verify in what it gets wrong: ``1,2`` is not the point ``(1,2)``, and a number keeps its base.
As lenient in what is a convention of the data: ``10\%`` is 10 or 0.1, ``x=5`` is 5, a unit may be missing.
"""

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path
from typing import Final

from langchain_r2.errors import MissingExtraError
from langchain_r2.evals.grading import latex_worker
from langchain_r2.evals.grading.base import Grade, right, ungradable, wrong
from langchain_r2.evals.grading.text import plain
from langchain_r2.evals.items import Item

_BOX: Final = re.compile(r"\\f?boxed\s*\{|\\fbox\s*\{")
_WRAPPED: Final = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}]*)\}")
_BASE: Final = re.compile(r"_\{?(\d+)\}?$")
_DOLLARS: Final = re.compile(r"(?<!\\)\$+([^$]+?)(?<!\\)\$+")
_LONGEST: Final = 2_000
"""Characters of an answer that are compared: the longest gold answer of MATH has about 160."""


def last_boxed(text: str) -> str | None:
    r"""What is in the last ``\boxed{...}`` or ``\fbox{...}`` whose braces are balanced."""
    for match in reversed(list(_BOX.finditer(text))):
        depth = 1
        for place in range(match.end(), len(text)):
            if text[place] in "{}" and text[place - 1] != "\\":
                depth += 1 if text[place] == "{" else -1
            if not depth:
                return text[match.end() : place].strip()
    return None


def answer_in(text: str) -> str:
    """The answer in a reply: the last box, else the last formula between dollars, else all of it."""
    boxed = last_boxed(text)
    if boxed is None:
        formulas = _DOLLARS.findall(text)
        boxed = formulas[-1] if formulas else text
    return unicodedata.normalize("NFC", boxed).strip().strip("$").strip().removesuffix(".").strip()


def same_kind(gold: str, said: str) -> bool:
    """Whether two answers can be equal at all: to the same base, both in brackets or both not."""
    return _base(gold) == _base(said) and _is_tuple(gold) == _is_tuple(said)


def same_words(gold: str, said: str) -> bool | None:
    r"""Whether two answers are the same words; None where the gold answer is no mere words. ``\text{(A)}`` is ``A``."""
    words = _WRAPPED.sub(r"\1", gold).strip()
    if not re.fullmatch(r"[(]?[A-Za-z][A-Za-z ,.'-]*[)]?", words) or (words == gold and len(words) < 3):
        return None
    return _bare(words) == _bare(_WRAPPED.sub(r"\1", said))


class LatexGrader:
    """Grades in a process of its own, that a time limit can end. Close it when done."""

    def __init__(self, *, timeout_s: float = 10.0) -> None:
        """Check that math-verify is there.

        Args:
            timeout_s: Most that one comparison may take; beyond, the item is ungradable.

        Raises:
            MissingExtraError: It is not.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtraError("grading mathematical answers", "evals")
        self.timeout_s = timeout_s
        self._worker: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    async def __call__(self, prediction: str, item: Item) -> Grade:
        """Grade one prediction; without keeping the event loop from its other work."""
        return await asyncio.to_thread(self.grade, prediction, item)

    def grade(self, prediction: str, item: Item) -> Grade:
        """Grade one prediction, from any thread."""
        gold, said = answer_in(item.gold), answer_in(prediction)[:_LONGEST]
        if not gold:
            return ungradable("the gold answer is empty")
        if not said:
            return wrong("no answer")
        if _tight(gold) == _tight(said):
            return right()
        if (words := same_words(gold, said)) is not None:
            return right() if words else wrong()
        if not same_kind(gold, said):
            return wrong("another base, or brackets on one side only")
        return self._compared(gold, said)

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._stop()

    def _compared(self, gold: str, said: str) -> Grade:
        with self._turn:
            worker = self._worker = self._worker or _start()
            late = threading.Event()

            def end() -> None:
                late.set()
                worker.kill()

            clock = threading.Timer(self.timeout_s, end)
            clock.start()
            try:
                line = _ask(worker, {"gold": gold, "prediction": said})
            except OSError:
                line = ""
            clock.cancel()
            if late.is_set() or not line:  # the clock may have ended it just after it answered
                self._stop()
        if not line:
            why = f"no comparison within {self.timeout_s:g} s" if late.is_set() else "the comparison broke down"
            return ungradable(why)
        verdict = json.loads(line)
        if "error" in verdict:
            return ungradable(f"the comparison failed: {verdict['error']}")
        if not verdict["read"]:
            return ungradable(f"the gold answer cannot be read: {gold[:80]!r}")
        return right() if verdict["equal"] else wrong()

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None


def _start() -> "subprocess.Popen[str]":
    # -P: the script's folder, which has modules of our own, stays out of its search path.
    command = [sys.executable, "-P", str(Path(latex_worker.__file__))]
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603 - our own file
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf-8"
    )


def _ask(worker: "subprocess.Popen[str]", pair: dict[str, str]) -> str:
    """The worker's line; nothing if it ended."""
    if worker.stdin is None or worker.stdout is None:
        return ""
    worker.stdin.write(json.dumps(pair) + "\n")
    worker.stdin.flush()
    return worker.stdout.readline()


def _tight(answer: str) -> str:
    return re.sub(r"\\left|\\right|\\[,;:! ]|\s", "", answer).replace("dfrac", "frac").replace("tfrac", "frac")


def _base(answer: str) -> str | None:
    found = _BASE.search(_tight(answer))
    return found and found[1]


def _is_tuple(answer: str) -> bool:
    """Whether brackets hold a list: a point, an interval; not ``(x+1)(x-1)`` and not ``1,234``."""
    tight = _tight(answer)
    tight = tight.rpartition("=")[2] or tight
    if not (tight[:1] in {"(", "["} and tight[-1:] in {")", "]"}):
        return False
    depth, comma = 0, False
    for place, sign in enumerate(tight):
        depth += (sign in "([{") - (sign in ")]}")
        if not depth and place < len(tight) - 1:
            return False
        comma = comma or (sign == "," and depth == 1)
    return comma


def _bare(words: str) -> str:
    return plain(words).strip("()").strip()
