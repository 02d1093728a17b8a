"""How ``ChatR2`` runs its graph: a turn as input; a run that stands alone but for its place in traces."""

from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackManager, BaseRunManager, CallbackManager
from langchain_core.callbacks.manager import AsyncRunManager
from langchain_core.messages import BaseMessage, HumanMessage, messages_to_dict
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM

from langchain_r2.errors import BadValueError
from langchain_r2.turns import digest, system_text
from langchain_r2.types import ChatTurn, OutputForm


def chat_turn(
    messages: Sequence[BaseMessage],
    options: Mapping[str, Any],
    *,
    model: str | None,
    output: OutputForm | None,
    decomposes_all: bool,
    history_chars: int,
) -> ChatTurn:
    """The turn that a conversation asks for.

    Args:
        messages: The conversation; the last one is to be answered.
        options: Of the call: ``tools``, ``tool_choice``, and what is handed on.
        model: The pool model that the caller chose.
        output: The form of the reply.
        decomposes_all: Whether turns with tools or a form are decomposed as well.
        history_chars: Bound of the digest.

    Raises:
        BadValueError: There is no message.
    """
    if not messages:
        raise BadValueError("messages", [], "at least one message")
    tools: list[dict[str, Any]] = list(options.get("tools") or [])
    plain = isinstance(messages[-1], HumanMessage) and not tools and output is None
    return ChatTurn(
        messages=messages_to_dict(messages),
        system=system_text(messages),
        digest=digest(messages, history_chars),
        whole=model is not None or not _is_text(messages) or not (plain or decomposes_all),
        model=model,
        tools=tools,
        tool_choice=options.get("tool_choice"),
        output=output,
        options={k: v for k, v in options.items() if k not in {"tools", "tool_choice"} and v is not None},
        stream="no",
    )


def _is_text(messages: Sequence[BaseMessage]) -> bool:
    """Whether a user's last message is a text and nothing else: only then could the router see all of it."""
    last = next((m for m in reversed(messages) if isinstance(m, HumanMessage)), None)
    if last is None or not str(last.text).strip():
        return False
    blocks = last.content if isinstance(last.content, list) else []
    return all(isinstance(block, str) or block.get("type") == "text" for block in blocks)


def run_config(run_manager: BaseRunManager | None) -> RunnableConfig:
    """The graph's config under a chat model's run.

    Its calls are that run's children; LangGraph does not stream their tokens, since the chat model gives its own.
    """
    config = RunnableConfig(run_name="r2", tags=[TAG_NOSTREAM])
    if run_manager is not None:
        config["callbacks"] = _child(run_manager)
    return config


def _child(parent: BaseRunManager) -> BaseCallbackManager:
    """LangChain's run managers of chat models make no child managers by themselves: a chat model has no children."""
    made = AsyncCallbackManager if isinstance(parent, AsyncRunManager) else CallbackManager
    manager: BaseCallbackManager = made(handlers=[], parent_run_id=parent.run_id)
    manager.set_handlers(parent.inheritable_handlers)
    manager.add_tags(parent.inheritable_tags)
    manager.add_metadata(parent.inheritable_metadata)
    return manager


def detached(events: Generator[Any, None, None]) -> Iterator[Any]:
    """The events of a graph's run, none of whose config comes from a graph around it.

    LangGraph would merge the config of the node around the chat model into it: its callbacks again, its checkpoints.
    Whoever stops reading stops the run.
    """
    with closing(events):
        while True:
            token = var_child_runnable_config.set(None)
            try:
                event = next(events)
            except StopIteration:
                return
            finally:
                var_child_runnable_config.reset(token)
            yield event


async def detached_async(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """As :func:`detached`, on the event loop."""
    async with aclosing(events):
        while True:
            token = var_child_runnable_config.set(None)
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            finally:
                var_child_runnable_config.reset(token)
            yield event
