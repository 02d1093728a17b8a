"""A transport that makes every call once: it keeps each reply, and replays those that are given to it.

What a plan *costs* is the full price of its calls, whether they were made now or earlier; what was really *spent* is
what was sent. So that both can be said, a reply is kept below the prompts and above the chat models, in the transport:
parsing, billing, budgets and decisions stay the library's, and a kept reply costs no model time.
"""

import hashlib
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata

from langchain_r2.errors import BudgetError, ModelCallError
from langchain_r2.flow import Flow, Signal
from langchain_r2.ledger import Budget, add_costs
from langchain_r2.model_spec import ModelSpec
from langchain_r2.transport.bounds import bounds, longest_reply
from langchain_r2.transport.call import Call, Outcome, Reply
from langchain_r2.transport.engine import Transport
from langchain_r2.transport.executions import ExecutionCache, Stored
from langchain_r2.transport.identity import model_hash
from langchain_r2.transport.replies import attempt_row
from langchain_r2.types import Attempt

REPLAYED: Final[ContextVar[Mapping[str, Stored]]] = ContextVar("r2_replayed")
"""By role, what a router's call about the whole query is answered with in this context, instead of asking its model."""
REPETITION: Final[ContextVar[int]] = ContextVar("r2_repetition", default=0)
"""Which of several equal runs this is: with models that sample, each has executions of its own."""


class CachedTransport(Transport):
    """A transport whose calls are made once per model, prompt and sampling settings."""

    def __init__(
        self, cache: ExecutionCache, *, purse: Budget | None = None, keep_failed: bool = False, **settings: Any
    ) -> None:
        """Make a transport.

        Args:
            cache: Keeps the replies.
            purse: Pays for what is sent, and for nothing that was kept; None: no limit.
            keep_failed: Whether tries that failed before a reply came are kept beside it, and so are part of what it
                costs whenever it is asked for. Else they are spent, and in no bill.
            settings: Of :class:`~langchain_r2.transport.Transport`.
        """
        super().__init__(**settings)
        self.cache, self.purse, self.keep_failed = cache, purse or Budget(None), keep_failed
        self.refused = False
        """Whether the purse could not pay for a call."""
        self._models: dict[int, tuple[ModelSpec, str]] = {}
        self._under_way: set[str] = set()
        self._changed = Signal()

    def call(self, call: Call) -> Flow[Outcome]:
        """Answer from what is replayed or kept, else make the call and keep its reply.

        Raises:
            BudgetError: The budget cannot pay for it, kept or not.
            ConfigurationError: The model cannot be built.
        """
        if call.turn is not None:  # conversations have tools and streams: they are not kept
            return (yield from super().call(call))
        replayed = REPLAYED.get({}).get(call.role) if call.subtask_id is None and call.ordinal == 0 else None
        if replayed is not None:
            return (yield from _answered(call, replayed))
        key = self._key(call)
        while True:
            seen = self._changed.count
            kept = self.cache.get(key)
            if kept is not None:
                with self.cache.lock:
                    self.cache.spending.calls += 1
                return (yield from _answered(call, kept))
            with self.cache.lock:
                ours = key not in self._under_way
                self._under_way.add(key)
            if ours:
                return (yield from self._sent(call, key))
            yield self._changed.after(seen)  # the same call is under way: its reply will do

    def _sent(self, call: Call, key: str) -> Flow[Outcome]:
        try:
            outcome = yield from super().call(call)
            self._count(outcome.attempts)
            if outcome.reply is None:
                return outcome
            *failed, row = outcome.attempts
            failed = failed if self.keep_failed else []
            self.cache.put(key, call.spec.name, _stored(outcome.reply, row, failed))
            # It costs the same from the cache: tries that are not kept are spent, but no part of what the plan costs.
            return Outcome(outcome.reply, None, [*failed, row])
        finally:
            with self.cache.lock:
                self._under_way.discard(key)
            self._changed.notify()

    def _try(self, call: Call, *rest: Any, **named: Any) -> Flow[tuple[Reply | None, ModelCallError | None, Attempt]]:
        """Make one try, if the purse can pay for it."""
        most = bounds(call.spec, call.prompt, call.schema, call.turn)
        try:
            held = yield from self.purse.reserved(call.spec.price.cost_usd(*most), sum(most))
        except BudgetError:
            self.refused = True
            raise
        cost: float | None = None
        try:
            reply, error, row = yield from super()._try(call, *rest, **named)
            cost = row["cost_usd"]
            return reply, error, row
        finally:
            self.purse.settle(held, cost)

    def _count(self, attempts: list[Attempt]) -> None:
        with self.cache.lock:
            spending = self.cache.spending
            spending.calls += 1
            spending.sent += 1
            for row in attempts:
                spending.spent_usd = add_costs(spending.spent_usd, row["cost_usd"])
                spending.input_tokens += row["input_tokens"]
                spending.output_tokens += row["output_tokens"]

    def _key(self, call: Call) -> str:
        known = self._models.get(id(call.spec))
        if known is None:
            known = self._models.setdefault(id(call.spec), (call.spec, model_hash(call.spec)))
        asked = [call.prompt.system, call.prompt.user, list(call.prompt.chat), call.schema]
        sampling = [call.temperature, call.seed, call.top_logprobs, call.ordinal, REPETITION.get()]
        text = json.dumps([known[1], asked, sampling, longest_reply(call.spec)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _answered(call: Call, kept: Stored) -> Flow[Outcome]:
    """A call that needs no model: reserved, billed and written down as if it had been made."""
    most = bounds(call.spec, call.prompt, call.schema)
    held = yield from call.budget.reserved(call.spec.price.cost_usd(*most), sum(most))
    reply = Reply(kept.text, kept.finish_reason, kept.token_logprobs, kept.alternatives)
    row = attempt_row(call, _message(kept), reply, None, bounds=None, reservation=held, wall_s=kept.wall_s)
    call.budget.settle(held, row["cost_usd"], kept.input_tokens + kept.output_tokens)
    return Outcome(reply, None, [*(_failed(row, told) for told in kept.failed), row])


def _failed(row: Attempt, told: Mapping[str, Any]) -> Attempt:
    """A try that failed before the reply came, in the place of whoever asks for it now."""
    return cast("Attempt", {**row, "cached_input_tokens": 0, "answer": None, **told})


def _message(kept: Stored) -> AIMessage:
    usage = UsageMetadata(
        input_tokens=kept.input_tokens,
        output_tokens=kept.output_tokens,
        total_tokens=kept.input_tokens + kept.output_tokens,
        input_token_details=InputTokenDetails(cache_read=kept.cached_input_tokens),
    )
    return AIMessage(kept.text, usage_metadata=usage)


def _stored(reply: Reply, row: Attempt, failed: list[Attempt]) -> Stored:
    kept = ("input_tokens", "output_tokens", "cost_usd", "wall_s", "error_type")
    return Stored(
        text=reply.text,
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_input_tokens=row["cached_input_tokens"],
        finish_reason=reply.finish_reason,
        token_logprobs=reply.token_logprobs,
        alternatives=reply.alternatives,
        wall_s=row["wall_s"],
        failed=tuple({name: dict(told)[name] for name in kept} for told in failed),
    )
