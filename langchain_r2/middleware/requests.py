"""An agent's request made to fit the chosen model: what that can take, may need, and does not understand."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain.agents.middleware.types import ModelRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_r2.model_spec import ModelSpec
from langchain_r2.transport.bounds import Bounds, reply_limit

_COMMON: Final = frozenset({"temperature", "top_p", "stop", "max_tokens", "timeout"})
"""Settings that mean the same for every provider."""
_ANTHROPIC: Final = "anthropic"
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content"})
"""Blocks that are signed by, or stored at, the provider that wrote them."""
_TOKENS_PER_MESSAGE: Final = 16


def can_take(spec: ModelSpec, model: BaseChatModel, request: ModelRequest[Any]) -> bool:
    """Whether a model can be given the request at all: tools, where there are any, and the length."""
    profile: Mapping[str, Any] = model.profile or {}
    if request.tools or request.response_format is not None:
        unable = type(model).bind_tools is BaseChatModel.bind_tools or profile.get("tool_calling") is False
        if unable:
            return False
    longest = max(spec.context_tokens, int(profile.get("max_input_tokens") or 0))
    return count_tokens_approximately(_all_messages(request), tools=request.tools or None) <= longest


def worst_of(spec: ModelSpec, request: ModelRequest[Any]) -> Bounds:
    """What the call may read and write: a token is at least one byte, and something to look at fills the context."""
    size, seen = 0, False
    for message in _all_messages(request):
        calls = message.tool_calls if isinstance(message, AIMessage) else []
        shown = json.dumps([message.content, calls, message.name], default=str, ensure_ascii=False)
        size += len(shown.encode(errors="surrogatepass")) + _TOKENS_PER_MESSAGE
        seen = seen or any(isinstance(block, dict) and "text" not in block for block in message.content)
    for tool in request.tools:
        size += len(json.dumps(convert_to_openai_tool(tool), default=str)) + _TOKENS_PER_MESSAGE
    if request.response_format is not None:
        size += len(json.dumps(_schema(request.response_format), default=str))
    return Bounds(max(size, spec.context_tokens) if seen else size, spec.max_output_tokens)


def fitted(
    request: ModelRequest[Any], spec: ModelSpec, model: BaseChatModel, chosen: BaseChatModel
) -> ModelRequest[Any]:
    """The request for a chosen model: without what only the agent's own model's provider understands.

    Args:
        request: As the agent made it.
        spec: Of the chosen model.
        model: The chosen model.
        chosen: The copy of it that is to be called.
    """
    settings = dict(request.model_settings)
    if model._llm_type != request.model._llm_type:
        known = _COMMON | _fields(model)
        settings = {name: value for name, value in settings.items() if name in known}
    for name, most in reply_limit(model, spec.max_output_tokens).items():
        settings[name] = min(settings.get(name) or most, most)
    update: dict[str, Any] = {"model": chosen, "model_settings": settings}
    update["messages"] = [_own_message(message, model) for message in request.messages]
    if not _marks(model):
        if request.system_message is not None:
            update["system_message"] = _unmarked_message(request.system_message)
        update["messages"] = [_unmarked_message(message) for message in update["messages"]]
        update["tools"] = [_unmarked_tool(tool) for tool in request.tools]
    return request.override(**update)


def _all_messages(request: ModelRequest[Any]) -> Sequence[BaseMessage]:
    return [request.system_message, *request.messages] if request.system_message else request.messages


def _schema(response_format: object) -> Any:  # noqa: ANN401 - JSON data
    schema = getattr(response_format, "schema", response_format)
    found = getattr(schema, "model_json_schema", None)
    return found() if callable(found) else schema


def _fields(model: BaseChatModel) -> frozenset[str]:
    fields = type(model).model_fields
    return frozenset(fields) | {field.alias for field in fields.values() if field.alias}


def _provider(model: BaseChatModel) -> str:
    return str(model._get_ls_params().get("ls_provider") or "")


def _marks(model: BaseChatModel) -> bool:
    """Whether the model's provider reads marks of what to cache (``cache_control``)."""
    return model._llm_type.startswith(_ANTHROPIC)


def _own_message(message: Any, model: BaseChatModel) -> Any:  # noqa: ANN401 - a message of any kind
    """The message without the thoughts of another provider's model."""
    wrote = message.response_metadata.get("model_provider") if isinstance(message, AIMessage) else None
    if not wrote or not isinstance(message.content, list) or wrote == _provider(model):
        return message
    kept = [b for b in message.content if not (isinstance(b, dict) and b.get("type") in _THOUGHTS)]
    return message if len(kept) == len(message.content) else message.model_copy(update={"content": kept})


def _unmarked_message(message: Any) -> Any:  # noqa: ANN401 - a message of any kind
    if not isinstance(message.content, list):
        return message
    blocks = [_unmarked(block) if isinstance(block, dict) else block for block in message.content]
    return message if blocks == message.content else message.model_copy(update={"content": blocks})


def _unmarked_tool(tool: BaseTool | dict[str, Any]) -> BaseTool | dict[str, Any]:
    if isinstance(tool, dict):
        return _unmarked(tool)
    if not tool.extras or "cache_control" not in tool.extras:
        return tool
    return tool.model_copy(update={"extras": _unmarked(tool.extras) or None})


def _unmarked(block: dict[str, Any]) -> dict[str, Any]:
    """A block without the mark, also not in the parts where LangChain keeps a provider's own fields."""
    plain = {name: value for name, value in block.items() if name != "cache_control"}
    for name in ("extras", "metadata"):
        if isinstance(plain.get(name), dict) and "cache_control" in plain[name]:
            plain[name] = _unmarked(plain[name])
    return plain
