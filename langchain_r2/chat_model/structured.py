"""Structured output of ``ChatR2``: a chain, not a chat model, so that a pool model's call is the only one in traces."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import ensure_config, patch_config
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_r2.errors import BadValueError
from langchain_r2.types import OutputForm

Method = Literal["json_schema", "function_calling", "json_mode"]


class Answering(Protocol):
    """What answers a turn in a form: ``ChatR2``."""

    @abstractmethod
    def answer(self, messages: Any, config: RunnableConfig, *, output: OutputForm | None, **kwargs: Any) -> AIMessage:  # noqa: ANN401
        """In this thread."""

    @abstractmethod
    async def aanswer(
        self,
        messages: Any,  # noqa: ANN401 - a conversation
        config: RunnableConfig,
        *,
        output: OutputForm | None,
        **kwargs: Any,
    ) -> AIMessage:
        """On the event loop."""


def output_form(schema: dict[str, Any] | type | None, method: str, *, strict: bool | None) -> OutputForm:
    """The form that a schema asks for.

    Raises:
        BadValueError: An unknown method, or no schema for one that needs it.
    """
    methods: dict[str, Method] = {
        "json_schema": "json_schema",
        "function_calling": "function_calling",
        "json_mode": "json_mode",
    }
    if method not in methods:
        raise BadValueError("method", method, list(methods))
    if schema is None and method != "json_mode":
        raise BadValueError("schema", None, f"a JSON schema, a TypedDict or a pydantic class for method {method!r}")
    shown = {} if schema is None else convert_to_json_schema(schema)
    return OutputForm(method=methods[method], schema=shown, strict=strict)


def parser_of(schema: dict[str, Any] | type | None) -> BaseOutputParser[Any]:
    """What makes the reply's JSON into an object of a pydantic class, else into a dict."""
    if isinstance(schema, type) and is_basemodel_subclass(schema):  # of either version of pydantic
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def with_raw(replying: Runnable[Any, AIMessage], parser: BaseOutputParser[Any]) -> Runnable[Any, dict[str, Any]]:
    """A chain that gives ``raw``, ``parsed`` and ``parsing_error``, and never raises for what it cannot parse."""
    parsing = RunnablePassthrough.assign(parsed=RunnableLambda(_raw) | parser, parsing_error=RunnableLambda(_nothing))
    failing = RunnablePassthrough.assign(parsed=RunnableLambda(_nothing))
    return RunnableMap(raw=replying) | parsing.with_fallbacks([failing], exception_key="parsing_error")


def _raw(value: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a message
    return value["raw"]  # a function, not `itemgetter`: it has a name, which traces show


def _nothing(value: Any) -> None:  # noqa: ANN401 - whatever the chain has
    del value


class StructuredChatR2(Runnable[LanguageModelInput, AIMessage]):
    """Answers in a form; its output is the message with the JSON as its text, with usage and ``r2`` metadata."""

    name = "r2_structured"

    def __init__(self, model: Answering, form: OutputForm, options: Mapping[str, Any]) -> None:
        """Set who answers, in which form, and further options of the call that answers."""
        self._model, self._form, self._options = model, form, dict(options)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:  # noqa: A002
        """Answer in this thread."""

        def work(value: LanguageModelInput, run_manager: Any, config: RunnableConfig) -> AIMessage:  # noqa: ANN401
            inner = patch_config(config, callbacks=run_manager.get_child())
            return self._model.answer(_messages(value), inner, output=self._form, **self._options, **kwargs)

        return self._call_with_config(work, input, ensure_config(config), run_type="chain")

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer on the event loop."""

        async def work(value: LanguageModelInput, run_manager: Any, config: RunnableConfig) -> AIMessage:  # noqa: ANN401
            inner = patch_config(config, callbacks=run_manager.get_child())
            return await self._model.aanswer(_messages(value), inner, output=self._form, **self._options, **kwargs)

        return await self._acall_with_config(work, input, ensure_config(config), run_type="chain")


def _messages(value: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(value, PromptValue):
        return value.to_messages()
    return convert_to_messages([value] if isinstance(value, str) else value)
