"""Is a model's reply in an agent loop good enough to go on with?"""

from typing import Any

from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from langchain_r2.confidence import Confidence
from langchain_r2.errors import ModelCallError
from langchain_r2.middleware.tries import Tried
from langchain_r2.nodes.execute_subtask import unusable
from langchain_r2.transport import Outcome, Reply
from langchain_r2.types import Reason, Verdict


def judge(
    request: ModelRequest[Any], tried: Tried, confidence: Confidence, kind: str, *, threshold: float | None
) -> Verdict:
    """Accept a reply or say why not; puts the confidence and its signal into its attempt.

    Besides what a graph looks at (errors, finish reason, token probabilities), a call of a tool is checked against the
    tools that there are and their arguments, and a structured answer against its schema: that needs no further call.
    """
    row, reply = tried.rows[-1], tried.reply
    problem = _problem(request, tried.response, tried.message, reply)
    if problem or isinstance(reply, ModelCallError):
        return Verdict(accepted=False, reason=problem or "invalid_output")
    reading = confidence.of_tokens(reply)
    sure = confidence.probability(reading, row["model"], kind)
    if reading is None or sure is None:
        return Verdict(accepted=confidence.trusts(row["model"], kind), reason="no_signal")
    row["confidence"], row["signal"] = sure, reading.signal
    enough = confidence.threshold_for(row["model"], kind, reading.signal) if threshold is None else threshold
    return Verdict(accepted=sure >= enough, reason="confident" if sure >= enough else "low_confidence")


def _problem(
    request: ModelRequest[Any],
    response: ModelResponse[Any] | None,
    message: AIMessage | None,
    reply: Reply | ModelCallError,
) -> Reason | None:
    if isinstance(reply, ModelCallError) or message is None:
        error = reply if isinstance(reply, ModelCallError) else None
        return unusable(Outcome(None, error, []))[0]
    says = reply.text.strip() or ("a call" if message.tool_calls else "") or ("content" if message.content else "")
    found = unusable(Outcome(reply._replace(text=says), None, []))[0]
    if found:
        return found
    if response is None:  # the reply was whole, but the agent could make nothing of it
        return "invalid_output"
    if message.invalid_tool_calls or any(not _fits(request, call) for call in message.tool_calls):
        return "invalid_output"
    failed = request.response_format is not None and response.structured_response is None
    return "invalid_output" if failed and len(response.result) > 1 else None


def _fits(request: ModelRequest[Any], call: Any) -> bool:  # noqa: ANN401 - a tool call
    """Whether a call names a tool that there is, with arguments that it takes."""
    tools = {tool.name: tool for tool in request.tools if isinstance(tool, BaseTool)}
    tool = tools.get(call["name"])
    if tool is None:  # a provider's own tool, or the tool that a structured answer is given through
        return request.response_format is not None or any(isinstance(t, dict) for t in request.tools)
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return True
    try:
        schema.model_validate(call["args"])
    except ValidationError:
        return False
    return True
