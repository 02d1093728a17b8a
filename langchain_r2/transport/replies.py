"""A reply taken apart, judged whole and sane, and written down as an attempt."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage

from langchain_r2.errors import InvalidReplyError, ModelCallError, RejectedError, UnreachableError
from langchain_r2.ledger import Reservation
from langchain_r2.transport.call import Call, Reply
from langchain_r2.types import Attempt


def read_reply(message: object) -> Reply:
    """Take a reply apart.

    Raises:
        InvalidReplyError: It is no chat message, or its usage cannot be.
    """
    if not isinstance(message, AIMessage):
        raise InvalidReplyError(f"the model returned a {type(message).__name__}, not an AIMessage")
    usage = message.usage_metadata
    if usage and not all(isinstance(usage[k], int) and 0 <= usage[k] < 1e9 for k in ("input_tokens", "output_tokens")):
        raise InvalidReplyError(f"usage that cannot be: {dict(usage)!r:.200}")
    meta = message.response_metadata
    finish = meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason")
    rows = (meta.get("logprobs") or {}).get("content") or []
    logprobs = tuple(float(r["logprob"]) for r in rows) if rows else None
    alternatives = tuple({t["token"]: float(t["logprob"]) for t in r.get("top_logprobs") or []} for r in rows)
    return Reply(str(message.text), finish, logprobs, alternatives)


def attempt_row(
    call: Call,
    message: AIMessage | None,
    reply: Reply | None,
    error: ModelCallError | None,
    reservation: Reservation,
    wall_s: float,
) -> Attempt:
    """What the trace shows of a try, and the bill adds up."""
    usage: Mapping[str, Any] = (message.usage_metadata if isinstance(message, AIMessage) else None) or {}
    sane = reply is not None and bool(usage)
    tokens_in, tokens_out = (int(usage["input_tokens"]), int(usage["output_tokens"])) if sane else (0, 0)
    cached = min(tokens_in, int((usage.get("input_token_details") or {}).get("cache_read") or 0)) if sane else 0
    cost: float | None
    if sane:
        # A hit in LangChain's own cache keeps the token counts and says that it cost nothing.
        cost = 0.0 if usage.get("total_cost") == 0 else call.spec.price.cost_usd(tokens_in, tokens_out, cached)
    elif isinstance(error, (UnreachableError, RejectedError)) or call.spec.price.free:
        cost = 0.0  # nothing was generated, or it is stated to be free
    else:
        cost = reservation.worst_usd or None  # it may have been generated and billed: the bound, or unknown
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
        cost_usd=cost,
        wall_s=wall_s,
        error_type=type(error).__name__ if error else None,
        answer=reply.text if reply else None,
    )
