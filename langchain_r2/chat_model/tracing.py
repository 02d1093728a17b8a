"""Which run of a chat model a stream belongs to: LangChain does not tell ``_stream``, so it is said on the side.

What is not told only misses in traces; bills and answers do not depend on it.
"""

import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManager, CallbackManagerForLLMRun
from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_r2.chat_model.run import run_config

_CONFIG: Final[ContextVar[RunnableConfig | None]] = ContextVar("r2_chat_config", default=None)
"""The graph's config under the run that goes on in this context."""

_RUNS: Final[ContextVar[list[AsyncGenerator[Any, None]] | None]] = ContextVar("r2_chat_runs", default=None)
"""Where a run of the graph is put down, to be closed by the stream that it is for."""


def closed_with_its_stream(run: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The same run, put down."""
    runs = _RUNS.get()
    if runs is not None:
        runs.append(run)
    return run


def current_config(run_manager: BaseRunManager | None) -> RunnableConfig:
    """The graph's config under a run manager, else under the run that was told."""
    told = _CONFIG.get()
    return run_config(run_manager) if run_manager is not None or told is None else told


class TracedChatModel(BaseChatModel):
    """A chat model whose streams know their run."""

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream in this thread."""
        named, under = self._named(config)
        pieces = super().stream(input, named, stop=stop, **kwargs)
        while True:
            token = _CONFIG.set(under)
            try:
                piece = next(pieces)
            except StopIteration:
                return
            finally:
                _CONFIG.reset(token)
            yield piece

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream on the event loop."""
        named, under = self._named(config)
        pieces = super().astream(input, named, stop=stop, **kwargs)
        runs: list[AsyncGenerator[Any, None]] = []
        try:
            while True:
                token, also = _CONFIG.set(under), _RUNS.set(runs)
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
                finally:
                    _CONFIG.reset(token)
                    _RUNS.reset(also)
                yield piece
        finally:  # whoever stops reading stops the run, here and now: LangChain would leave it to the garbage collector
            for run in runs:
                await run.aclose()

    def _named(self, config: RunnableConfig | None) -> tuple[RunnableConfig, RunnableConfig]:
        """The config with the run's id in it, and the graph's config under that run."""
        named = ensure_config(config)
        run_id = named["run_id"] = named.get("run_id") or uuid.uuid4()
        manager = CallbackManager.configure(
            named.get("callbacks"), self.callbacks, self.verbose, named.get("tags"), self.tags, named.get("metadata")
        )
        handlers, tags = manager.inheritable_handlers, manager.inheritable_tags
        run = BaseRunManager(
            run_id=run_id,
            handlers=handlers,
            inheritable_handlers=handlers,
            inheritable_tags=tags,
            inheritable_metadata=manager.inheritable_metadata,
        )
        return named, run_config(run)

    def _generate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        token = _CONFIG.set(run_config(run_manager))
        try:
            return super()._generate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)
        finally:
            _CONFIG.reset(token)

    async def _agenerate_with_cache(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        token = _CONFIG.set(run_config(run_manager))
        try:
            return await super()._agenerate_with_cache(messages, stop=stop, run_manager=run_manager, **kwargs)
        finally:
            _CONFIG.reset(token)
