"""One model tried once at a step of an agent: the agent's handler calls it, what it really did becomes rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langchain_r2.errors import BudgetError, ConfigurationError, InvalidReplyError, ModelCallError
from langchain_r2.flow import Both, Flow
from langchain_r2.ledger import Budget, Reservation
from langchain_r2.middleware.needs import Needs
from langchain_r2.middleware.requests import fitted, worst_of
from langchain_r2.middleware.steps import last_reply
from langchain_r2.middleware.watch import Watch, Watched, watched_copy
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.scrubbing import secrets_of, without
from langchain_r2.transport import Call, Reply, classify, read_reply
from langchain_r2.transport.replies import attempt_row, usage_of
from langchain_r2.transport.turns import turn, wait_for_turn
from langchain_r2.types import Attempt, Direction, Reason

Handler = Callable[[ModelRequest[Any]], Any]
"""The rest of the agent's model call, from the request to a response; asynchronous in an asynchronous run."""


@dataclass(frozen=True)
class Tried:
    """What came of a try."""

    response: ModelResponse[Any] | None
    message: AIMessage | None
    reply: Reply | ModelCallError
    rows: list[Attempt]
    raised: Exception | None


@dataclass(frozen=True, kw_only=True)
class Try:
    """One model to try."""

    needs: Needs
    budget: Budget
    request: ModelRequest[Any]
    handler: Handler
    spec: ModelSpec
    model: BaseChatModel
    call_id: str
    direction: Direction
    reason: Reason
    hidden: bool
    """Whether its tokens are kept out of the token stream: it may turn out to be a draft."""

    def flow(self) -> Flow[Tried]:
        """Make the try.

        Raises:
            BudgetError: The budget cannot pay for it; nothing was called.
            ConfigurationError: Wrong use.
        """
        most = worst_of(self.spec, self.request)
        worst_usd = self.spec.price.cost_usd(*most)
        held = yield from self.budget.reserved(worst_usd, sum(most))
        watch = Watch(self.budget, held, worst_usd, most)
        try:
            response, raised = yield from self._handled(watch)
            return self._read(watch, response, raised)
        finally:
            watch.close()

    def _handled(self, watch: Watch) -> Flow[tuple[ModelResponse[Any] | None, Exception | None]]:
        """Wait for a turn at the model, and let the handler call it."""
        tags = [TAG_NOSTREAM] if self.hidden else []
        shown = {"r2_role": "executor", "r2_model": self.spec.name, "r2_subtask": self.call_id}
        shown |= {"r2_direction": self.direction, "r2_reason": self.reason}
        chosen = watched_copy(self.model, watch, tags, shown)
        asked = fitted(self.request, self.spec, self.model, chosen)
        gate = self.needs.gate(self.spec.name)
        if not (yield from wait_for_turn(gate, self.spec, self.budget.ends)):
            raise BudgetError(0.0, 0.0, "s")
        with turn(gate, self.spec):
            permit = None
            response: ModelResponse[Any] | None = None
            raised: Exception | None = None
            try:
                permit = gate.breaker.enter(self.spec.name)
                response = yield Both(self.handler, self.handler, (asked,))
            except (GraphBubbleUp, ConfigurationError):
                raise
            except Exception as error:  # noqa: BLE001 - the boundary to code that is not ours
                raised = error
            finally:
                if permit is not None:
                    last = watch.calls[-1] if watch.calls else None
                    failed = classify(last.error) if last and isinstance(last.error, Exception) else None
                    gate.breaker.leave(permit, failed, ended=last is not None and last.ended)
        return response, raised

    def _read(self, watch: Watch, response: ModelResponse[Any] | None, raised: Exception | None) -> Tried:
        """Rows of all calls that were made, and whose reply the response is."""
        secrets = secrets_of(self.model, self.spec.api_key_env)
        made = [self._settled(seen, secrets) for seen in watch.calls if seen.ended]
        rows = [row for row, _ in made]
        message = last_reply(response.result) if response is not None else None
        seen = watch.calls[-1] if watch.calls else None
        if seen is not None and seen.message is not None and (message is None or _same(message, seen.message)):
            return Tried(response, message or seen.message, made[-1][1], rows, raised)
        if message is not None and _written_by_a_model(message):
            row, reply = self._by_another(message)
            return Tried(response, message, reply, [*rows, row], raised)
        if made and isinstance(made[-1][1], ModelCallError):  # perhaps with a message that tells of the error
            return Tried(response, None, made[-1][1], rows, raised)
        error = classify(raised or InvalidReplyError("the agent's handler called no model"), secrets)
        error.may_be_billed = False
        row = self._row(None, error, None, Reservation(0.0), 0.0)
        return Tried(response, None, error, [*rows, row], raised)

    def _settled(self, seen: Watched, secrets: tuple[str, ...]) -> tuple[Attempt, Reply | ModelCallError]:
        """The row of a watched call, which its reservation is settled with."""
        found: Reply | ModelCallError
        if seen.message is not None:
            try:
                reply = read_reply(seen.message)
                found = reply._replace(text=without(reply.text, secrets))
            except InvalidReplyError as error:
                found = error
        else:
            known = isinstance(seen.error, Exception)
            found = classify(seen.error, secrets) if known else InvalidReplyError(repr(seen.error))  # type: ignore[arg-type]
        reply_, error_ = (None, found) if isinstance(found, ModelCallError) else (found, None)
        row = self._row(reply_, error_, seen.message, seen.held, seen.wall_s)
        usage = usage_of(seen.message, None)
        unsent = error_ is not None and not error_.may_be_billed
        tokens = usage["input_tokens"] + usage["output_tokens"] if usage else 0 if unsent else None
        self.budget.settle(seen.held, row["cost_usd"], tokens)
        seen.settled = True
        return row, found

    def _row(
        self,
        reply: Reply | None,
        error: ModelCallError | None,
        message: AIMessage | None,
        held: Reservation,
        wall_s: float,
        spec: ModelSpec | None = None,
    ) -> Attempt:
        call = Call(
            spec=spec or self.spec,
            prompt=Prompt(""),
            role="executor",
            budget=self.budget,
            subtask_id=self.call_id,
            direction=self.direction,
            reason=self.reason,
        )
        return attempt_row(call, message, reply, error, bounds=None, reservation=held, wall_s=wall_s)

    def _by_another(self, message: AIMessage) -> tuple[Attempt, Reply]:
        """The row of a reply that another middleware, such as a fallback inside, had from a model of its own."""
        name, spec = self.needs.writer_of(message)
        reply = read_reply(message)
        row = self._row(reply, None, message, Reservation(0.0), 0.0, spec)
        if spec is None:
            row["model"], row["group"], row["cost_usd"] = name, None, None
        self.budget.charge([row])
        return row, reply


def _same(message: AIMessage, seen: AIMessage) -> bool:
    """Whether a message is the reply that was seen; an agent may have put a name on it, or a copy in its place."""
    return (
        message is seen
        or message.id == seen.id
        or (message.content, message.tool_calls)
        == (
            seen.content,
            seen.tool_calls,
        )
    )


def _written_by_a_model(message: AIMessage) -> bool:
    return bool(message.usage_metadata or message.response_metadata.get("model_name"))
