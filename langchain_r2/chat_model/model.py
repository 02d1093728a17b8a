"""``ChatR2``: the router as a chat model, for an app that has a chat model today.

Every call of a pool model goes through the router graph: its budget, bill, reallocation and trace are the graph's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, messages_from_dict
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_r2.chat_model.reply import Said, reply_of
from langchain_r2.chat_model.run import detached, detached_async
from langchain_r2.chat_model.settings import ChatR2Settings
from langchain_r2.chat_model.structured import Method, StructuredChatR2, output_form, parser_of, with_raw
from langchain_r2.chat_model.tracing import closed_with_its_stream, current_config
from langchain_r2.turns import query_text
from langchain_r2.types import ChatTurn, OutputForm


class ChatR2(ChatR2Settings):
    """A chat model that is a router: each turn goes to the cheapest pool models that get it right.

    .. code-block:: python

        model = ChatR2(pool="pool.toml", budget_usd=0.05)  # or ChatR2(**embedded_router())
        model.invoke("What is 33 times 50?")

    *What is decomposed.* A turn that ends with a user's text. The router sees that text and a digest of what came
    before; system prompts reach every executor that reads instructions. A turn that answers a tool call, has tools
    bound, asks for structured output, or has content other than text goes to one pool model as it is, chosen by the
    allocator among those that can do it, with the usual steps up (``decompose_with_tools=True`` decomposes these too).
    A plan of one subtask is shown the conversation as it is as well.

    *What streams.* A try that cannot be followed by another (at the top of the pool, or the last of ``max_attempts``)
    and an aggregator's text are passed on while they are written. An earlier try may still be rejected, so its
    text is passed on, word by word, once it is accepted. ``stream_first=True`` passes the first try on at once, and
    then no other can follow. An answer taken out of a subtask's reply comes word by word when it is known.

    *What is counted.* ``usage_metadata`` is the sum over all calls of the turn, the router's too, under the model name
    ``r2``. ``response_metadata["r2"]`` has usage and cost per pool model, the plan and the route. The pool's calls are
    children in traces, so a usage callback sees both: leave the key ``r2`` out of its sum. Structured output is a
    chain: there the pool's calls are all that such a callback sees.
    """

    def get_num_tokens(self, text: str) -> int:
        """About how many tokens a text has: one per four characters. Which model will count them is not known yet."""
        return (len(text) + 3) // 4

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools; a turn then goes to a pool model whose capabilities have ``tools``.

        Raises:
            BadValueError: The pool has none.
        """
        self._require("tools")
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return cast(
            "Runnable[LanguageModelInput, AIMessage]",
            self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs),
        )

    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        include_raw: bool = False,
        method: Method | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """A chain that replies in a form.

        Args:
            schema: A JSON schema with a title, a ``TypedDict``, or a pydantic class; None: any JSON (``json_mode``).
            include_raw: Whether to return ``raw``, ``parsed`` and ``parsing_error`` instead of what was parsed.
            method: How pool models are asked; None: ``json_schema`` where one has structured output, else by tools.
            strict: Whether the endpoint has to enforce the schema; None: as the pool model's class does by itself.
            kwargs: Further options of the call that answers.

        Raises:
            BadValueError: The pool has no model that can do it.
        """
        capable = any("structured_output" in model.capabilities for model in self._pool)
        form = output_form(schema, method or ("json_schema" if capable else "function_calling"), strict=strict)
        self._require("tools" if form["method"] == "function_calling" else "structured_output")
        replying, parser = StructuredChatR2(self, form, kwargs), parser_of(schema)
        return with_raw(replying, parser) if include_raw else replying | parser

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = self.answer(messages, current_config(run_manager), stop=stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = await self.aanswer(messages, current_config(run_manager), stop=stop, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._turn(messages, {"stop": stop, **kwargs}, streams=True)
        said = Said(self._shown(turn), turn)
        for mode, event in self._events(turn, current_config(run_manager)):
            for chunk in said.live(mode, event):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        for chunk in said.rest():
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self._turn(messages, {"stop": stop, **kwargs}, streams=True)
        said = Said(self._shown(turn), turn)
        async with aclosing(closed_with_its_stream(self._aevents(turn, current_config(run_manager)))) as events:
            async for mode, event in events:
                for chunk in said.live(mode, event):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk
        for chunk in said.rest():
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def answer(
        self,
        messages: Sequence[BaseMessage],
        config: RunnableConfig,
        *,
        output: OutputForm | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Run a turn in this thread.

        Raises:
            NoAnswerError: It ended without an answer.
        """
        turn = self._turn(messages, kwargs, output=output)
        state = [event for mode, event in self._events(turn, config) if mode == "values"][-1]
        return reply_of(state, self._shown(turn), turn)

    async def aanswer(
        self,
        messages: Sequence[BaseMessage],
        config: RunnableConfig,
        *,
        output: OutputForm | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Run a turn on the event loop.

        Raises:
            NoAnswerError: It ended without an answer.
        """
        turn = self._turn(messages, kwargs, output=output)
        state = [event async for mode, event in self._aevents(turn, config) if mode == "values"][-1]
        return reply_of(state, self._shown(turn), turn)

    def _events(self, turn: ChatTurn, config: RunnableConfig) -> Iterator[tuple[str, Any]]:
        asked = {"query": query_text(messages_from_dict(turn["messages"])), "turn": turn}
        options: dict[str, Any] = {"context": self._limits(turn), "stream_mode": ["custom", "values"]}
        return detached(self.graph.stream(asked, config, **options))

    def _aevents(self, turn: ChatTurn, config: RunnableConfig) -> AsyncGenerator[tuple[str, Any], None]:
        asked = {"query": query_text(messages_from_dict(turn["messages"])), "turn": turn}
        options: dict[str, Any] = {"context": self._limits(turn), "stream_mode": ["custom", "values"]}
        return detached_async(self.graph.astream(asked, config, **options))
