"""Turns of a conversation: what they need of a model, what came before them, whether a reply is what was asked for."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_r2.json_text import whole_json
from langchain_r2.types import ChatTurn

_LINE_CHARS = 400
"""Longest line that one message has in a digest."""


def needs_of(turn: ChatTurn | None) -> frozenset[str]:
    """Capabilities that a model must have to answer a turn."""
    if turn is None:
        return frozenset()
    form = turn["output"]
    calls_tools = bool(turn["tools"]) or (form is not None and form["method"] == "function_calling")
    keeps_form = form is not None and form["method"] != "function_calling"
    return frozenset(name for name, asked in (("tools", calls_tools), ("structured_output", keeps_form)) if asked)


def system_text(messages: Sequence[BaseMessage]) -> str:
    """All system prompts of a conversation."""
    return "\n\n".join(str(m.text) for m in messages if isinstance(m, SystemMessage) and m.text)


def query_text(messages: Sequence[BaseMessage]) -> str:
    """What the user said last; without a user's text, the last text of anyone, or that there is none."""
    said = [str(m.text) for m in messages if isinstance(m, HumanMessage) and str(m.text).strip()]
    texts = said or [str(m.text) for m in messages if str(m.text).strip()]
    return texts[-1] if texts else "(no text)"


def digest(messages: Sequence[BaseMessage], limit_chars: int) -> str:
    """What was said before the user's last message, and what came after it; the newest lines that fit into a bound."""
    last = max((i for i, m in enumerate(messages) if isinstance(m, HumanMessage)), default=-1)
    kept: list[str] = []
    left = limit_chars
    for number in range(len(messages) - 1, -1, -1):
        if number == last or isinstance(messages[number], SystemMessage):
            continue
        line = _line(messages[number])
        if len(line) > left:
            break
        kept.append(line)
        left -= len(line) + 1
    return "\n".join(reversed(kept))


def _line(message: BaseMessage) -> str:
    who = "user" if isinstance(message, HumanMessage) else "assistant"
    text = " ".join(str(message.text).split())
    if isinstance(message, ToolMessage):
        who = f"tool {message.name or message.tool_call_id}"
    if isinstance(message, AIMessage) and message.tool_calls:
        calls = ", ".join(f"{c['name']}({json.dumps(c['args'], default=str)})" for c in message.tool_calls)
        text = f"{text} calls {calls}".strip()
    return f"{who}: {text}" if len(text) <= _LINE_CHARS else f"{who}: {text[:_LINE_CHARS]}..."


def answer_of(text: str, message: Mapping[str, Any] | None) -> str:
    """A reply as the text that a trace shows: its own, or else the calls of tools in it."""
    calls = _calls(message)
    return text.strip() or (json.dumps([{"name": c["name"], "args": c["args"]} for c in calls]) if calls else "")


def is_answer(turn: ChatTurn, text: str, message: Mapping[str, Any] | None) -> bool:
    """Whether a reply has what the turn asks for: text or calls of tools, or JSON with all that its schema requires."""
    if form := turn["output"]:
        value = whole_json(text)
        return value is not None and all(
            isinstance(value, dict) and name in value for name in form["schema"].get("required", ())
        )
    calls = _calls(message)
    if any(call.get("type") == "invalid_tool_call" for call in calls):
        return False
    known = {tool.get("function", tool).get("name") for tool in turn["tools"]}
    if None not in known and any(call["name"] not in known for call in calls):
        return False
    if turn["tools"] and turn["tool_choice"] not in (None, "auto", "none", False):
        return bool(calls)
    return bool(calls or text.strip())


def _calls(message: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    data = (message or {}).get("data", {})
    return [*(data.get("tool_calls") or []), *(data.get("invalid_tool_calls") or [])]
