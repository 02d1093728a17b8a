"""What ``ChatR2`` replies: the final state of a run as a message, and its pieces while it is written."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, messages_from_dict
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_r2.errors import BrokenOffError, NoAnswerError
from langchain_r2.ledger import bill
from langchain_r2.types import Attempt, ChatTurn

_PIECE = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")
"""A word and the space before it."""


def reply_of(state: Mapping[str, Any], name: str, turn: ChatTurn) -> AIMessage:
    """The message that a run ends with.

    Args:
        state: What the graph returned.
        name: The model name to show.
        turn: What was asked.

    Raises:
        NoAnswerError: There is no answer.
    """
    attempts: Sequence[Attempt] = state["attempts"]
    answer = state["answer"]
    if answer is None:
        raise NoAnswerError(state["status"], state["error"] or "no reply was usable", bill(attempts).cost_usd)
    kept = _kept(state)
    if kept is None:
        message = AIMessage(_stopped(answer, turn["options"].get("stop") or ()))
    else:
        message = cast("AIMessage", messages_from_dict([kept])[0])
    shown = {k: v for k, v in message.response_metadata.items() if k not in {"token_usage", "model_name", "id"}}
    message.response_metadata = {"finish_reason": "stop", **shown, "model_name": name, "r2": _metadata(state)}
    message.usage_metadata = _usage(attempts)
    message.id = None  # the chat model's own run gives it one
    return message


def _kept(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """The whole reply that is the answer; None where the answer was taken out of replies."""
    written = [a for a in state["attempts"] if a["role"] == "aggregator"]
    if written and written[-1]["answer"] and "message" in written[-1]:
        return cast("dict[str, Any]", written[-1]["message"])
    if len(state["results"]) != 1:
        return None
    (result,) = state["results"]
    tries = [a for a in result["attempts"] if a["role"] == "executor" and a["model"] == result["model"]]
    same = [a["message"] for a in tries if a["answer"] == result["answer"] and "message" in a]
    return dict(same[-1]) if same else None


def _stopped(text: str, stops: Sequence[str]) -> str:
    """A text up to a stop word: no call was asked to end there, since its reply is not the answer itself."""
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0] if stop else text
    return text


def _usage(attempts: Sequence[Attempt]) -> UsageMetadata:
    total = bill(attempts)
    cached = sum(row["cached_input_tokens"] for row in attempts)
    return UsageMetadata(
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        total_tokens=total.input_tokens + total.output_tokens,
        input_token_details=InputTokenDetails(cache_read=cached),
    )


def _metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    """Who did what at which price: the bill per model, the plan, the route."""
    attempts: Sequence[Attempt] = state["attempts"]
    total = bill(attempts)
    usage = {name: bill([a for a in attempts if a["model"] == name]) for name in total.by_model}
    columns = ("subtask_id", "role", "model", "direction", "reason", "confidence", "error_type")
    return {
        "run_id": state["run_id"],
        "status": state["status"],
        "error": state["error"],
        "cost_usd": total.cost_usd,
        "cost_by_role_usd": total.by_role,
        "usage": {
            name: {
                "calls": one.calls,
                "input_tokens": one.input_tokens,
                "output_tokens": one.output_tokens,
                "cost_usd": one.cost_usd,
            }
            for name, one in usage.items()
        },
        "plan": [dict(subtask) for subtask in state["plan"]["subtasks"]],
        "route": [{name: value for name, value in row.items() if name in columns} for row in attempts],
    }


class Said:
    """The pieces of a reply: those that are passed on while it is written, else its words once it is accepted."""

    def __init__(self, name: str, turn: ChatTurn) -> None:
        """Set the model name to show, and what was asked."""
        self._name, self._turn = name, turn
        self._whole: AIMessageChunk | None = None
        self._state: Mapping[str, Any] = {}

    def live(self, mode: str, event: Any) -> Iterator[ChatGenerationChunk]:  # noqa: ANN401 - any event of the graph
        """What an event of the run adds to the reply."""
        if mode == "values":
            self._state = event
            return
        if event.get("event") != "chunk":
            return
        piece: AIMessageChunk = event["chunk"]
        shown = AIMessageChunk(
            content=piece.content,
            tool_call_chunks=piece.tool_call_chunks,
            additional_kwargs=piece.additional_kwargs,
        )
        if not (shown.content or shown.tool_call_chunks or shown.additional_kwargs):
            return
        self._whole = shown if self._whole is None else self._whole + shown
        yield ChatGenerationChunk(message=shown)

    def rest(self) -> Iterator[ChatGenerationChunk]:
        """What is missing when the run has ended, and the closing piece, which alone has usage and metadata.

        Raises:
            BrokenOffError: What was passed on is not what the run ended with.
            NoAnswerError: The run ended without an answer, and nothing was passed on.
        """
        try:
            message = reply_of(self._state, self._name, self._turn)
        except NoAnswerError as error:
            if self._whole is None:
                raise
            raise BrokenOffError(f"the reply broke off: {error}") from error
        if self._whole is None:
            yield from map(_generation, _pieces(message))
        elif (str(self._whole.text).strip(), _names(self._whole)) != (str(message.text).strip(), _names(message)):
            raise BrokenOffError("the reply broke off; the run's answer is another one than was passed on")
        closing = AIMessageChunk(
            content="",
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=closing)


def _names(message: AIMessage) -> list[str]:
    return [call["name"] for call in message.tool_calls]


def _generation(chunk: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=chunk)


def _pieces(message: AIMessage) -> Iterator[AIMessageChunk]:
    if isinstance(message.content, str):
        yield from (AIMessageChunk(content=piece) for piece in _PIECE.findall(message.content))
    elif message.content:
        yield AIMessageChunk(content=message.content)
    calls = [
        tool_call_chunk(name=raw["name"], args=raw["args"], id=raw["id"], index=index)
        for index, raw in enumerate(_raw_calls(message))
    ]
    if calls or message.additional_kwargs:
        kept = {k: v for k, v in message.additional_kwargs.items() if k != "tool_calls"}
        yield AIMessageChunk(content="", tool_call_chunks=calls, additional_kwargs=kept)


def _raw_calls(message: AIMessage) -> list[dict[str, Any]]:
    whole = [{**call, "args": json.dumps(call["args"], ensure_ascii=False)} for call in message.tool_calls]
    return [*whole, *({**call, "args": call["args"] or ""} for call in message.invalid_tool_calls)]
