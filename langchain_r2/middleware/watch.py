"""Sees every call that a chat model really makes, and what it costs.

An agent's handler may call a model several times (a retry inside), not at all (a fallback inside answered), or succeed
and raise all the same (its reply was no structured answer). The handler's result does not say which; callbacks do.
"""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_r2.errors import BudgetError
from langchain_r2.ledger import Budget, Reservation
from langchain_r2.transport.bounds import Bounds


@dataclass
class Watched:
    """One call."""

    held: Reservation
    started: float
    wall_s: float = 0.0
    message: AIMessage | None = None
    error: BaseException | None = None
    settled: bool = False

    @property
    def ended(self) -> bool:
        """Whether it came to an end; a cancelled one did not."""
        return self.message is not None or self.error is not None


class Watch(BaseCallbackHandler):
    """The calls of one copy of a model; every one after the first is paid for before it starts, too."""

    raise_error = True  # a call that cannot be paid for must not be made
    run_inline = True

    def __init__(self, budget: Budget, first: Reservation, worst_usd: float | None, most: Bounds) -> None:
        """Take what was set aside for the first call, and what each may need."""
        self.calls: list[Watched] = []
        self.budget, self._worst_usd, self._most = budget, worst_usd, most
        self.first: Reservation | None = first
        self._by_run: dict[UUID, Watched] = {}

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Note the start.

        Raises:
            BudgetError: The budget cannot pay for a further call.
        """
        del serialized, messages, kwargs
        held, self.first = self.first, None
        if held is None:
            held = self.budget.reserve(self._worst_usd, sum(self._most))
        if held is None:  # only calls under way stand in the way, but a callback cannot wait for them
            raise BudgetError(self._worst_usd or 0.0, self.budget.left_usd or 0.0)
        call = self._by_run[run_id] = Watched(held, time.perf_counter())
        self.calls.append(call)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the reply."""
        del kwargs
        call = self._by_run[run_id]
        call.wall_s = time.perf_counter() - call.started
        generation = response.generations[0][0]
        if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
            call.message = generation.message

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the error."""
        del kwargs
        call = self._by_run[run_id]
        call.wall_s, call.error = time.perf_counter() - call.started, error

    def close(self) -> None:
        """Give back what was set aside for calls that were not made; those cut off are charged what they could cost."""
        if self.first is not None:
            self.budget.settle(self.first, 0.0, 0)
            self.first = None
        for call in self.calls:
            if not call.settled:
                self.budget.settle(call.held, None, None)
                call.settled = True


def watched_copy(model: BaseChatModel, watch: Watch, tags: list[str], metadata: dict[str, Any]) -> BaseChatModel:
    """The model with a watch on it. A copy, since ``with_config`` is lost as soon as an agent binds tools."""
    callbacks = model.callbacks
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        callbacks.add_handler(watch, inherit=False)
    else:
        callbacks = [*(callbacks or []), watch]
    update = {
        "callbacks": callbacks,
        "tags": [*(model.tags or []), *tags],
        "metadata": {**(model.metadata or {}), **metadata},
    }
    return model.model_copy(update=update)
