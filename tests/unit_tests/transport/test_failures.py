"""What endpoints say with an error: whether it may pass, how long to wait, whether it may be billed."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import openai
import pytest

from langchain_r2.errors import RejectedError, UnreachableError
from langchain_r2.transport.failures import classify, retry_after_s
from langchain_r2.transport.pauses import pause_s

REQUEST = httpx2.Request("POST", "http://localhost/v1/chat/completions")


def error(status: int, body: Any = None, **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(
        status, headers={k.replace("_", "-"): v for k, v in headers.items()}, request=REQUEST, json=body or {}
    )
    return openai.APIStatusError("no", response=response, body=body)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after-ms": "300", "retry-after": "9"}, 0.3),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "1e400"}, float("inf")),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
    ids=str,
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(httpx2.Headers(headers)) == seconds


@pytest.mark.parametrize(("ahead_s", "least", "most"), [(60, 55, 60), (-60, 0, 0)])
def test_how_long_to_wait_until_a_date(ahead_s: int, least: float, most: float) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s), usegmt=True)
    found = retry_after_s({"retry-after": date})
    assert found is not None
    assert least <= found <= most


def test_a_wait_is_read_from_the_clients_exception() -> None:
    made = classify(error(429, retry_after="7"))
    assert (type(made), made.retry_after_s, made.may_pass) == (UnreachableError, 7.0, True)


@pytest.mark.parametrize("status", [429, 500])
def test_an_endpoint_may_say_that_no_other_try_helps(status: int) -> None:
    made = classify(error(status, x_should_retry="false"))
    assert (type(made), made.may_pass) == (UnreachableError, False)


def test_no_credit_is_nothing_that_passes() -> None:
    made = classify(error(429, {"code": "insufficient_quota", "message": "no credit"}))
    assert (type(made), made.may_pass) == (RejectedError, False)


def connection_error(cause: Exception) -> openai.APIConnectionError:
    made = openai.APIConnectionError(request=REQUEST)
    made.__cause__ = cause
    return made


@pytest.mark.parametrize(
    ("raised", "billed"),
    [
        (error(503), False),
        (error(400), False),
        (ConnectionRefusedError("x"), False),
        (ConnectionResetError("x"), True),
        (connection_error(httpx2.ConnectError("x")), False),
        (connection_error(httpx2.ReadError("x")), True),
        (connection_error(httpx2.RemoteProtocolError("x")), True),
        (TimeoutError("x"), True),
        (ValueError("x"), True),
    ],
    ids=repr,
)
def test_what_was_sent_may_be_billed(raised: Exception, billed: bool) -> None:
    assert classify(raised).may_be_billed is billed


@pytest.mark.parametrize("asked", [0.3, 2.0, 130.0])
def test_what_is_asked_for_is_waited_and_not_much_more(asked: float) -> None:
    made = UnreachableError("HTTP 429")
    made.retry_after_s = asked
    for number in (1, 2, 3):
        assert all(asked <= pause_s(made, 50.0, number) <= 1.1 * asked for _ in range(50))


@pytest.mark.parametrize("asked", [None, 0.0])
def test_else_pauses_double(asked: float | None) -> None:
    made = UnreachableError("HTTP 503")
    made.retry_after_s = asked
    for number in (1, 2, 3):
        assert 0.75 * 2 ** (number - 1) <= pause_s(made, 1.0, number) <= 1.25 * 2 ** (number - 1)
