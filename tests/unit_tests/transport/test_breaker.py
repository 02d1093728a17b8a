"""The circuit of a model, on a clock that moves by hand."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_r2.errors import (
    CircuitOpenError,
    DeadlineError,
    InvalidReplyError,
    ModelCallError,
    RejectedError,
    UnreachableError,
)
from langchain_r2.transport.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, open_s=10.0, clock=clock)


def fail(breaker: Breaker, times: int = 1, error: ModelCallError | None = None) -> None:
    for _ in range(times):
        breaker.leave(breaker.enter("m"), error or UnreachableError("down"))


def asking(seconds: float) -> UnreachableError:
    error = UnreachableError("HTTP 429")
    error.retry_after_s = seconds
    return error


def state(breaker: Breaker) -> str:
    return breaker.state


def refused(breaker: Breaker) -> bool:
    try:
        breaker.leave(breaker.enter("m"), None, ended=False)
    except CircuitOpenError:
        return True
    return False


@pytest.mark.parametrize("error", [UnreachableError("x"), DeadlineError("x")], ids=["unreachable", "deadline"])
def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker, error: ModelCallError) -> None:
    fail(breaker, 2, error)
    assert state(breaker) == "closed"
    fail(breaker, 1, error)
    assert state(breaker) == "open"
    with pytest.raises(CircuitOpenError, match="'m' failed 3 times in a row; nothing is sent for 10 s more"):
        breaker.enter("m")


@pytest.mark.parametrize("error", [None, RejectedError("401"), InvalidReplyError("html")], ids=["ok", "401", "html"])
def test_whatever_shows_that_it_is_there_starts_the_count_anew(breaker: Breaker, error: ModelCallError | None) -> None:
    fail(breaker, 2)
    breaker.leave(breaker.enter("m"), error)
    fail(breaker, 2)
    assert state(breaker) == "closed"


def test_of_many_failures_no_more_get_through_than_allowed(breaker: Breaker) -> None:
    through = 0
    for _ in range(25):
        try:
            permit = breaker.enter("m")
        except CircuitOpenError:
            continue
        through += 1
        breaker.leave(permit, UnreachableError("down"))
    assert through == 3


def test_half_open_lets_one_of_many_callers_through(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    assert state(breaker) == "half-open"
    barrier = threading.Barrier(50)

    def enter(_: int) -> int:
        barrier.wait()
        try:
            return int(breaker.enter("m").probe)
        except CircuitOpenError:
            return 0

    with ThreadPoolExecutor(50) as threads:
        assert sum(threads.map(enter, range(50))) == 1


def test_the_probe_closes_it_or_opens_it_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker)
    assert state(breaker) == "open"
    clock.now += 10
    breaker.leave(breaker.enter("m"), None)
    assert state(breaker) == "closed"
    fail(breaker, 2)
    assert state(breaker) == "closed"


def test_a_cancelled_probe_leaves_its_place_to_the_next(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    breaker.leave(breaker.enter("m"), None, ended=False)
    assert state(breaker) == "half-open"
    assert breaker.enter("m").probe


def test_a_cancelled_call_says_nothing(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.leave(breaker.enter("m"), None, ended=False)
    fail(breaker)
    assert state(breaker) == "open"


def test_the_longest_wait_that_was_asked_for_wins(breaker: Breaker, clock: Clock) -> None:
    late = breaker.enter("m")
    for seconds in (30.0, 5.0, 20.0):
        fail(breaker, 1, asking(seconds))
    clock.now += 29
    assert refused(breaker)
    breaker.leave(late, asking(40.0))  # it was under way when the circuit opened
    clock.now += 2
    assert refused(breaker)
    clock.now += 38
    assert not refused(breaker)


def test_a_wait_that_is_short_does_not_open_it_early(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3, asking(0.1))
    clock.now += 9.9
    assert refused(breaker)


def test_what_began_before_it_opened_neither_closes_nor_counts(breaker: Breaker, clock: Clock) -> None:
    early = [breaker.enter("m") for _ in range(4)]
    fail(breaker, 3)
    breaker.leave(early[0], None)
    assert state(breaker) == "open"
    clock.now += 10
    breaker.leave(early[1], UnreachableError("late"))
    assert state(breaker) == "half-open"
    breaker.leave(breaker.enter("m"), None)
    for permit in early[2:]:
        breaker.leave(permit, UnreachableError("late"))
    fail(breaker, 2)
    assert state(breaker) == "closed"
