"""A reply taken apart, judged whole and sane, and written down as an attempt."""

import time
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.messages import AIMessage

from langchain_r2.errors import InvalidReplyError, ModelCallError
from langchain_r2.ledger import Reservation
from langchain_r2.model_spec import Price
from langchain_r2.transport.bounds import Bounds
from langchain_r2.transport.call import Call, Reply
from langchain_r2.types import Attempt

_CUT_OR_REFUSED: Final = frozenset({"length", "content_filter", "refusal", "max_tokens", "tool_calls", "function_call"})
"""Reasons to stop that may leave no text."""
_FACTOR: Final = 4
_SLACK_TOKENS: Final = 4096
"""How far usage may pass the bounds before it is absurd: some endpoints add a prompt of their own, some ignore the
limit of a reply's length."""


def read_reply(message: object, bounds: Bounds | None = None, *, needs_usage: bool = True) -> Reply:
    """Take a reply apart.

    Args:
        message: What the model returned.
        bounds: What the call could read and write, for a model behind our own HTTP: its reply must say why it ended,
            must have text unless it was cut or refused, and usage within reason. None: any chat message.
        needs_usage: Whether a reply behind our HTTP must have usage.

    Raises:
        InvalidReplyError: It is no chat message, not whole, or its usage cannot be.
    """
    if not isinstance(message, AIMessage):
        raise InvalidReplyError(f"the model returned a {type(message).__name__}, not an AIMessage")
    usage, finish, text = message.usage_metadata, _finish_reason(message), str(message.text)
    if usage and usage_of(message, bounds) is None:
        raise _broken(f"usage that cannot be: {dict(usage)!r:.200}", may_pass=bounds is not None)
    if bounds is not None:
        if finish is None:
            raise _broken("the reply does not say why it ended: it may have been cut on its way")
        if not usage and needs_usage:
            raise _broken("the reply has no usage")
        called = message.tool_calls or message.invalid_tool_calls  # one that had to be made may end with "stop"
        if not text.strip() and not called and finish not in _CUT_OR_REFUSED:
            raise _broken(f"the reply has no text (finish reason {finish!r:.40})", may_pass=False)
    rows = (message.response_metadata.get("logprobs") or {}).get("content") or []
    logprobs = tuple(float(r["logprob"]) for r in rows) if rows else None
    alternatives = tuple({t["token"]: float(t["logprob"]) for t in r.get("top_logprobs") or []} for r in rows)
    return Reply(text, finish, logprobs, alternatives)


def usage_of(message: object, bounds: Bounds | None) -> Mapping[str, Any] | None:
    """A reply's usage, if it has any that can be believed."""
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if not usage:
        return None
    counts: tuple[Any, Any] = usage["input_tokens"], usage["output_tokens"]  # any: an endpoint may have sent a text
    if not all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1e9 for n in counts):
        return None
    if bounds is not None:
        if any(n > _FACTOR * bound + _SLACK_TOKENS for n, bound in zip(counts, bounds, strict=True)):
            return None
        if isinstance(message, AIMessage) and (counts[0] == 0 or (counts[1] == 0 and str(message.text).strip())):
            return None  # it did read the prompt, and did write the text
    return usage


def _finish_reason(message: AIMessage) -> str | None:
    meta = message.response_metadata
    found = meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason")
    if found is None and "status" in meta:  # the Responses API
        why = (meta.get("incomplete_details") or {}).get("reason")
        found = {"max_output_tokens": "length", None: "stop" if meta["status"] == "completed" else None}.get(why, why)
    return None if found is None else str(found)


def _broken(problem: str, *, may_pass: bool = True) -> InvalidReplyError:
    error = InvalidReplyError(problem)
    error.may_pass = may_pass
    return error


def _tokens(usage: Mapping[str, Any] | None) -> tuple[int, int, int]:
    """Tokens read, those of them from the provider's cache, tokens written."""
    if not usage:
        return 0, 0, 0
    read = int(usage["input_tokens"])
    cached = min(read, int((usage.get("input_token_details") or {}).get("cache_read") or 0))
    return read, cached, int(usage["output_tokens"])


def cost_of(
    price: Price, message: object, error: ModelCallError | None, *, bounds: Bounds | None, bound_usd: float
) -> float | None:
    """What a try cost in USD; None where that is not known.

    Args:
        price: Of the model.
        message: The reply, if one came.
        error: What went wrong.
        bounds: What the call could read and write, where usage is held against that.
        bound_usd: What a try is charged that may have been billed and does not say what for; 0: nobody set a bound.
    """
    usage = usage_of(message, bounds)
    if usage:
        read, cached, written = _tokens(usage)
        # A hit in LangChain's own cache keeps the token counts and says that it cost nothing.
        return 0.0 if usage.get("total_cost") == 0 else price.cost_usd(read, written, cached)
    if price.free or (error is not None and not error.may_be_billed):
        return 0.0  # nothing was generated, or it is stated to be free
    return bound_usd or None  # it may have been generated and billed: the bound, or unknown


def attempt_row(
    call: Call,
    message: object,
    reply: Reply | None,
    error: ModelCallError | None,
    *,
    bounds: Bounds | None,
    reservation: Reservation,
    wall_s: float,
) -> Attempt:
    """What the trace shows of a try, and the bill adds up."""
    tokens_in, cached, tokens_out = _tokens(usage_of(message, bounds))
    return Attempt(
        subtask_id=call.subtask_id,
        role=call.role,
        model=call.spec.name,
        group=call.spec.group,
        direction=call.direction,
        reason=call.reason,
        confidence=None,
        input_tokens=tokens_in,
        cached_input_tokens=cached,
        output_tokens=tokens_out,
        cost_usd=cost_of(call.spec.price, message, error, bounds=bounds, bound_usd=reservation.bound_usd),
        wall_s=wall_s,
        error_type=type(error).__name__ if error else None,
        answer=reply.text if reply else None,
        started_at=time.time() - wall_s,
    )
