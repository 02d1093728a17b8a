"""The tries of a call: one loop, under one deadline."""

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import Final

from langgraph.errors import GraphBubbleUp

from langchain_r2.call_ledger import CallLedgerStore
from langchain_r2.clients import is_bounded
from langchain_r2.errors import (
    BudgetError,
    ConfigurationError,
    DeadlineError,
    InvalidReplyError,
    LedgerError,
    ModelCallError,
)
from langchain_r2.flow import Both, Flow, Sleep
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.scrubbing import secrets_of, without
from langchain_r2.transport.bounds import Bounds, bounds
from langchain_r2.transport.breaker import Breaker, Permit
from langchain_r2.transport.call import Call, Outcome, Reply
from langchain_r2.transport.chat import as_data
from langchain_r2.transport.failures import classify
from langchain_r2.transport.journal import Journal
from langchain_r2.transport.pauses import pause_s
from langchain_r2.transport.replies import attempt_row, read_reply, usage_of
from langchain_r2.transport.requests import Target, request_of
from langchain_r2.transport.turns import Gate, turn, wait_for_turn
from langchain_r2.types import Attempt

DEFAULT_DEADLINE_S: Final = 120.0
"""How long a call of a model behind our own HTTP may take where nobody says."""


@dataclass
class _Clock:
    """The time that a call has: it runs from its first turn, so that waiting for others costs it nothing."""

    deadline_s: float | None
    budget: Budget
    ends: float | None = None

    def start(self) -> None:
        if self.deadline_s is not None and self.ends is None:
            self.ends = time.monotonic() + self.deadline_s

    def last(self) -> float | None:
        """When it is over, by ``time.monotonic``."""
        return min((at for at in (self.ends, self.budget.ends) if at is not None), default=None)

    def allows(self, pause: float) -> bool:
        last = self.last()
        return pause < DEFAULT_DEADLINE_S if last is None else time.monotonic() + pause < last


@dataclass
class _Try:
    """One try while it is made."""

    number: int
    """Which try of the call, from 0."""
    worst_usd: float | None
    bounds: Bounds
    started: float
    bound_usd: float = 0.0
    """What it is charged where its cost is not known."""
    sent: bool = False
    permit: Permit | None = None
    message: object = None
    reply: Reply | None = None
    error: ModelCallError | None = None


class Transport:
    """Makes model calls. One per graph; safe to use from threads and event loops."""

    def __init__(
        self,
        *,
        max_tries: int = 3,
        first_delay_s: float = 0.5,
        breaker_failures: int = 5,
        breaker_open_s: float = 5.0,
        ledger: CallLedgerStore | None = None,
    ) -> None:
        """Set what happens when a model fails.

        Args:
            max_tries: How often a call is sent while its error may pass. Nothing below tries again by itself.
            first_delay_s: The first pause where the endpoint asks for none; doubled each time.
            breaker_failures: After how many failures in a row a model is left alone.
            breaker_open_s: For how many seconds; longer where the endpoint asks for it.
            ledger: Calls that name their run are written down there, and not made again if they are there.
        """
        self.max_tries = max_tries
        self.first_delay_s = first_delay_s
        self.breaker_failures, self.breaker_open_s = breaker_failures, breaker_open_s
        self.ledger = ledger
        self._targets: dict[int, Target] = {}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()

    def call(self, call: Call) -> Flow[Outcome]:
        """Make a call, trying again while the error is one that may pass.

        Raises:
            BudgetError: The budget cannot pay for the first try. (For a later one the outcome has the error before.)
            ConfigurationError: The model cannot be built.
        """
        if isinstance(call.spec.model, str) and id(call.spec) not in self._targets:
            yield Both(self._target, self._atarget, (call.spec,))
        if self.ledger is None or call.run_id is None:
            return (yield from self._tries(call, None))
        journal, failed = Journal(self.ledger, call, call.run_id), False
        try:
            outcome = yield from journal.recall()
            call.budget.used = True  # what is in the ledger is counted from there
            if outcome is None:
                outcome = yield from self._tries(call, journal)
                failed = outcome.reply is None
            return outcome
        finally:
            journal.release(failed=failed)

    def _tries(self, call: Call, journal: Journal | None) -> Flow[Outcome]:
        target = self._target(call.spec)
        clock = _Clock(call.deadline_s or (DEFAULT_DEADLINE_S if target.bounded else None), call.budget)
        attempts: list[Attempt] = journal.attempts if journal else []
        error: ModelCallError | None = journal.error if journal else None
        for number in range(journal.tries if journal else 0, self.max_tries):
            if number and error is not None:
                pause = pause_s(error, self.first_delay_s, number)
                if not clock.allows(pause):
                    break
                yield Sleep(pause)
            try:
                reply, error, attempt = yield from self._try(call, target, clock, journal, number)
            except BudgetError:
                if not attempts:
                    raise
                break  # the outcome carries the error before
            attempts.append(attempt)
            if reply is not None:
                return Outcome(reply, None, attempts)
            if error is None or not error.may_pass:
                break
        return Outcome(None, error, attempts)

    def _try(
        self, call: Call, target: Target, clock: _Clock, journal: Journal | None, number: int
    ) -> Flow[tuple[Reply | None, ModelCallError | None, Attempt]]:
        """Make one try and settle it."""
        most = bounds(call.spec, call.prompt, call.schema, call.turn)
        worst_usd = call.spec.price.cost_usd(*most)
        held = yield from call.budget.reserved(worst_usd, sum(most))
        this = _Try(number, worst_usd, most, time.perf_counter(), held.bound_usd)
        gate = self._gate(call.spec)
        settled = False
        try:
            yield from self._send(call, target, clock, gate, this, journal)
            wall_s = time.perf_counter() - this.started
            believed = most if target.bounded else None
            row = attempt_row(
                call, this.message, this.reply, this.error, bounds=believed, reservation=held, wall_s=wall_s
            )
            tokens = _tokens(this, believed)
            call.budget.settle(held, row["cost_usd"], tokens)
            settled = True
        finally:
            if not settled:  # cancelled, or raised through: nothing stays reserved
                call.budget.settle(held, None if this.sent else 0.0, None if this.sent else 0)
            if this.permit is not None:
                gate.breaker.leave(this.permit, this.error, ended=settled)
        if journal is not None:
            yield from journal.settled(this.reply, this.error, row, tokens)
        return this.reply, this.error, row

    def _send(
        self, call: Call, target: Target, clock: _Clock, gate: Gate, this: _Try, journal: Journal | None
    ) -> Flow[None]:
        """Wait for a turn, send the request, read the reply; what goes wrong is put into ``this``."""
        if not (yield from wait_for_turn(gate, call.spec, clock.last())):
            if clock.ends is None:
                raise BudgetError(0.0, 0.0, "s")
            this.error = DeadlineError("the deadline passed before the model had a turn for another try")
            this.error.may_be_billed = False
            return
        with turn(gate, call.spec):
            clock.start()
            this.started = time.perf_counter()
            try:
                this.permit = gate.breaker.enter(call.spec.name)
                if journal is not None:
                    yield from journal.sending(this.worst_usd)
                request = request_of(call, target, this.number, clock.last(), this.bounds, this.bound_usd)
                this.sent = True
                this.message = yield request
                needs_usage = not call.spec.price.free
                reply = read_reply(this.message, this.bounds if target.bounded else None, needs_usage=needs_usage)
                kept = as_data(this.message, target.secrets) if call.turn is not None else None
                this.reply = reply._replace(text=without(reply.text, target.secrets), message=kept)
            except (GraphBubbleUp, ConfigurationError, LedgerError):
                raise
            except Exception as raised:  # noqa: BLE001 - the boundary to code that is not ours
                this.error = classify(raised, target.secrets)
                if target.bounded and this.message is None and isinstance(this.error, InvalidReplyError):
                    this.error.may_pass = True  # the client could make nothing of what came
                if isinstance(this.error, DeadlineError) and this.error.__cause__ is None:
                    this.error.may_be_billed = this.error.may_be_billed and this.sent

    async def _atarget(self, spec: ModelSpec) -> Target:
        """In a thread: the first model of a package imports it, which would hold an event loop up."""
        return await asyncio.to_thread(self._target, spec)

    def _target(self, spec: ModelSpec) -> Target:
        known = self._targets.get(id(spec))
        if known is None:  # made without a lock, which an event loop would wait for: of two, one is kept
            made = spec.chat_model()
            target = Target(spec, made, is_bounded(made), secrets_of(made, spec.api_key_env))
            known = self._targets.setdefault(id(spec), target)  # with the spec, so that its id stays taken
        return known

    def _gate(self, spec: ModelSpec) -> Gate:
        with self._lock:
            gate = self._gates.get(spec.name)
            if gate is None:
                gate = self._gates[spec.name] = Gate(
                    Breaker(failures=self.breaker_failures, open_s=self.breaker_open_s)
                )
            return gate


def _tokens(this: _Try, believed: Bounds | None) -> int | None:
    """Tokens of a try; None where they are not known."""
    usage = usage_of(this.message, believed)
    if usage is not None:
        return int(usage["input_tokens"]) + int(usage["output_tokens"])
    return None if this.error is None or this.error.may_be_billed else 0
