"""The one way to a model: every call of every role goes through :meth:`Transport.call`.

It owns the tries, the deadline, the limits per model, the reservation of money and the row in the ledger. A failed call
is an outcome, not an exception; only wrong configuration and an exhausted budget raise.
"""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from langchain_r2.errors import (
    BudgetError,
    ConfigurationError,
    DeadlineError,
    InvalidReplyError,
    ModelCallError,
    RejectedError,
    UnreachableError,
)
from langchain_r2.flow import POLL_S, Both, Flow, Invoke, Sleep
from langchain_r2.ledger import Budget, Reservation
from langchain_r2.pool import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.structured import with_schema
from langchain_r2.types import Attempt, Direction, Reason, Role

_TRANSIENT_STATUS: Final = frozenset({408, 409, 425, 429})
_TOKENS_PER_MESSAGE: Final = 16
"""Bound on what a chat template adds to a message."""


class Reply(NamedTuple):
    """A whole reply of a model."""

    text: str
    finish_reason: str | None
    token_logprobs: tuple[float, ...] | None
    """Log-probabilities of the tokens that it wrote, in order; None where the model gives none."""
    alternatives: tuple[Mapping[str, float], ...]
    """Per written token, the likeliest tokens there with their log-probabilities; empty where the model gives none."""


class Outcome(NamedTuple):
    """What came of a call: the reply or the last error, and one attempt per try."""

    reply: Reply | None
    error: ModelCallError | None
    attempts: list[Attempt]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call to make."""

    spec: ModelSpec
    prompt: Prompt
    role: Role
    budget: Budget
    config: RunnableConfig | None = None
    subtask_id: str | None = None
    direction: Direction = "initial"
    reason: Reason = "allocated"
    temperature: float | None = None
    """None leaves it to the model."""
    seed: int | None = None
    """For models that take one, so that several samples of one prompt differ; None leaves it to the model."""
    top_logprobs: int = 0
    """How many alternatives per token to ask for; 0: none."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of the reply, for a model with structured output; None: any text."""
    deadline_s: float | None = None


@dataclass
class _Gate:
    """Turns at one model: how many calls run, and when the next may start."""

    running: int = 0
    next_start: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Transport:
    """Makes model calls. One per graph; safe to use from threads and event loops."""

    def __init__(self, *, max_tries: int = 2, first_delay_s: float = 0.5) -> None:
        """Set how often a call is tried while its error may pass, and the first pause (doubled each time)."""
        self.max_tries = max_tries
        self.first_delay_s = first_delay_s
        self._models: dict[int, tuple[ModelSpec, BaseChatModel]] = {}
        self._gates: dict[str, _Gate] = {}
        self._lock = threading.Lock()

    def call(self, call: Call) -> Flow[Outcome]:
        """Make a call, trying again while the error is one that may pass.

        Raises:
            BudgetError: The budget cannot pay for the first try. (For a later one the outcome has the error before.)
            ConfigurationError: The model cannot be built.
        """
        if isinstance(call.spec.model, str) and id(call.spec) not in self._models:
            yield Both(self._model, self._amodel, (call.spec,))
        model = self._model(call.spec)
        attempts: list[Attempt] = []
        error: ModelCallError | None = None
        ends = time.monotonic() + call.deadline_s if call.deadline_s else None
        for number in range(self.max_tries):
            if number:
                pause = self.first_delay_s * 2 ** (number - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
                if ends and time.monotonic() + pause >= ends:
                    break
                yield Sleep(pause)
            try:
                reply, error, attempt = yield from self._try(call, model, ends)
            except BudgetError:
                if not attempts:
                    raise
                break  # the outcome carries the error before
            attempts.append(attempt)
            if reply is not None:
                return Outcome(reply, None, attempts)
            if not isinstance(error, UnreachableError):
                break
        return Outcome(None, error, attempts)

    def _try(
        self, call: Call, model: BaseChatModel, ends: float | None
    ) -> Flow[tuple[Reply | None, ModelCallError | None, Attempt]]:
        """Make one try and settle it."""
        worst = worst_usd(call.spec, call.prompt, call.schema)
        while (reservation := call.budget.reserve(worst)) is None:
            yield Sleep(POLL_S)
        reply: Reply | None = None
        error: ModelCallError | None = None
        message: AIMessage | None = None
        started = time.perf_counter()
        gate = self._gate(call.spec)
        sent = False
        try:
            yield from self._wait_for_turn(gate, call.spec)
            started, sent = time.perf_counter(), True
            with _turn(gate):
                message = yield self._request(call, model, ends)
            reply = read_reply(message)
        except (GraphBubbleUp, ConfigurationError):
            raise
        except Exception as raised:  # noqa: BLE001 - the boundary to code that is not ours
            error = classify(raised)
        finally:
            if reply is None and error is None:  # cancelled, or raised through: nothing stays reserved
                call.budget.settle(reservation, None if sent else 0.0)
        attempt = _attempt(call, message, reply, error, reservation, time.perf_counter() - started)
        call.budget.settle(reservation, attempt["cost_usd"])
        return reply, error, attempt

    def _request(self, call: Call, model: BaseChatModel, ends: float | None) -> Invoke:
        known = type(model).model_fields
        options: dict[str, Any] = reply_limit(model, call.spec.max_output_tokens)
        for name in ("temperature", "seed"):
            if (value := getattr(call, name)) is not None and name in known:
                options[name] = value
        if call.top_logprobs and "logprobs" in call.spec.capabilities:
            options |= {"logprobs": True, "top_logprobs": call.top_logprobs}
        config: RunnableConfig = {**(call.config or {})}
        config["metadata"] = {
            **(config.get("metadata") or {}),
            "r2_role": call.role,
            "r2_model": call.spec.name,
            "r2_subtask": call.subtask_id or "",
            "r2_direction": call.direction,
            "r2_reason": call.reason,
        }
        config["run_name"] = f"{call.role}:{call.spec.name}"
        left = max(0.001, ends - time.monotonic()) if ends else None
        prompt = call.prompt.messages()
        if call.schema is not None:
            return Invoke(with_schema(model, call.schema, options), prompt, config, left)
        return Invoke(model, prompt, config, left, options)

    def _wait_for_turn(self, gate: _Gate, spec: ModelSpec) -> Flow[None]:
        while True:
            with gate.lock:
                now = time.monotonic()
                free = spec.max_concurrency is None or gate.running < spec.max_concurrency
                if free and now >= gate.next_start:
                    gate.running += 1
                    if spec.requests_per_minute:
                        gate.next_start = max(now, gate.next_start) + 60 / spec.requests_per_minute
                    return
                pause = max(POLL_S, gate.next_start - now) if free else POLL_S
            yield Sleep(pause)

    async def _amodel(self, spec: ModelSpec) -> BaseChatModel:
        """In a thread: the first model of a package imports it, which would hold an event loop up."""
        return await asyncio.to_thread(self._model, spec)

    def _model(self, spec: ModelSpec) -> BaseChatModel:
        known = self._models.get(id(spec))
        if known is None:  # made without a lock, which an event loop would wait for: of two, one is kept
            made = spec.chat_model()
            known = self._models.setdefault(id(spec), (spec, made))  # with the spec, so that its id stays taken
        return known[1]

    def _gate(self, spec: ModelSpec) -> _Gate:
        with self._lock:
            return self._gates.setdefault(spec.name, _Gate())


@contextmanager
def _turn(gate: _Gate) -> Iterator[None]:
    try:
        yield
    finally:
        with gate.lock:
            gate.running -= 1


def reply_limit(model: BaseChatModel, tokens: int) -> dict[str, Any]:
    """The option that bounds a reply's length, by the name that the model's class has for it; none if it has none."""
    names = [n for n in ("max_tokens", "max_output_tokens", "num_predict") if n in type(model).model_fields]
    return {names[0]: tokens} if names else {}


def worst_usd(spec: ModelSpec, prompt: Prompt, schema: Mapping[str, Any] | None = None) -> float | None:
    """What a call costs at most: a token is at least one byte of the prompt, and the reply as long as allowed."""
    shown = prompt.user + (prompt.system or "") + (json.dumps(schema) if schema else "")  # a schema is billed as input
    size = len(shown.encode(errors="surrogatepass")) + 2 * _TOKENS_PER_MESSAGE
    return spec.price.cost_usd(size, spec.max_output_tokens)


def expected_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float:
    """What a call of that size would cost on a model, for comparing models; an unknown price counts as endless."""
    cost = spec.price.cost_usd(input_tokens, output_tokens)
    return float("inf") if cost is None else cost


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


def _attempt(
    call: Call,
    message: AIMessage | None,
    reply: Reply | None,
    error: ModelCallError | None,
    reservation: Reservation,
    wall_s: float,
) -> Attempt:
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
