"""Replies whose form the endpoint enforces: a chat model bound to a JSON schema, whose whole message is kept."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnableParallel, RunnableSequence

from langchain_r2.errors import BadValueError


def with_schema(
    model: BaseChatModel,
    schema: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    method: str | None = None,
    strict: bool | None = None,
) -> Runnable[Any, Any]:
    """The model, replying in JSON of that schema; what it returns is its message, with usage and token probabilities.

    Args:
        model: A chat model whose LangChain class has ``with_structured_output``.
        schema: A JSON schema with a title.
        options: Fields of the model to change, such as ``temperature``.
        method: How the form is asked for, as LangChain names it; None: as the model's class does by itself.
        strict: Whether the endpoint has to enforce the schema; None: where ``method`` is None, if the class can.

    Raises:
        BadValueError: The model's class cannot do that.
    """
    changed = model.model_copy(update=dict(options))
    asked: dict[str, Any] = {} if method is None else {"method": method}
    if strict is not None:
        asked["strict"] = strict
    elif method is None and "strict" in inspect.signature(model.with_structured_output).parameters:
        asked["strict"] = True
    form: Any = dict(schema) or None  # JSON mode needs none
    try:
        bound: Runnable[Any, Any] = changed.with_structured_output(form, include_raw=True, **asked)
    except NotImplementedError as error:
        allowed, hint = "one with structured output", 'Leave "structured_output" out of its capabilities.'
        raise BadValueError("chat model", type(model).__name__, allowed, hint) from error
    return _without_parser(bound) | RunnableLambda(_message)


def _without_parser(bound: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """What gives the message in LangChain's own chain: we parse, and its parsers are runs without a name in traces."""
    first = bound.first if isinstance(bound, RunnableSequence) else None
    raw = first.steps__.get("raw") if isinstance(first, RunnableParallel) else None
    return bound if raw is None else RunnableParallel(raw=raw)


def _message(output: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the model returned
    """The message, with the JSON as its text also where it came as the arguments of a tool call."""
    message = output["raw"]
    if isinstance(message, AIMessage) and message.tool_calls and not message.text.strip():
        return message.model_copy(update={"content": json.dumps(message.tool_calls[0]["args"]), "tool_calls": []})
    return message
