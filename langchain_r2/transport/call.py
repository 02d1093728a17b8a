"""Records of the transport: a call to make, a whole reply, what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig

from langchain_r2.errors import ModelCallError
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.types import Attempt, ChatTurn, Direction, Reason, Role


class Reply(NamedTuple):
    """A whole reply of a model."""

    text: str
    finish_reason: str | None
    token_logprobs: tuple[float, ...] | None
    """Log-probabilities of the tokens that it wrote, in order; None where the model gives none."""
    alternatives: tuple[Mapping[str, float], ...]
    """Per written token, the likeliest tokens there with their log-probabilities; empty where the model gives none."""
    message: dict[str, Any] | None = None
    """All of it as data, where the call answers a conversation."""


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
    run_id: str | None = None
    """The run that it is written down under in the call ledger; None: nowhere."""
    tries_before: int = 0
    """Of the subtask, over all models: attempts are numbered on from there in traces."""
    ordinal: int = 0
    """Tells samples of one prompt apart: in a run, a call that is the same in all else is made once."""
    turn: ChatTurn | None = None
    """The turn of a conversation that it answers, with tools, form and further options; None: it answers none."""
    on_chunk: Callable[[AIMessageChunk], None] | None = None
    """Takes the reply while it is written; a try that breaks off after its first piece is not made again."""
