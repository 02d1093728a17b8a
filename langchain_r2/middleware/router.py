"""The middleware: hooks of an agent, put onto the router."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, get_args

from langchain.agents.middleware.types import (
    AgentMiddleware,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.flow import Flow, arun, run
from langchain_r2.middleware.calls import ModelCall
from langchain_r2.middleware.needs import KindOf, Needs, OnBudget, checked_limits
from langchain_r2.middleware.runs import AgentRun, inside, with_rows
from langchain_r2.middleware.state import RouterState, RunMark
from langchain_r2.middleware.steps import step_kind
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator


class R2RouterMiddleware(AgentMiddleware[RouterState, Any, Any]):
    """Gives every model call of an agent to the cheapest pool model that gets it right.

    A call starts at the model that its kind of step was allocated to, and climbs where the answer is not accepted: an
    error, a cut or empty reply, a tool that there is not or arguments that it does not take, a structured answer that
    does not fit its schema, low confidence. The kind stays where it got to, per thread, and comes down again after a
    streak of accepted answers. A budget holds for the run, its subagents included.

    The agent's state has every call in ``r2_attempts`` (``langchain_r2.ledger.bill`` adds them up) and what was decided
    in ``r2_decisions``; both are also events of the custom stream. Tokens of answers that may turn out to be drafts are
    not streamed: such an answer appears as a whole once it is accepted.

    The agent's own handler makes the calls, so a failed one is not tried again on the same model: the next stronger
    model is the second try. Failures are classified, money is reserved, and models' limits and circuits are kept as in
    the transport; a deadline per call is not, so give the models a timeout.

    ``ModelFallbackMiddleware`` may stand before it in the list (outside: its models are used when all of the pool's
    have failed) or after it (inside: after each that fails). Under a budget they have to be in the pool, for the price.
    """

    state_schema = RouterState

    def __init__(
        self,
        pool: ModelPool,
        *,
        allocator: Allocator | None = None,
        confidence: Confidence | None = None,
        limits: R2Context | None = None,
        kind_of: KindOf = step_kind,
        floor: str | None = None,
        on_budget: OnBudget = "end",
    ) -> None:
        """Make the middleware. The model that the agent itself is given is not called.

        Args:
            pool: The models, weakest first; for an agent with tools those without tool calling are left out.
            allocator: Names the model that a kind of step starts at, and is asked anew for every message of the user;
                None: the cheapest that can take the call (a cascade).
            confidence: How sure an answer must be; None: the sequence probability, uncalibrated, 0.5.
            limits: Of every run. One run's own go into its context, if the agent has ``context_schema=R2Context``.
            kind_of: From the messages to the kind of step.
            floor: Pool model below which nothing is reallocated downward.
            on_budget: When the budget cannot pay for any model: ``end`` ends the agent with a message that says so,
                ``error`` raises ``BudgetError``.

        Raises:
            BadValueError: A value that is not allowed.
            UnknownModelError: The pool has no model ``floor``.
        """
        super().__init__()
        if not isinstance(pool, ModelPool):
            raise BadValueError(
                "pool", pool, "a ModelPool", 'Use ModelPool([...]) or ModelPool.from_toml("pool.toml").'
            )
        if on_budget not in get_args(OnBudget):
            raise BadValueError("on_budget", on_budget, get_args(OnBudget))
        confidence = confidence or Confidence()
        if confidence.asks is not None:
            hint = "In an agent only what a reply itself shows is read: leave samples and verifier out."
            raise BadValueError("confidence", confidence.asks, "a token signal", hint)
        self._needs = Needs(
            pool=pool,
            allocator=allocator,
            confidence=confidence,
            limits=checked_limits(limits or R2Context()),
            kind_of=kind_of,
            floor=pool[floor].name if floor else None,
            on_budget=on_budget,
        )

    @property
    def pool(self) -> ModelPool:
        """The models."""
        return self._needs.pool

    def before_agent(self, state: RouterState, runtime: Runtime[Any]) -> dict[str, Any]:  # noqa: ARG002 - the hook's
        """Begin a run."""
        return {"r2_run": RunMark(id=uuid.uuid4().hex, before=len(state.get("r2_attempts") or []))}

    async def abefore_agent(self, state: RouterState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Begin a run."""
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Route a model call."""
        return run(self._flow(request, handler))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """Route a model call."""
        return await arun(self._flow(request, handler))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Let agents inside a tool belong to this run."""
        with inside(self._run(request.state, self._limits(request.runtime)).budget) as rows:
            result = handler(request)
        return with_rows(result, rows)

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Let agents inside a tool belong to this run."""
        with inside(self._run(request.state, self._limits(request.runtime)).budget) as rows:
            result = await handler(request)
        return with_rows(result, rows)

    def _flow(self, request: ModelRequest[Any], handler: Callable[..., Any]) -> Flow[ExtendedModelResponse[Any]]:
        limits = self._limits(request.runtime)
        agent_run = self._run(request.state, limits)
        return ModelCall(needs=self._needs, request=request, handler=handler, run=agent_run, limits=limits).flow()

    def _limits(self, runtime: Any) -> R2Context:  # noqa: ANN401 - of a node or of a tool
        return self._needs.limits_of(runtime)

    def _run(self, state: Any, limits: R2Context) -> AgentRun:  # noqa: ANN401 - the agent's state
        mark: RunMark = state.get("r2_run") or RunMark(id=uuid.uuid4().hex, before=0)
        attempts = state.get("r2_attempts") or []
        return self._needs.runs.of(mark["id"], limits, attempts[mark["before"] :])
