"""Exceptions of client libraries, put into our tree: what may pass, what may be billed, how long to wait."""

import email.utils
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_r2.errors import DeadlineError, InvalidReplyError, ModelCallError, RejectedError, UnreachableError
from langchain_r2.scrubbing import HIDDEN, scrubbed

_TRANSIENT_STATUS: Final = frozenset({408, 409, 425, 429})
_NO_MONEY: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""What endpoints say with a 429 that no wait will change."""

_AFTER_SENDING: Final = ("Reset", "Pipe", "Read", "Protocol")
"""In the names of errors that come when the request is out."""


def classify(error: Exception, secrets: Iterable[str] = ()) -> ModelCallError:
    """Put an exception of a client library into our tree; the message is kept, the exception becomes the cause.

    A message that shows a key loses it, and the exception is not chained: servers echo what they were sent.
    """
    kind = type(error).__name__
    raw = f"{kind}: {error}"
    text = scrubbed(raw, secrets)
    made: ModelCallError
    if isinstance(error, ModelCallError):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        made = DeadlineError(text)
    elif isinstance(status, int):
        made = _of_status(error, status, text)
    elif isinstance(error, OSError) or "Connect" in kind or "Network" in kind:
        made = UnreachableError(scrubbed(f"{raw}{_where(error)}", secrets))
        made.may_be_billed = any(word in type(error.__cause__ or error).__name__ for word in _AFTER_SENDING)
    else:
        made = InvalidReplyError(text)
    made.__cause__ = error if text == raw and HIDDEN not in raw else None
    return made


def _of_status(error: Exception, status: int, text: str) -> ModelCallError:
    headers, text = _headers(error), f"HTTP {status}, {text}"
    transient = status in _TRANSIENT_STATUS or status >= 500
    if not transient or (status == 429 and getattr(error, "code", None) in _NO_MONEY):
        return RejectedError(text)
    made = UnreachableError(text)
    made.may_pass = headers.get("x-should-retry") != "false"
    made.retry_after_s = retry_after_s(headers)
    return made


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How long an endpoint asks to wait, in milliseconds, seconds or until a date; None where it says nothing clear."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            value = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return None if math.isnan(value) else max(0.0, value)
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, date.timestamp() - time.time())


def _where(error: Exception) -> str:
    """Where a request went and what stopped it, which client libraries leave out of their messages."""
    url: Any = getattr(getattr(error, "request", None), "url", None)
    why = error.__cause__
    place = f" At {url.scheme}://{url.host}{f':{url.port}' if url.port else ''}" if url is not None else ""
    return place + (f" ({str(why) or type(why).__name__})" if why is not None else "")


def _headers(error: Exception) -> Mapping[str, str]:
    found: Any = getattr(getattr(error, "response", None), "headers", None)
    return found if isinstance(found, Mapping) else {}
