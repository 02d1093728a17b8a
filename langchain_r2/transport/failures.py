"""Exceptions of client libraries, put into our tree."""

from collections.abc import Iterable
from typing import Final

from langchain_r2.errors import DeadlineError, InvalidReplyError, ModelCallError, RejectedError, UnreachableError
from langchain_r2.scrubbing import scrubbed

_TRANSIENT_STATUS: Final = frozenset({408, 409, 425, 429})


def classify(error: Exception, secrets: Iterable[str] = ()) -> ModelCallError:
    """Put an exception of a client library into our tree; the message is kept, the exception becomes the cause.

    A message that shows a key loses it, and the exception is not chained: servers echo what they were sent.
    """
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    raw = f"{kind}: {error}"
    text = scrubbed(raw, secrets)
    made: ModelCallError
    if isinstance(error, ModelCallError):
        return error
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        made = DeadlineError(text)
    elif isinstance(status, int):
        transient = status in _TRANSIENT_STATUS or status >= 500
        made = (UnreachableError if transient else RejectedError)(f"HTTP {status}, {text}")
    elif isinstance(error, OSError) or "Connect" in kind or "Network" in kind:
        made = UnreachableError(text)
    else:
        made = InvalidReplyError(text)
    made.__cause__ = error if text == raw else None
    return made
