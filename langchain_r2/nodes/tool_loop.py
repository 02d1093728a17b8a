"""A model with tools of its own: it calls them and reads their results until it answers, a bounded number of times.

Models and tools alike are called through the transport: each call is reserved for, paid, written down and shown.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, ToolMessage, messages_from_dict, messages_to_dict
from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_r2.errors import BudgetError, InvalidReplyError
from langchain_r2.executors import tool_of
from langchain_r2.flow import Flow, Gather
from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call, Outcome, Transport
from langchain_r2.types import Attempt, ChatTurn, ToolUse

_NO_TURN: Final = ChatTurn(
    messages=[],
    system="",
    digest="",
    whole=True,
    model=None,
    tools=[],
    tool_choice=None,
    output=None,
    options={},
    stream="no",
)


class _Asked(NamedTuple):
    """A call of a tool that a model asked for."""

    id: str
    name: str
    args: dict[str, Any]
    problem: str | None
    """Why it cannot be made."""


def called(transport: Transport, call: Call, rows: list[Attempt]) -> Flow[tuple[Call, Outcome]]:
    """Make a call; one to a model that has tools goes on until it answers.

    Args:
        transport: Where all calls go.
        call: To any executor.
        rows: Takes the attempts of a model with tools as they are made, so that none is lost where the budget ends it.

    Returns:
        The last call, with all that was said before, and its outcome with all attempts.

    Raises:
        BudgetError: The budget cannot pay for a call.
    """
    if _has_tools(call):
        return (yield from _with_tools(transport, call, rows))
    return call, (yield from transport.call(call))


def _has_tools(call: Call) -> bool:
    """Whether it goes to a model with tools of its own, and its caller brings none and asks for no form."""
    return bool(call.spec.tools) and (call.turn is None or not (call.turn["tools"] or call.turn["output"]))


def _with_tools(transport: Transport, call: Call, rows: list[Attempt]) -> Flow[tuple[Call, Outcome]]:
    tools = {spec.name: spec for spec in call.spec.tools}
    chat: list[Mapping[str, Any]] = list(call.prompt.chat or messages_to_dict(call.prompt.messages()))
    schemas = [convert_to_openai_tool(tool_of(spec)) for spec in tools.values()]
    turn = ChatTurn(**{**(call.turn or _NO_TURN), "tools": schemas, "stream": "no"})
    made = 0
    while True:
        asked = replace(call, turn=turn, prompt=call.prompt._replace(chat=tuple(chat)), on_chunk=None)
        outcome = yield from transport.call(asked)
        rows += outcome.attempts
        calls = _calls(outcome, tools)
        if not calls:
            return asked, _ended(outcome, call, rows)
        rows[-1]["answer"], rows[-1]["calls"] = None, [ToolUse(name=c.name, args=c.args) for c in calls]
        if made == call.spec.max_tool_rounds:
            error = InvalidReplyError(f"{call.spec.name!r} called tools again after {made} rounds of them")
            rows[-1]["error_type"] = type(error).__name__
            return asked, Outcome(None, error, rows)
        made += 1
        flows = [_told(transport, call, one, tools, (made, number)) for number, one in enumerate(calls)]
        results: list[_Told] = yield Gather(flows)
        rows += [row for told in results for row in told.rows]
        if broke := next((told.broke for told in results if told.broke), None):
            raise broke
        assert outcome.reply is not None  # noqa: S101 - it has the calls
        chat += [outcome.reply.message or {}, *messages_to_dict([told.message for told in results])]


class _Told(NamedTuple):
    """What came of a call of a tool."""

    message: ToolMessage
    rows: list[Attempt]
    broke: BudgetError | None = None


def _told(
    transport: Transport, call: Call, asked: _Asked, tools: Mapping[str, ModelSpec], place: tuple[int, int]
) -> Flow[_Told]:
    """Call a tool; what goes wrong is told to the model."""
    if asked.problem:
        return _Told(_message(asked, asked.problem, failed=True), [])
    request = replace(
        call,
        spec=tools[asked.name],
        prompt=Prompt(json.dumps(asked.args)),
        role="tool",
        turn=None,
        on_chunk=None,
        top_logprobs=0,
        ordinal=place[0] * 1000 + place[1],  # the same call in another round is another call
    )
    try:
        outcome = yield from transport.call(request)
    except BudgetError as error:
        return _Told(_message(asked, str(error), failed=True), [], error)
    for row in outcome.attempts:
        row["calls"] = [ToolUse(name=asked.name, args=asked.args)]
    text = str(outcome.error) if outcome.reply is None else outcome.reply.text
    return _Told(_message(asked, text, failed=outcome.reply is None), outcome.attempts)


def _message(asked: _Asked, text: str, *, failed: bool) -> ToolMessage:
    status = {"status": "error"} if failed else {}
    return ToolMessage(text, tool_call_id=asked.id, name=asked.name, **status)


def _calls(outcome: Outcome, tools: Mapping[str, ModelSpec]) -> list[_Asked]:
    """The tools that a reply calls; one that cannot be called says why."""
    kept = outcome.reply.message if outcome.reply else None
    message = messages_from_dict([kept])[0] if kept else None
    if not isinstance(message, AIMessage):
        return []
    found = []
    for use in message.tool_calls:
        unknown = None if use["name"] in tools else f"There is no tool {use['name']!r}, only {', '.join(tools)}."
        found.append(_Asked(use["id"] or "", use["name"], use["args"], unknown))
    for bad in message.invalid_tool_calls:
        problem = f"The arguments are not JSON: {bad['error'] or bad['args']}"
        found.append(_Asked(bad["id"] or "", bad["name"] or "", {}, problem))
    return found


def _ended(outcome: Outcome, call: Call, rows: list[Attempt]) -> Outcome:
    """The outcome of the last call, with all rows; its message is kept only where it answers a conversation."""
    reply = outcome.reply
    if reply is not None and call.turn is None:
        reply = reply._replace(message=None)
    return Outcome(reply, outcome.error, rows)
