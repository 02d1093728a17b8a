"""The lock of dependencies and what else the library is made of; the checks are the scoreboard's."""

import pytest

from tests.scoreboard import s8_supply


@pytest.mark.parametrize("check", s8_supply.CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_supply(check: s8_supply.Check) -> None:
    outcome = check()
    assert outcome.passed, outcome.details


@pytest.mark.parametrize("name", s8_supply.ROW.protections)
def test_a_lock_that_is_not_whole_is_noticed(name: str) -> None:
    with s8_supply.ROW.protections[name]():
        assert not all(outcome.passed for outcome in s8_supply.run(True))
