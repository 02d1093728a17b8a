"""What a grader says becomes a grade."""

import asyncio

import pytest

from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import Grade, graded, open_grader, right, ungradable, wrong
from langchain_r2.evals.items import Item

ITEM = Item("a", "q", "gold")


def test_right_or_wrong_is_enough() -> None:
    assert asyncio.run(graded(lambda p, i: p == i.gold, "gold", ITEM)) == right()
    assert asyncio.run(graded(lambda p, i: p == i.gold, "lead", ITEM)) == wrong()


def test_a_grader_may_wait() -> None:
    async def slow(prediction: str, item: Item) -> Grade:
        await asyncio.sleep(0)
        return Grade("graded", 0.5)

    assert asyncio.run(graded(slow, "", ITEM)).score == 0.5


def test_a_grader_that_raises_makes_the_item_ungradable_and_loses_no_run() -> None:
    grade = asyncio.run(graded(lambda p, i: bool(1 / 0), "x", ITEM))
    assert (grade.status, grade.score) == ("ungradable", None)
    assert "ZeroDivisionError" in grade.reason


def test_wrong_use_is_not_hidden() -> None:
    def unusable(prediction: str, item: Item) -> bool:
        raise BadValueError("key", None)

    with pytest.raises(BadValueError):
        asyncio.run(graded(unusable, "x", ITEM))


def test_ungradable_is_neither_right_nor_wrong() -> None:
    assert ungradable("why").score is None


def test_an_unknown_grader_names_those_there_are() -> None:
    with pytest.raises(BadValueError, match="exact, numeric, choice, math, llm"), open_grader("magic"):
        pass


def test_what_a_grader_started_is_ended() -> None:
    class Started:
        ended = False

        def __call__(self, prediction: str, item: Item) -> bool:
            return True

        def close(self) -> None:
            self.ended = True

    grader = Started()
    with open_grader(grader) as used:
        assert used is grader
        assert not grader.ended
    assert grader.ended
