"""Tools and retrievers that subtasks can go to, as members of a pool beside its models; and models with tools.

Each is put into a chat model, so that it goes through the same transport as any other: tries, limits, budget, a row in
the bill. An allocator names it by its description, or :class:`~langchain_r2.routers.pinned.PinnedAllocator` sends kinds
of subtasks to it. One that fails, or does not take the subtask, is followed by a model of its group.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun, CallbackManager
from langchain_core.callbacks import CallbackManagerForLLMRun as RunManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool

from langchain_r2.errors import BadValueError, InvalidReplyError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.types import Group

Arguments = Callable[[str], Mapping[str, Any]]
"""From a subtask's text to a tool's arguments; raises ``ValueError`` for a text that the tool cannot do."""

_CALL: Final = UsageMetadata(input_tokens=0, output_tokens=1, total_tokens=1)
"""A call of a tool is billed as one token."""


def per_call(usd: float, *, source: str = "", date: str = "") -> Price:
    """The price of something that costs the same at each call; 0 has to be stated, as for any price."""
    return Price(input=0.0, output=usd * 1e6, source=source or f"{usd:g} USD a call", date=date)


class RunnableChatModel(BaseChatModel):
    """A runnable as a chat model: ``ask`` makes its input of the last message, ``tell`` a text of its output."""

    runnable: Runnable[Any, Any]
    ask: Callable[[str], Any]
    tell: Callable[[Any], str]
    model_name: str

    @property
    def _llm_type(self) -> str:
        return "langchain-r2-executor"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: RunManager | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, kwargs
        value = self._asked(messages)
        return self._result(self.runnable.invoke(value, _child(run_manager, CallbackManager)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, kwargs
        value = self._asked(messages)
        return self._result(await self.runnable.ainvoke(value, _child(run_manager, AsyncCallbackManager)))

    def _asked(self, messages: list[BaseMessage]) -> Any:  # noqa: ANN401 - what the runnable takes
        text = str(messages[-1].text)
        try:
            return self.ask(text)
        except (ValueError, LookupError) as error:
            refused = InvalidReplyError(f"{self.model_name!r} does not take {text[:80]!r}: {error}")
            refused.may_be_billed = False  # it was not called
            raise refused from error

    def _result(self, output: Any) -> ChatResult:  # noqa: ANN401 - what the runnable gives
        meta = {"model_name": self.model_name, "finish_reason": "stop"}
        message = AIMessage(self.tell(output), response_metadata=meta, usage_metadata=_CALL)
        return ChatResult(generations=[ChatGeneration(message=message)])


def tool_executor(
    tool: BaseTool,
    *,
    price: Price,
    arguments: Arguments | None = None,
    name: str | None = None,
    skills: str | None = None,
    group: Group = "MLM",
) -> ModelSpec:
    """A tool that subtasks can go to.

    Args:
        tool: Any LangChain tool. Its result, as a text, is the subtask's answer.
        price: What a call costs: :func:`per_call`, or ``FREE`` where that is so.
        arguments: Makes its arguments of the subtask's text; None: it takes one argument, which gets the text.
        name: In the pool; None: the tool's.
        skills: What allocators read; None: the tool's description.
        group: Where a subtask goes on that the tool did not do.

    Raises:
        BadValueError: Without ``arguments``, a tool of more than one argument.
    """
    if arguments is None:
        fields = list(tool.args)
        if len(fields) != 1:
            allowed = "one argument, which gets the subtask's text"
            raise BadValueError(f"arguments of tool {tool.name!r}", fields, allowed, "Give `arguments`.")
        model = _model(tool, name or tool.name, lambda text: {fields[0]: text}, str)
    else:
        make = arguments
        model = _model(tool, name or tool.name, lambda text: dict(make(text)), str)
    return _spec(model, price, tool.description if skills is None else skills, group)


def retriever_executor(
    retriever: BaseRetriever, *, name: str, skills: str, price: Price, group: Group = "MLM", most_characters: int = 4000
) -> ModelSpec:
    """A retriever that subtasks can go to: the texts that it finds are the answer, for the subtasks that need it.

    Args:
        retriever: Any LangChain retriever.
        name: In the pool.
        skills: What allocators read: what can be found with it.
        price: What a call costs: :func:`per_call`, or ``FREE`` where that is so.
        group: Where a subtask goes on for which nothing was found.
        most_characters: Of all texts together.
    """

    def tell(documents: Any) -> str:  # noqa: ANN401 - of a runnable
        return "\n\n".join(document.page_content for document in documents)[:most_characters]

    return _spec(_model(retriever, name, str, tell), price, skills, group)


def with_tools(spec: ModelSpec, tools: Sequence[tuple[BaseTool, Price]], *, max_rounds: int = 8) -> ModelSpec:
    """A model that may call tools while it works on a subtask; each call of it, and of a tool, is paid and shown.

    It takes its place among the pool's models, or beside them in ``executors``. Where a caller of ``ChatR2`` gives
    tools or a form of its own, those are used instead.

    Args:
        spec: Of a chat model that can call tools.
        tools: Each with what a call costs: :func:`per_call`, or ``FREE`` where that is so.
        max_rounds: How often it may call tools before it has to answer; one that does not goes upward.

    Raises:
        BadValueError: The model cannot call tools, or a name is given twice.
    """
    chat = spec.model
    if isinstance(chat, BaseChatModel) and type(chat).bind_tools is BaseChatModel.bind_tools:
        raise BadValueError(f"model of {spec.name!r}", type(chat).__name__, "a chat model with `bind_tools`")
    if spec.prompt_style != "instruct":
        raise BadValueError(f"prompt_style of {spec.name!r}", spec.prompt_style, "instruct", "Only such a model asks.")
    names = [tool.name for tool, _ in tools]
    if not names or len(set(names)) < len(names):
        raise BadValueError(f"tools of {spec.name!r}", names, "at least one tool, every name once")
    own = tuple(
        _spec(_model(tool, tool.name, json.loads, str), price, tool.description, "MLM") for tool, price in tools
    )
    told = "; ".join([*([spec.skills] if spec.skills else []), f"with tools: {', '.join(names)}"])
    able = spec.capabilities | {"tools"}
    return replace(spec, tools=own, max_tool_rounds=max_rounds, skills=told, capabilities=able)


def tool_of(spec: ModelSpec) -> BaseTool:
    """The tool in a spec that :func:`with_tools` made."""
    assert isinstance(spec.model, RunnableChatModel)  # noqa: S101 - of our own making
    tool = spec.model.runnable
    assert isinstance(tool, BaseTool)  # noqa: S101 - of our own making
    return tool


def _model(runnable: Runnable[Any, Any], name: str, ask: Callable[[str], Any], tell: Callable[[Any], str]) -> Any:  # noqa: ANN401 - a chat model
    return RunnableChatModel(runnable=runnable, ask=ask, tell=tell, model_name=name)


def _spec(model: RunnableChatModel, price: Price, skills: str, group: Group) -> ModelSpec:
    return ModelSpec(
        name=model.model_name,
        model=model,
        price=price,
        group=group,
        max_output_tokens=1,
        skills=" ".join(skills.split()),
        prompt_style="plain",
    )


def _child(run_manager: Any, manager_class: Any) -> RunnableConfig:  # noqa: ANN401 - either kind of manager
    """The configuration for what runs inside a model: LangChain's own managers of models have no ``get_child``."""
    if run_manager is None:
        return RunnableConfig()
    manager = manager_class(handlers=[], parent_run_id=run_manager.run_id)
    manager.set_handlers(run_manager.inheritable_handlers)
    manager.add_tags(run_manager.inheritable_tags)
    manager.add_metadata(run_manager.inheritable_metadata)
    return RunnableConfig(callbacks=manager)
