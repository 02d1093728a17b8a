"""What a method is, and how it asks a model."""

import time
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from langchain_r2.confidence import sequence
from langchain_r2.evals.items import Item
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import parse_answer
from langchain_r2.prompts import Prompt
from langchain_r2.run_record import Traced
from langchain_r2.transport import Call, Transport
from langchain_r2.types import Attempt, Role, Status, Subtask

if TYPE_CHECKING:
    from langchain_r2.evals.methods.validation import Validation

Router: TypeAlias = Mapping[str, Any]
"""Arguments of ``create_r2_graph``; a ``pool`` at least. ``embedded_router()`` gives one."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
SAMPLING_TEMPERATURE: Final = 0.7
"""Of baselines that draw several replies to one prompt."""


class NotApplicable(Exception):  # noqa: N818 - an answer, no error
    """A method that this pool, or these items, cannot do at all; it says why."""


class Run(NamedTuple):
    """What a method did with one item."""

    answer: str | None
    status: Status
    error: str | None
    plan: list[Subtask]
    attempts: list[Attempt]
    wall_s: float
    traced: Traced | None = None
    """What its page shows beside; None where no graph ran."""
    facts: Mapping[str, Any] = _NOTHING
    """What only this method has to say of it, such as the score that it routed by."""


class Method(NamedTuple):
    """A named way to answer a query."""

    name: str
    answer: Callable[[Item], Coroutine[Any, Any, Run]]
    settings: Mapping[str, Any] = _NOTHING
    """What was chosen for it, and from how much, on validation items."""


class Tuned(NamedTuple):
    """A method whose settings are chosen on validation items."""

    name: str
    make: Callable[["Validation"], Coroutine[Any, Any, Method]]
    """Raises ``NotApplicable`` where the pool cannot do it."""


class Said(NamedTuple):
    """What a model said to one prompt."""

    answer: str
    """Empty where there is none."""
    text: str
    signal: float | None
    """Log-probability of the whole reply; None where the model shows none."""
    attempts: list[Attempt]
    error: str | None

    @property
    def cost_usd(self) -> float | None:
        """Of all tries; None where a price is unknown."""
        costs = [row["cost_usd"] for row in self.attempts]
        return None if None in costs else sum(cost or 0.0 for cost in costs)


async def ask(
    transport: Transport,
    spec: ModelSpec,
    prompt: Prompt,
    *,
    role: Role = "executor",
    temperature: float | None = None,
    ordinal: int = 0,
) -> Said:
    """Ask a model; with several ordinals, several samples of one prompt."""
    call = Call(
        spec=spec,
        prompt=prompt,
        role=role,
        budget=Budget(None),
        temperature=temperature,
        ordinal=ordinal,
        seed=ordinal or None,
    )
    outcome = await arun(transport.call(call))
    error = str(outcome.error) if outcome.error else None
    if outcome.reply is None:
        return Said("", "", None, outcome.attempts, error)
    answer = parse_answer(outcome.reply.text)[0]
    outcome.attempts[-1]["answer"] = answer
    logprobs = outcome.reply.token_logprobs
    return Said(answer, outcome.reply.text, sequence(logprobs) if logprobs else None, outcome.attempts, error)


def run_of(said: Said, before: list[Attempt], started: float, facts: Mapping[str, Any] = _NOTHING) -> Run:
    """The run whose answer is what a model said, after other calls."""
    wall_s, attempts = time.perf_counter() - started, [*before, *said.attempts]
    return Run(said.answer or None, "ok" if said.answer else "error", said.error, [], attempts, wall_s, facts=facts)


def transport_of(router: Router) -> Transport:
    """The transport of a router, or a new one."""
    found: Transport = router.get("transport") or Transport()
    return found
