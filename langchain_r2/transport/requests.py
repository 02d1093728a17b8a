"""From a call to the request that one try of it sends: the model's options, and what tracers show of it."""

import time
from typing import Any, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig

from langchain_r2.flow import Invoke
from langchain_r2.model_spec import ModelSpec
from langchain_r2.structured import with_schema
from langchain_r2.transport.bounds import Bounds, longest_reply, reply_limit
from langchain_r2.transport.call import Call
from langchain_r2.transport.chat import in_turn
from langchain_r2.transport.failures import classify
from langchain_r2.transport.replies import cost_of
from langchain_r2.transport.spans import watched


class Target(NamedTuple):
    """Where a call goes."""

    spec: ModelSpec
    model: BaseChatModel
    bounded: bool
    """Whether it speaks through our HTTP."""
    secrets: tuple[str, ...]
    """Its keys. A server that echoes one must not get it into what is kept, or to the next model."""


def request_of(call: Call, target: Target, number: int, ends: float | None, most: Bounds, bound_usd: float) -> Invoke:
    """Make the request of a try.

    Args:
        call: What to ask.
        target: Whom.
        number: Which try of the call it is, from 0.
        ends: When it has to have ended, by ``time.monotonic``; None: whenever it does.
        most: What it can read and write.
        bound_usd: What it is charged where its cost is not known.
    """
    model = target.model
    known = type(model).model_fields
    options: dict[str, Any] = reply_limit(model, longest_reply(call.spec, call.turn))
    for name in ("temperature", "seed"):
        if (value := getattr(call, name)) is not None and name in known:
            options[name] = value
    if call.top_logprobs and "logprobs" in call.spec.capabilities:
        options |= {"logprobs": True, "top_logprobs": call.top_logprobs}
    config = _config(call, target, number, most, bound_usd)
    left = None if ends is None else max(0.001, ends - time.monotonic())
    prompt = call.prompt.messages()
    if call.turn is not None:
        answering = in_turn(model, call.turn, options, call.on_chunk)
        return Invoke(answering, prompt, config, left, bounded=target.bounded)
    if call.schema is not None:
        return Invoke(with_schema(model, call.schema, options), prompt, config, left, bounded=target.bounded)
    return Invoke(model, prompt, config, left, options, target.bounded)


def _config(call: Call, target: Target, number: int, most: Bounds, bound_usd: float) -> RunnableConfig:
    """The call's config with what tracers are told."""
    config: RunnableConfig = {**(call.config or {})}
    config["metadata"] = {
        # Which model it is to a tracer, where the chat model's class does not say it itself.
        "ls_model_name": call.spec.name,
        **(config.get("metadata") or {}),
        "r2_role": call.role,
        "r2_model": call.spec.name,
        "r2_group": call.spec.group or "",
        "r2_subtask": call.subtask_id or "",
        "r2_attempt": call.tries_before + number + 1,
        "r2_direction": call.direction,
        "r2_reason": call.reason,
    }
    config["run_name"] = f"{call.role}:{call.spec.name}"
    believed = most if target.bounded else None

    def cost_usd(message: object, error: BaseException | None) -> float | None:
        raised = classify(error, target.secrets) if isinstance(error, Exception) else None
        return cost_of(call.spec.price, message, raised, bounds=believed, bound_usd=bound_usd)

    return watched(config, cost_usd, target.secrets)
