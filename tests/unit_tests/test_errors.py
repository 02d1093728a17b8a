"""The tree of exceptions."""

import pickle
import re
import threading

import pytest

from langchain_r2 import errors
from langchain_r2.errors import (
    BadValueError,
    BrokenOffError,
    BudgetError,
    CheckpointError,
    CircuitOpenError,
    ConfigurationError,
    DeadlineError,
    InvalidReplyError,
    LedgerError,
    LostReplyError,
    MissingExtraError,
    MissingPriceError,
    ModelCallError,
    NoAnswerError,
    PoolFileError,
    R2Error,
    RejectedError,
    SandboxError,
    UnknownModelError,
    UnknownThreadError,
    UnreachableError,
)

SAMPLES: list[R2Error] = [
    R2Error("root"),
    ConfigurationError("wrong use"),
    BadValueError("colour", "blue", ["red", "green"], "Paint it."),
    PoolFileError("pool.toml", "no [[models]]", "Add one."),
    UnknownModelError("m9", ["m1", "m2"]),
    MissingPriceError("m1", "output"),
    MissingExtraError("drawing", "draw"),
    ModelCallError("a call"),
    UnreachableError("HTTP 503"),
    RejectedError("HTTP 401"),
    InvalidReplyError("no usage"),
    DeadlineError("too late"),
    BudgetError(0.5, 0.25),
    LostReplyError("killed"),
    LedgerError("calls.db", "disk full", "Make room."),
    UnknownThreadError("t1"),
    SandboxError("no bwrap", "Install it."),
    CheckpointError("an object of 'os.system'"),
    CircuitOpenError("m1 failed"),
    BrokenOffError("after its first words"),
    NoAnswerError("error", "no reply was usable", 0.5),
]


def drawn_tree() -> list[tuple[int, str, str]]:
    """Depth, name and stated second base of every class that the docstring draws."""
    rows = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:[|+ -]{4})*)(\w+Error)(?: \((\w+)\))?", line)
        if match:
            rows.append((len(match[1]) // 4, match[2], match[3] or ""))
    return rows


def defined() -> dict[str, type[R2Error]]:
    return {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, R2Error)}


def test_every_exception_has_a_sample() -> None:
    assert {type(e).__name__ for e in SAMPLES} == set(defined())


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_a_pickled_exception_comes_back_the_same(error: R2Error) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("value", [lambda: 0, threading.Lock()], ids=["function", "lock"])
def test_an_exception_about_a_value_that_cannot_be_pickled_can_be_pickled(value: object) -> None:
    error = BadValueError("pool", value, "a ModelPool")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


def test_the_tree_in_the_docstring_names_every_class_once() -> None:
    names = [name for _, name, _ in drawn_tree()]
    assert sorted(names) == sorted(defined())


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    path: list[str] = []
    for depth, name, second in drawn_tree():
        path[depth:] = [name]
        cls = defined()[name]
        expected = [path[depth - 1]] if depth else ["Exception"]
        assert [base.__name__ for base in cls.__bases__] == expected + ([second] if second else [])


@pytest.mark.parametrize(
    ("cls", "standard"),
    [
        (ConfigurationError, ValueError),
        (UnknownModelError, LookupError),
        (MissingExtraError, ImportError),
        (UnreachableError, ConnectionError),
        (DeadlineError, TimeoutError),
    ],
)
def test_code_that_knows_only_the_standard_library_can_catch_it(cls: type[R2Error], standard: type[Exception]) -> None:
    assert issubclass(cls, standard)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (SAMPLES[2], ["colour", "'blue'", "red, green", "Paint it."]),
        (BadValueError("n", -1, "a number from 0"), ["n is -1", "allowed: a number from 0."]),
        (BadValueError("n", None), ["n is None."]),
        (BadValueError("many", 0, range(50)), ["0, 1, 2", "19 and 30 more"]),
        (SAMPLES[3], ["'pool.toml'", "no [[models]]", "Add one."]),
        (SAMPLES[4], ["'m9'", "m1, m2"]),
        (SAMPLES[5], ["'m1'", "output", "USD per million tokens", 'output = "unknown"', "None"]),
        (SAMPLES[6], ["drawing", 'pip install "langchain-r2[draw]"']),
        (SAMPLES[12], ["0.5 USD", "0.25 USD left"]),
    ],
)
def test_a_message_says_what_was_wrong_and_what_to_do(error: R2Error, parts: list[str]) -> None:
    for part in parts:
        assert part in str(error)


def test_a_huge_value_is_shown_in_part() -> None:
    assert len(str(BadValueError("text", "x" * 10_000, "a short text"))) < 300
