"""Exceptions of client libraries, put into our tree."""

from typing import Final

from langchain_r2.errors import DeadlineError, InvalidReplyError, ModelCallError, RejectedError, UnreachableError

_TRANSIENT_STATUS: Final = frozenset({408, 409, 425, 429})


def classify(error: Exception) -> ModelCallError:
    """Put an exception of a client library into our tree; the message is kept, the exception becomes the cause."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    made: ModelCallError
    if isinstance(error, ModelCallError):
        return error
    if isinstance(error, TimeoutError) or "Timeout" in kind:
        made = DeadlineError(f"{kind}: {error}")
    elif isinstance(status, int):
        transient = status in _TRANSIENT_STATUS or status >= 500
        made = (UnreachableError if transient else RejectedError)(f"HTTP {status}, {kind}: {error}")
    elif isinstance(error, OSError) or "Connect" in kind or "Network" in kind:
        made = UnreachableError(f"{kind}: {error}")
    else:
        made = InvalidReplyError(f"{kind}: {error}")
    made.__cause__ = error
    return made
