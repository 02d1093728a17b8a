"""Keeps keys that a caller puts into a run's config out of checkpoints and traces.

LangGraph writes ``metadata`` and ``configurable`` into every checkpoint, and shows ``metadata`` to every tracer. What
has the name of a key (``api_key``, ``token``) is left out of both; runnables still find it in ``configurable``.
"""

import copy
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from langchain_r2.scrubbing import without_secret_names


class DiscreetGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph whose traces have no keys. ``invoke``, ``batch`` and events all go through these two methods."""

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:  # noqa: A002, ANN401
        """As LangGraph's."""
        return super().stream(input, without_keys(config, "metadata"), **kwargs)

    def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: A002, ANN401
        """As LangGraph's."""
        return super().astream(input, without_keys(config, "metadata"), **kwargs)


def without_keys(config: RunnableConfig | None, *parts: str) -> RunnableConfig | None:
    """A config whose parts have no keys in them."""
    if config is None:
        return None
    found = {part: without_secret_names(cast("dict[str, Any]", config).get(part) or {}) for part in parts}
    return cast("RunnableConfig", {**config, **{part: kept for part, kept in found.items() if part in config}})


def discreet(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """A shallow copy of a checkpointer that keeps no keys of a run's config."""
    clone = copy.copy(saver)  # connections, locks and stored values are shared
    # Its bound methods keep the original alive: some close their connection when nobody has them any more.
    vars(clone).update(put=_discreet_put(saver.put), aput=_discreet_put(saver.aput))
    return clone


def _discreet_put(put: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(put)
    def discreet_put(config: RunnableConfig, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the method wrapped
        return put(without_keys(config, "metadata", "configurable"), *args, **kwargs)

    return discreet_put
