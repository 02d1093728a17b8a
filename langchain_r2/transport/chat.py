"""Calls that answer a conversation: the request with its tools and form, the reply as data and while it is written."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message, message_to_dict
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_r2.errors import BadValueError, BrokenOffError
from langchain_r2.scrubbing import without
from langchain_r2.structured import with_schema
from langchain_r2.types import ChatTurn

OnChunk = Callable[[AIMessageChunk], None]

_OF_TOOLS: Final = ("strict", "parallel_tool_calls", "response_format")
"""Options that classes of chat models take where tools are bound, and nowhere else."""


def in_turn(
    model: BaseChatModel, turn: ChatTurn, options: dict[str, Any], on_chunk: OnChunk | None
) -> Runnable[Any, Any]:
    """A chat model as a turn asks for it.

    Args:
        model: The pool model.
        turn: Has the tools, the form of the reply, and further options, which go before ``options``.
        options: What the transport sets itself.
        on_chunk: Takes the reply while it is written; not where a form is asked for.

    Raises:
        BadValueError: The model's class cannot call tools, or has no structured output.
    """
    known = type(model).model_fields
    asked = {k: v for k, v in turn["options"].items() if k != "max_tokens" and (k != "temperature" or k in known)}
    options = {**options, **asked}
    if form := turn["output"]:
        changed = {k: v for k, v in options.items() if k in known}
        return with_schema(model, form["schema"], changed, method=form["method"], strict=form["strict"])
    bound: Runnable[Any, Any] = model
    if turn["tools"]:
        chosen = {} if turn["tool_choice"] is None else {"tool_choice": turn["tool_choice"]}
        of_tools = {name: options.pop(name) for name in _OF_TOOLS if name in options}
        try:
            bound = model.bind_tools(turn["tools"], **chosen, **of_tools)
        except NotImplementedError as error:
            allowed, hint = "one that can call tools", 'Leave "tools" out of its capabilities.'
            raise BadValueError("chat model", type(model).__name__, allowed, hint) from error
    if on_chunk is not None and "stream_usage" in known:
        options["stream_usage"] = True  # some classes leave usage out of streams unless they are told
    bound = bound.bind(**options)
    return bound if on_chunk is None else Streamed(bound, on_chunk)


def as_data(message: object, secrets: Iterable[str]) -> dict[str, Any] | None:
    """A reply as plain data, without keys and without token probabilities; None for what is no chat message."""
    if not isinstance(message, AIMessage):
        return None
    shown = {k: v for k, v in message.response_metadata.items() if k != "logprobs"}
    whole = message_chunk_to_message(message.model_copy(update={"response_metadata": shown}))
    text = json.dumps(message_to_dict(whole), ensure_ascii=False, default=str)
    data: dict[str, Any] = json.loads(without(text, secrets))
    return data


class Streamed(Runnable[Any, AIMessage]):
    """A chat model that is streamed where it is invoked: every piece is passed on, the whole is returned."""

    def __init__(self, model: Runnable[Any, Any], on_chunk: OnChunk) -> None:
        """Set the model and who takes the pieces."""
        self._model, self._on_chunk = model, on_chunk

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:  # noqa: A002, ANN401
        """Stream in this thread.

        Raises:
            BrokenOffError: It broke off after its first piece.
        """
        pieces: Iterator[Any] = self._model.stream(input, config, **kwargs)
        whole: AIMessage | None = None
        try:
            for piece in pieces:
                whole = self._taken(whole, piece)
        except Exception as error:  # noqa: BLE001 - code that is not ours
            raise _broken(error, whole) from None
        return _whole(whole)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:  # noqa: A002, ANN401
        """Stream on the event loop.

        Raises:
            BrokenOffError: It broke off after its first piece.
        """
        pieces: AsyncIterator[Any] = self._model.astream(input, config, **kwargs)
        whole: AIMessage | None = None
        try:
            async for piece in pieces:
                whole = self._taken(whole, piece)
        except Exception as error:  # noqa: BLE001 - code that is not ours
            raise _broken(error, whole) from None
        return _whole(whole)

    def _taken(self, whole: AIMessage | None, piece: AIMessage) -> AIMessage:
        chunk = piece if isinstance(piece, AIMessageChunk) else _chunk_of(piece)
        self._on_chunk(chunk)
        return whole + chunk if isinstance(whole, AIMessageChunk) else chunk


def _chunk_of(message: AIMessage) -> AIMessageChunk:
    """A whole message as one piece: what classes without streaming give."""
    return AIMessageChunk(**{**message.model_dump(), "type": "AIMessageChunk"})


def _broken(error: Exception, whole: AIMessage | None) -> Exception:
    """What a failure means: nothing was passed on, so that another try can follow; or words that cannot be taken back.

    The text of the failure stays out of it: it may show a key.
    """
    if whole is None:
        return error
    return BrokenOffError(f"the reply broke off after its first words were passed on ({type(error).__name__})")


def _whole(whole: AIMessage | None) -> AIMessage:
    found = AIMessage("") if whole is None else message_chunk_to_message(whole)
    assert isinstance(found, AIMessage)  # noqa: S101 - of pieces of AIMessages
    return found
