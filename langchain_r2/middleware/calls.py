"""One model call of an agent loop: which model starts, which come after it, what is written down."""

import uuid
from dataclasses import dataclass, field
from typing import Any, cast

from langchain.agents.middleware.types import ExtendedModelResponse, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.constants import TAG_NOSTREAM
from langgraph.types import Command

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow, Invoke
from langchain_r2.middleware.judging import judge
from langchain_r2.middleware.needs import Needs
from langchain_r2.middleware.requests import can_take
from langchain_r2.middleware.runs import AgentRun, Rows, report
from langchain_r2.middleware.state import Decision, Route
from langchain_r2.middleware.steps import USER, after, new_route, start_of, step_kind, step_plan, step_query
from langchain_r2.middleware.tries import Handler, Tried, Try
from langchain_r2.nodes.budgets import routed
from langchain_r2.routers.base import AllocatorInput
from langchain_r2.types import Direction, Reason, Verdict

_USABLE = frozenset({"confident", "no_signal", "low_confidence"})


@dataclass(frozen=True)
class _Held:
    """An answer at hand."""

    tried: Tried
    verdict: Verdict
    model: str
    direction: Direction


@dataclass(kw_only=True)
class ModelCall:
    """One model call of an agent loop."""

    needs: Needs
    request: ModelRequest[Any]
    handler: Handler
    run: AgentRun
    limits: R2Context
    kind: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    rows: Rows = field(default_factory=Rows)
    note: str | None = None

    def flow(self) -> Flow[ExtendedModelResponse[Any]]:
        """Route the call.

        Raises:
            BudgetError: No model can be paid for, and the middleware is to raise then.
            Exception: The last model's, where all failed and none gave an answer.
        """
        self.kind = self.needs.kind_of(self.request.messages)
        models = yield from self.needs.models()
        try:
            if self.needs.asks_for_another(self.request):
                return (yield from self._as_asked())
            return (yield from self._climbed(models))
        except BudgetError as error:
            if self.needs.on_budget == "error":
                self._keep()
                raise
            return self._ended(error)

    def _climbed(self, models: dict[str, BaseChatModel]) -> Flow[ExtendedModelResponse[Any]]:
        """Try models, each stronger than the one before, until an answer is accepted or there is no further one."""
        pool, order = self.needs.pool, [n for n, m in models.items() if can_take(self.needs.pool[n], m, self.request)]
        if not order:
            hint = "Put one into the pool, or summarize: SummarizationMiddleware keeps the messages short."
            raise BadValueError("pool", pool.names, "a model that takes tools and messages of this length", hint)
        route, why = yield from self._route(order)
        rank = {name: pool.rank(name) for name in pool.names}
        floor, downward = self.needs.floor, self.limits.reallocate_downward
        started, direction, reason = start_of(route, order, rank, floor=floor, downward=downward)
        reason = why if reason == "allocated" else reason
        model, tries = started, 0
        held: _Held | None = None
        left: Reason | None = None
        self._emit({"event": "route", "call": self.id, "kind": self.kind, "model": model, "reason": reason})
        while True:
            stronger = (
                next((n for n in order if rank[n] > rank[model]), None) if self.limits.reallocate_upward else None
            )
            last = stronger is None or tries + 1 >= self.limits.max_attempts
            try:
                tried = yield from self._try(model, models[model], direction, reason, hidden=not last)
            except BudgetError:
                if held is not None:
                    return self._taken(held, "budget", route, started, left)
                cheaper = next((n for n in reversed(order) if rank[n] < rank[model]), None)
                if cheaper is None:
                    raise
                model, direction, reason = self._step(model, cheaper, "downward", "budget")
                left = left or "budget"
                continue
            tries += 1
            verdict = self._judged(tried, model)
            held = _better(held, _Held(tried, verdict, model, direction))
            if verdict["accepted"]:
                return self._taken(held, verdict["reason"], route, started, left)
            if last or stronger is None:
                ended: Reason = "top_of_pool" if stronger is None else "attempts_used"
                return self._taken(held, ended, route, started, left)
            left = left or verdict["reason"]
            model, direction, reason = self._step(model, stronger, "upward", verdict["reason"])

    def _as_asked(self) -> Flow[ExtendedModelResponse[Any]]:
        """Let a fallback outside have the model that it asks for, after all of the pool's failed."""
        spec = self.needs.spec_of(self.request.model)
        tried = yield from self._try(spec.name, self.request.model, "upward", "unreachable", hidden=False)
        verdict = self._judged(tried, spec.name)
        return self._taken(_Held(tried, verdict, spec.name, "upward"), verdict["reason"], None, spec.name, None)

    def _route(self, order: list[str]) -> Flow[tuple[Route, Reason]]:
        """Where the kind of step stands; the allocator is asked where it is new, and for every message of the user."""
        routes: dict[str, Route] = cast(Any, self.request.state).get("r2_routes") or {}
        route, pool = routes.get(self.kind), self.needs.pool
        known = route is not None and route["model"] in pool and route["home"] in pool
        asks = self.needs.allocator is not None and step_kind(self.request.messages) == USER
        if route is not None and known and not asks:
            return route, "allocated"
        home, why = yield from self._allocated(order)
        return (route if route is not None and known and route["home"] == home else new_route(home)), why

    def _allocated(self, order: list[str]) -> Flow[tuple[str, Reason]]:
        """The model that the allocator names; the cheapest that can take the call where there is no allocator."""
        if self.needs.allocator is None:
            return order[0], "allocated"
        query = step_query(self.request.messages)
        asked = AllocatorInput(query=query, plan=step_plan(query, self.kind))
        config = RunnableConfig(tags=[TAG_NOSTREAM])
        try:
            made = yield from routed(Invoke(self.needs.allocator, asked, config), self.run.budget)
        except BudgetError:
            self.note = "budget"
            return order[0], "default_route"
        for row in made["attempts"]:
            row["subtask_id"] = self.id
        self.rows.attempts += made["attempts"]
        allocation = made["allocation"]
        named, self.note = allocation["models"].get("1"), allocation["note"]
        if named not in self.needs.pool.names:  # an agent's step is for a model, not for a tool of the pool
            self.note = self.note or f"unknown_model: {named!r:.80}"
            return order[0], "default_route"
        return named, allocation["reasons"].get("1", "allocated")

    def _try(
        self, name: str, model: BaseChatModel, direction: Direction, reason: Reason, *, hidden: bool
    ) -> Flow[Tried]:
        spec = self.needs.pool[name] if name in self.needs.pool else self.needs.spec_of(model)
        return Try(
            needs=self.needs,
            budget=self.run.budget,
            request=self.request,
            handler=self.handler,
            spec=spec,
            model=model,
            call_id=self.id,
            direction=direction,
            reason=reason,
            hidden=hidden,
        ).flow()

    def _judged(self, tried: Tried, model: str) -> Verdict:
        """The verdict on a try; its rows are kept and shown."""
        verdict = judge(self.request, tried, self.needs.confidence, self.kind, threshold=self.limits.threshold)
        tried.rows[-1]["verdict"] = verdict
        self.rows.attempts += tried.rows
        for made in tried.rows:
            self._emit({"event": "attempt", "attempt": made, "verdict": verdict, "model": model})
        return verdict

    def _step(self, from_: str, to: str, direction: Direction, reason: Reason) -> tuple[str, Direction, Reason]:
        self._emit(
            {"event": f"reallocate_{direction}", "subtask_id": self.id, "from": from_, "to": to, "reason": reason}
        )
        return to, direction, reason

    def _taken(
        self, held: _Held, reason: Reason, route: Route | None, started: str, left: Reason | None
    ) -> ExtendedModelResponse[Any]:
        """Go on with an answer; where no model gave one, the last model's error is raised."""
        if held.tried.response is None:
            self._keep()
            self.needs.failed(self.request)
            raise held.tried.raised or BadValueError("response", None, "an answer of the agent's handler")
        row, accepted = held.tried.rows[-1], held.verdict["accepted"]
        # A fallback inside may have answered with a model of its own: the route is that of the pool's model.
        self._decide(row["model"], held.direction, reason, accepted=accepted)
        update: dict[str, Any] = {}
        if route is not None:
            sure = row["confidence"]
            new = after(route, started, held.model, accepted=accepted, confidence=sure, reason=left)
            update["r2_routes"] = {self.kind: new}
        return self._response(held.tried.response, update)

    def _ended(self, error: BudgetError) -> ExtendedModelResponse[Any]:
        """End the agent: the budget cannot pay for another call."""
        self._decide(None, "initial", "budget", accepted=False)
        message = AIMessage(f"The run ends here, because {error}.", response_metadata={"r2": "budget"})
        return self._response(ModelResponse(result=[message]), {})

    def _decide(self, model: str | None, direction: Direction, reason: Reason, *, accepted: bool) -> None:
        decision = Decision(
            call=self.id,
            kind=self.kind,
            model=model,
            direction=direction,
            accepted=accepted,
            reason=reason,
            note=self.note,
        )
        self.rows.decisions.append(decision)
        self._emit({"event": "decision", "decision": decision})

    def _response(self, response: ModelResponse[Any], update: dict[str, Any]) -> ExtendedModelResponse[Any]:
        report(self.rows)
        rows = self.run.pending.taken()
        rows.add(self.rows)
        update |= {"r2_attempts": rows.attempts, "r2_decisions": rows.decisions}
        return ExtendedModelResponse(response, Command(update=update))

    def _keep(self) -> None:
        """Keep the rows for the next call: an exception cannot bring them into the state."""
        report(self.rows)
        self.run.pending.add(self.rows)

    def _emit(self, event: dict[str, Any]) -> None:
        if self.request.runtime is not None:
            self.request.runtime.stream_writer(event)


def _better(old: _Held | None, new: _Held) -> _Held:
    """The answer to go on with: the later, unless it is none, or not usable where the earlier was."""
    if old is None or old.tried.response is None:
        return new
    if new.tried.response is None:
        return old
    return old if old.verdict["reason"] in _USABLE and new.verdict["reason"] not in _USABLE else new
