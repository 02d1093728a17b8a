"""The part of OpenAI's chat completions API that the embedded models speak: requests checked, replies shaped.

What a request asks for and the models cannot do (tools, several choices, penalties) is refused, never ignored.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from langchain_r2.errors import BadValueError
from langchain_r2.in_process import TOP

_CHECKED = ConfigDict(extra="forbid", strict=True)


class _Part(BaseModel):
    model_config = _CHECKED
    type: Literal["text"] = "text"
    text: str


class _Message(BaseModel):
    model_config = _CHECKED
    role: Literal["developer", "system", "user", "assistant"]
    content: Annotated[list[_Part], BeforeValidator(lambda v: [{"text": v}] if isinstance(v, str) else v)]

    def pair(self) -> tuple[str, str]:
        """Role and text, as LangChain reads them."""
        return self.role, "".join(part.text for part in self.content)


class _StreamOptions(BaseModel):
    model_config = _CHECKED
    include_usage: bool = False


_Word = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=1)]
_One = Annotated[float, Field(ge=1, le=1)]
_Zero = Annotated[float, Field(ge=0, le=0)]


class ChatRequest(BaseModel):
    """A request; fields that leave no choice are there because clients send them with that value."""

    model_config = _CHECKED
    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    stop: Annotated[
        list[_Word], Field(max_length=4), BeforeValidator(lambda v: [v] if isinstance(v, str) else v or [])
    ] = []
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=TOP)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: _One | None = None
    top_p: _One | None = None
    presence_penalty: _Zero | None = None
    frequency_penalty: _Zero | None = None
    user: str | None = None

    def chat(self) -> list[BaseMessage]:
        """The messages for LangChain."""
        return convert_to_messages([message.pair() for message in self.messages])

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the model's call."""
        return {
            "stop": self.stop or None,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "top_logprobs": self.top_logprobs,
        }


def read_request(body: bytes) -> ChatRequest:
    """Check the body of a request.

    Raises:
        BadValueError: It is not JSON, or asks for what the models cannot do.
    """
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            raise BadValueError(name, first["input"], "nothing", "Leave it out: it is not supported.") from error
        raise BadValueError(name or "body", first["input"], hint=f"{first['msg']}.") from error
    if request.top_logprobs is not None and not request.logprobs:
        raise BadValueError("top_logprobs", request.top_logprobs, "nothing without logprobs", "Send logprobs: true.")
    return request


def completion(request: ChatRequest, reply: AIMessage) -> dict[str, Any]:
    """The body of a reply in one piece."""
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(request, rows_of(reply)),
        "finish_reason": reply.response_metadata["finish_reason"],
    }
    return {**_head(request, "chat.completion"), "choices": [choice], "usage": _usage(reply)}


def chunks(request: ChatRequest, reply: AIMessage, pieces: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The events of a streamed reply: one per token, then the finish reason, then, where asked for, the usage.

    Args:
        request: What was asked.
        reply: The whole reply.
        pieces: Its text, a piece per row of :func:`rows_of`.
    """
    wants_usage = bool(request.stream_options and request.stream_options.include_usage)
    head = {**_head(request, "chat.completion.chunk"), **({"usage": None} if wants_usage else {})}

    def event(delta: dict[str, Any], logprobs: dict[str, Any] | None, finish: str | None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]}

    yield event({"role": "assistant", "content": ""}, None, None)
    for row, piece in zip(rows_of(reply), pieces, strict=True):
        yield event({"content": piece}, _logprobs(request, [row]), None)
    yield event({}, None, reply.response_metadata["finish_reason"])
    if wants_usage:
        yield {**head, "choices": [], "usage": _usage(reply)}


def rows_of(reply: AIMessage) -> list[dict[str, Any]]:
    """Per written token, the end token too: its text, its log-probability and its alternatives."""
    rows: list[dict[str, Any]] = reply.response_metadata["logprobs"]["content"]
    return rows


def model_card(name: str, created: int) -> dict[str, Any]:
    """An entry of the list of models."""
    return {"id": name, "object": "model", "created": created, "owned_by": "langchain-r2"}


def error_body(
    message: str, *, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """The body of an error."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _head(request: ChatRequest, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": request.model}


def _usage(reply: AIMessage) -> dict[str, int]:
    usage: Mapping[str, Any] = reply.usage_metadata or {}
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def _logprobs(request: ChatRequest, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not request.logprobs:
        return None
    content = [{**_token(row), "top_logprobs": [_token(near) for near in row["top_logprobs"]]} for row in rows]
    return {"content": content, "refusal": None}


def _token(row: dict[str, Any]) -> dict[str, Any]:
    """A token's entry. Its bytes are left open: the tokens are words, and the spaces between them are no token's."""
    return {"token": row["token"], "logprob": row["logprob"], "bytes": None}
