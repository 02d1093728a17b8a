"""Agents on scripted models that can call tools."""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolCall
from langchain_core.runnables import Runnable
from langchain_core.tools import tool

from langchain_r2 import ModelPool
from langchain_r2.middleware import R2RouterMiddleware
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool


class ToolModel(ScriptedChatModel):
    """A scripted model that takes tools, and keeps what it was called with."""

    bound: list[dict[str, Any]]

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        return super()._reply(messages).model_copy(update={"id": None})  # a message that comes again is another one

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        self.bound.append({"tools": [getattr(t, "name", t) for t in tools], **kwargs})
        return self.bind(**kwargs)


def calling(name: str, probability: float | None = None, **args: Any) -> AIMessage:
    """A reply that calls a tool."""
    message = scripted_message("", probability=probability)
    call = ToolCall(name=name, args=args, id=f"call_{name}", type="tool_call")
    return message.model_copy(update={"tool_calls": [call]})


def sure(text: str) -> AIMessage:
    return scripted_message(text, probability=0.99)


def unsure(text: str) -> AIMessage:
    return scripted_message(text, probability=0.2)


def pool_of(*scripts: Any, **settings: Any) -> ModelPool:
    """``m1``, ``m2``, ... with tools; a script is a function, or replies in turn."""
    models = [
        s if isinstance(s, ScriptedChatModel) else ToolModel(script=s if callable(s) else [*s], bound=[])
        for s in scripts
    ]
    return scripted_pool(*models, **settings)


def calls_of(pool: ModelPool, name: str) -> list[list[BaseMessage]]:
    model = pool[name].model
    assert isinstance(model, ScriptedChatModel)
    return model.call_history


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fails(text: str) -> str:
    """Fail always."""
    raise ValueError(text)


def agent_of(pool: ModelPool, *, tools: Sequence[Any] = (), before: Any = (), behind: Any = (), **options: Any) -> Any:
    """An agent whose own model must never be called."""
    settings = {k: options.pop(k) for k in ("checkpointer", "response_format", "context_schema") if k in options}
    never = ToolModel(script=[AssertionError("the agent's own model was called")], bound=[])
    router = R2RouterMiddleware(pool, **options)
    return create_agent(never, [*tools], middleware=[*before, router, *behind], **settings)


def tried(output: Any) -> list[tuple[str, str, str]]:
    """Model, direction and reason of every attempt."""
    return [(a["model"], a["direction"], a["reason"]) for a in output["r2_attempts"]]


def asked(text: str = "what is it ?") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}
