"""What tracers show of a run beside names and texts: model, subtask, attempt, direction, reason, tokens, cost.

LangSmith, OpenTelemetry and OpenInference make a span of every LangChain run, with the run's metadata as attributes.
What is known when a run starts goes into its config. What it came to (cost, verdict) is known when it has ended, and
tracers send a run the moment that it ends: so it is told to the tracers' own record of the run just before.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tracers.base import BaseTracer

from langchain_r2.scrubbing import without

CostOf = Callable[[object, BaseException | None], float | None]
"""From a reply, or the error in its place, to USD; None where that is unknown."""

_T = TypeVar("_T")


def handlers_of(config: RunnableConfig | None) -> Sequence[BaseCallbackHandler]:
    """Who listens to what runs under a config."""
    callbacks = (config or {}).get("callbacks")
    return callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks or ()


def annotate(config: RunnableConfig | None, facts: Mapping[str, Any], *, whole: bool = False) -> None:
    """Tell tracers more about the run that goes on under a config: a node says what it came to.

    Args:
        config: What the node was given.
        facts: By name, without ``r2_``; None leaves one out.
        whole: Tell it about the run that this one is a step of.
    """
    callbacks = (config or {}).get("callbacks")
    if isinstance(callbacks, BaseCallbackManager) and callbacks.handlers and callbacks.parent_run_id is not None:
        _tell(callbacks.handlers, callbacks.parent_run_id, facts, whole=whole)


def watched(config: RunnableConfig, cost_of: CostOf, secrets: Sequence[str]) -> RunnableConfig:
    """A model call's config under which tracers learn the cost and no key; as it is where nobody waits for its end."""
    handlers = handlers_of(config)
    if all(handler.ignore_llm for handler in handlers):
        return config
    first = CallNotes(handlers, cost_of, secrets)
    callbacks = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        callbacks.handlers = [first, *callbacks.handlers]  # not inherited: it is about this one call
    else:
        callbacks = [first, *handlers]
    return {**config, "callbacks": callbacks}


class CallNotes(BaseCallbackHandler):
    """Stands before the tracers of one model call, and hands them the reply with its cost and without keys."""

    run_inline = True  # before the tracers, on an event loop too

    def __init__(self, tracers: Sequence[BaseCallbackHandler], cost_of: CostOf, secrets: Sequence[str]) -> None:
        """Take who is to be told, what a reply costs, and what nobody is told."""
        self._tracers, self._cost_of, self._secrets = tracers, cost_of, secrets

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Replace the reply that tracers see; the caller's is left as it is."""
        del kwargs
        for row in response.generations:
            for number, generation in enumerate(row):
                if not isinstance(generation, ChatGeneration):
                    continue
                message = generation.message
                cost_usd = self._cost_of(message, None)
                row[number] = ChatGeneration(
                    message=_shown(message, cost_usd, self._secrets) if isinstance(message, AIMessage) else message,
                    generation_info=generation.generation_info,
                )
                self._note(run_id, cost_usd)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Hide keys in the error, which tracers show with its traceback."""
        del kwargs
        _hide(error, self._secrets)
        self._note(run_id, self._cost_of(None, error))

    def _note(self, run_id: UUID, cost_usd: float | None) -> None:
        _tell(self._tracers, run_id, {"cost_usd": cost_usd})


def _tell(
    handlers: Sequence[BaseCallbackHandler], run_id: UUID, facts: Mapping[str, Any], *, whole: bool = False
) -> None:
    known = {f"r2_{name}": value for name, value in facts.items() if value is not None}
    for handler in handlers:
        run = handler.run_map.get(str(run_id)) if isinstance(handler, BaseTracer) else None
        if whole and run is not None:
            run = cast("BaseTracer", handler).run_map.get(str(run.parent_run_id))
        if run is not None:  # its metadata may be another run's too
            run.extra["metadata"] = {**(run.extra.get("metadata") or {}), **known}


def _shown(message: AIMessage, cost_usd: float | None, secrets: Sequence[str]) -> AIMessage:
    """The message with what it cost; not in its usage, which others add up as whole numbers."""
    update: dict[str, Any] = {"response_metadata": {**message.response_metadata, "r2_cost_usd": cost_usd}}
    if secrets:
        shown = {"content": message.content, "additional_kwargs": message.additional_kwargs, **update}
        update = _clean(shown, secrets)
    return message.model_copy(update=update)


def _clean(value: _T, secrets: Sequence[str]) -> _T:
    """A value with keys in its texts hidden."""
    made: Any = value
    if isinstance(value, str):
        made = without(value, secrets)
    elif isinstance(value, Mapping):
        made = {key: _clean(inner, secrets) for key, inner in value.items()}
    elif isinstance(value, list):
        made = [_clean(inner, secrets) for inner in value]
    return cast("_T", made)


def _hide(error: BaseException, secrets: Sequence[str]) -> None:
    """Hide keys in the texts that an exception, and those that it came of, are shown with."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        at.args = tuple(_clean(list(at.args), secrets))
        at = at.__cause__ or at.__context__
