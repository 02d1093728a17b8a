"""The tries of a call: one loop, under one deadline."""

import asyncio
import random
import threading
import time
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from langchain_r2.call_ledger import CallLedgerStore
from langchain_r2.errors import BudgetError, ConfigurationError, LedgerError, ModelCallError, UnreachableError
from langchain_r2.flow import POLL_S, Both, Flow, Invoke, Sleep
from langchain_r2.pool import ModelSpec
from langchain_r2.scrubbing import secrets_of, without
from langchain_r2.structured import with_schema
from langchain_r2.transport.bounds import reply_limit, worst_usd
from langchain_r2.transport.call import Call, Outcome, Reply
from langchain_r2.transport.failures import classify
from langchain_r2.transport.journal import Journal
from langchain_r2.transport.replies import attempt_row, read_reply
from langchain_r2.transport.turns import Gate, turn, wait_for_turn
from langchain_r2.types import Attempt


class Transport:
    """Makes model calls. One per graph; safe to use from threads and event loops."""

    def __init__(
        self, *, max_tries: int = 2, first_delay_s: float = 0.5, ledger: CallLedgerStore | None = None
    ) -> None:
        """Set how often a call is tried while its error may pass, and the first pause (doubled each time).

        Calls that name their run are written down in ``ledger``, and not made again if they are there.
        """
        self.max_tries = max_tries
        self.first_delay_s = first_delay_s
        self.ledger = ledger
        self._models: dict[int, tuple[ModelSpec, BaseChatModel]] = {}
        self._gates: dict[str, Gate] = {}
        self._lock = threading.Lock()

    def call(self, call: Call) -> Flow[Outcome]:
        """Make a call, trying again while the error is one that may pass.

        Raises:
            BudgetError: The budget cannot pay for the first try. (For a later one the outcome has the error before.)
            ConfigurationError: The model cannot be built.
        """
        if isinstance(call.spec.model, str) and id(call.spec) not in self._models:
            yield Both(self._model, self._amodel, (call.spec,))
        if self.ledger is None or call.run_id is None:
            return (yield from self._tries(call, None))
        journal, failed = Journal(self.ledger, call, call.run_id), False
        try:
            outcome = yield from journal.recall()
            if outcome is None:
                outcome = yield from self._tries(call, journal)
                failed = outcome.reply is None
            return outcome
        finally:
            journal.release(failed=failed)

    def _tries(self, call: Call, journal: Journal | None) -> Flow[Outcome]:
        model = self._model(call.spec)
        attempts: list[Attempt] = journal.attempts if journal else []
        error: ModelCallError | None = journal.error if journal else None
        ends = time.monotonic() + call.deadline_s if call.deadline_s else None
        for number in range(journal.tries if journal else 0, self.max_tries):
            if number:
                pause = self.first_delay_s * 2 ** (number - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
                if ends and time.monotonic() + pause >= ends:
                    break
                yield Sleep(pause)
            try:
                reply, error, attempt = yield from self._try(call, model, ends, journal)
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
        self, call: Call, model: BaseChatModel, ends: float | None, journal: Journal | None
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
            yield from wait_for_turn(gate, call.spec)
            with turn(gate):
                if journal is not None:
                    yield from journal.sending(worst)
                started, sent = time.perf_counter(), True
                message = yield self._request(call, model, ends)
            reply = read_reply(message)
            # A server that echoes the key must not get it into what is kept, or to the next model.
            reply = reply._replace(text=without(reply.text, secrets_of(model, call.spec.api_key_env)))
        except (GraphBubbleUp, ConfigurationError, LedgerError):
            raise
        except Exception as raised:  # noqa: BLE001 - the boundary to code that is not ours
            error = classify(raised, secrets_of(model, call.spec.api_key_env))
        finally:
            if reply is None and error is None:  # cancelled, or raised through: nothing stays reserved
                call.budget.settle(reservation, None if sent else 0.0)
        attempt = attempt_row(call, message, reply, error, reservation, time.perf_counter() - started)
        call.budget.settle(reservation, attempt["cost_usd"])
        if journal is not None:
            yield from journal.settled(reply, error, attempt)
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

    async def _amodel(self, spec: ModelSpec) -> BaseChatModel:
        """In a thread: the first model of a package imports it, which would hold an event loop up."""
        return await asyncio.to_thread(self._model, spec)

    def _model(self, spec: ModelSpec) -> BaseChatModel:
        known = self._models.get(id(spec))
        if known is None:  # made without a lock, which an event loop would wait for: of two, one is kept
            made = spec.chat_model()
            known = self._models.setdefault(id(spec), (spec, made))  # with the spec, so that its id stays taken
        return known[1]

    def _gate(self, spec: ModelSpec) -> Gate:
        with self._lock:
            return self._gates.setdefault(spec.name, Gate())
