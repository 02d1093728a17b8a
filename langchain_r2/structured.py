"""Replies whose form the endpoint enforces: a chat model bound to a JSON schema, whose whole message is kept."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_r2.errors import BadValueError


def with_schema(model: BaseChatModel, schema: Mapping[str, Any], options: Mapping[str, Any]) -> Runnable[Any, Any]:
    """The model, replying in JSON of that schema; what it returns is its message, with usage and token probabilities.

    Args:
        model: A chat model whose LangChain class has ``with_structured_output``.
        schema: A JSON schema with a title.
        options: Fields of the model to change, such as ``temperature``.

    Raises:
        BadValueError: The model's class cannot do that.
    """
    changed = model.model_copy(update=dict(options))
    strict = {"strict": True} if "strict" in inspect.signature(model.with_structured_output).parameters else {}
    try:
        bound: Runnable[Any, Any] = changed.with_structured_output(dict(schema), include_raw=True, **strict)
    except NotImplementedError as error:
        allowed, hint = "one with structured output", 'Leave "structured_output" out of its capabilities.'
        raise BadValueError("chat model", type(model).__name__, allowed, hint) from error
    return bound | RunnableLambda(_message)


def _message(output: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the model returned
    """The message, with the JSON as its text also where it came as the arguments of a tool call."""
    message = output["raw"]
    if isinstance(message, AIMessage) and message.tool_calls and not message.text.strip():
        return message.model_copy(update={"content": json.dumps(message.tool_calls[0]["args"]), "tool_calls": []})
    return message
