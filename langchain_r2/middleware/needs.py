"""What all calls of a middleware share: its settings, the pool's chat models, and turns at them."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from langchain.agents.middleware.types import ModelRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.flow import Both, Flow
from langchain_r2.middleware.runs import AgentRuns
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator
from langchain_r2.transport.turns import Gate

OnBudget = Literal["end", "error"]
"""What happens when the budget cannot pay for any model: the agent ends with a message, or an error is raised."""

KindOf = Callable[[Sequence[BaseMessage]], str]
"""From an agent's messages to the kind of step that comes next."""

_FAILED: Final = 256
"""Calls in which all models failed that are remembered, for a fallback outside to be told apart."""


@dataclass
class Needs:
    """Settings of a middleware, and what its calls share."""

    pool: ModelPool
    allocator: Allocator | None
    confidence: Confidence
    limits: R2Context
    kind_of: KindOf
    floor: str | None
    on_budget: OnBudget
    runs: AgentRuns = field(default_factory=AgentRuns)
    _models: dict[str, BaseChatModel] = field(default_factory=dict)
    _gates: dict[str, Gate] = field(default_factory=dict)
    _failed: OrderedDict[int, tuple[Any, BaseChatModel]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def models(self) -> Flow[dict[str, BaseChatModel]]:
        """The pool's chat models by name; made when first needed, without retries of their own."""
        for spec in self.pool:
            if spec.name not in self._models:
                yield Both(self._make, self._amake, (spec,))
        return self._models

    def gate(self, name: str) -> Gate:
        """Turns at a model, and its circuit."""
        with self._lock:
            return self._gates.setdefault(name, Gate())

    def limits_of(self, runtime: Any) -> R2Context:  # noqa: ANN401 - of a node or of a tool
        """The limits of a run: those in its context, where that is an :class:`R2Context`, else the middleware's."""
        context: Any = runtime.context if runtime else None
        return checked_limits(context) if isinstance(context, R2Context) else self.limits

    def failed(self, request: ModelRequest[Any]) -> None:
        """Remember that all models failed at a request."""
        with self._lock:
            self._failed[id(request.state)] = (request.state, request.model)
            if len(self._failed) > _FAILED:
                self._failed.popitem(last=False)

    def asks_for_another(self, request: ModelRequest[Any]) -> bool:
        """Whether a fallback outside asks for a model of its own, after all of the pool's failed at this request."""
        with self._lock:
            state, model = self._failed.get(id(request.state), (None, None))
        return state is request.state and model is not request.model

    def spec_of(self, model: BaseChatModel) -> ModelSpec:
        """The pool's entry for a model that the agent brought; one without a known price if there is none."""
        found = next((spec for spec in self.pool if model in (spec.model, self._models.get(spec.name))), None)
        return found or ModelSpec(name=name_of(model), model=model, price=Price(input=None, output=None))

    def writer_of(self, message: AIMessage) -> tuple[str, ModelSpec | None]:
        """Who wrote a message that no watched model did: its name, and its entry in the pool, if it is there."""
        name = str(message.response_metadata.get("model_name") or "")
        found = next((s for s in self.pool if name and name in (s.name, name_of(self._models.get(s.name)))), None)
        return (found.name, found) if found else (name or "unknown", None)

    def _make(self, spec: ModelSpec) -> None:
        self._models.setdefault(spec.name, spec.chat_model())

    async def _amake(self, spec: ModelSpec) -> None:
        await asyncio.to_thread(self._make, spec)  # the first model of a package imports it


def checked_limits(limits: R2Context) -> R2Context:
    """Limits, if the middleware can keep them all.

    Raises:
        BadValueError: They have a deadline per call, which only who makes the call could keep.
    """
    if limits.deadline_s is not None:
        hint = "The agent makes the call: give the pool's chat models a timeout. budget_s bounds the run."
        raise BadValueError("deadline_s", limits.deadline_s, "None in an agent", hint)
    return limits


def name_of(model: BaseChatModel | None) -> str:
    """What a chat model calls itself."""
    known = (getattr(model, "model_name", None), getattr(model, "model", None), type(model).__name__)
    return next((name for name in known if isinstance(name, str) and name.strip()), "unknown")
