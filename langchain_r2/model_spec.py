"""One model of a pool: its price, how it is reached and spoken to, and what it can do."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from langchain_core.language_models import BaseChatModel

from langchain_r2.addresses import checked_address
from langchain_r2.clients import openai_compatible, provider_model, under_transport
from langchain_r2.errors import BadValueError
from langchain_r2.scrubbing import secrets_of
from langchain_r2.types import Group

PromptStyle = Literal["instruct", "bare", "plain"]
"""How a model is spoken to: with instructions, or (fine-tuned on the steps) by a keyword and the content, or (a tool, a
retriever) with the subtask's text alone."""

_GROUPS: Final[tuple[Group, ...]] = get_args(Group)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - not NaN


@dataclass(frozen=True, kw_only=True)
class Price:
    """USD per million tokens. None means: stated to be unknown; costs are then None, never 0."""

    input: float | None
    output: float | None
    cached_input: float | None = None
    """None: cached input tokens cost as much as others."""
    source: str = ""
    """Where the price was read."""
    date: str = ""
    """When it was read, as YYYY-MM-DD."""

    def __post_init__(self) -> None:
        """Check that prices are numbers from 0 up."""
        for name in ("input", "output", "cached_input"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value < 1e6):
                raise BadValueError(f"price {name}", value, "USD per million tokens, a number from 0 to 1,000,000")

    @property
    def free(self) -> bool:
        """Whether it is stated to cost nothing."""
        return self.input == 0 and self.output == 0

    def cost_usd(self, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0) -> float | None:
        """Cost of one call in USD; None where a price that it needs is unknown."""
        if self.input is None or self.output is None:
            return None
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = input_tokens - cached_input_tokens
        return (fresh * self.input + cached_input_tokens * cached + output_tokens * self.output) / 1e6


FREE: Final = Price(input=0.0, output=0.0, source="stated to be free")
"""A price of nothing, to be stated on purpose."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model of the pool, or a router's own model."""

    name: str
    """Name in this pool; allocations, traces and bills use it."""
    model: BaseChatModel | str
    """A chat model, or ``"provider:model"`` for ``init_chat_model``, or with ``base_url`` the model's name there."""
    price: Price
    base_url: str | None = None
    """Address of an OpenAI-compatible server."""
    base_url_env: str | None = None
    """Environment variable that holds that address; where it is not set, ``base_url`` is taken."""
    api_key_env: str | None = None
    """Environment variable that holds the key for ``base_url``; None sends no real key."""
    group: Group | None = None
    """None: by the pool's rule."""
    parameters: int | None = None
    context_tokens: int = 8192
    max_output_tokens: int = 1024
    """Longest reply asked for; the budget reserves for it."""
    skills: str = ""
    """What the model is good at, for allocators that read descriptions."""
    capabilities: frozenset[str] = frozenset()
    """For example ``logprobs``, ``tools``, ``structured_output``."""
    max_concurrency: int | None = None
    """Most calls at a time; None: no bound."""
    requests_per_minute: float | None = None
    """None: no bound."""
    prompt_style: PromptStyle = "instruct"
    tools: tuple["ModelSpec", ...] = ()
    """Tools of its own; :func:`langchain_r2.executors.with_tools` makes them."""
    max_tool_rounds: int = 8
    """How often it may call them before it has to answer."""

    def __post_init__(self) -> None:
        """Check what can be checked without calling anything."""
        if not self.name or not self.name.strip() or any(c in self.name for c in "\n\r\t"):
            raise BadValueError("model name", self.name, "a non-empty name on one line")
        if self.group is not None and self.group not in _GROUPS:
            raise BadValueError(f"group of model {self.name!r}", self.group, _GROUPS)
        if not isinstance(self.price, Price):
            raise BadValueError(
                f"price of model {self.name!r}", self.price, "a Price; Price(input=None, output=None) if unknown"
            )
        self._check_numbers()
        if self.prompt_style not in get_args(PromptStyle):
            raise BadValueError(f"prompt_style of model {self.name!r}", self.prompt_style, get_args(PromptStyle))
        if not isinstance(self.model, (str, BaseChatModel)):
            raise BadValueError(f"model of {self.name!r}", self.model, 'a LangChain chat model or "provider:model"')
        if self.base_url is not None:
            checked_address(f"base_url of model {self.name!r}", self.base_url)

    def _check_numbers(self) -> None:
        for attribute in ("context_tokens", "max_output_tokens", "max_tool_rounds"):
            value = getattr(self, attribute)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadValueError(f"{attribute} of model {self.name!r}", value, "a whole number from 1 up")
        for attribute in ("max_concurrency", "requests_per_minute"):
            value = getattr(self, attribute)
            if value is not None and not (_is_number(value) and value > 0):
                raise BadValueError(f"{attribute} of model {self.name!r}", value, "a number above 0, or nothing")

    def __repr__(self) -> str:
        """Name and model; of a chat model only the class: its settings may have keys in them."""
        model = self.model if isinstance(self.model, str) else type(self.model).__name__
        return f"ModelSpec({self.name!r}: {model}, {self.group or 'no group'})"

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle has of it.

        Raises:
            BadValueError: Its chat model holds a key, which would be in the pickle.
        """
        if any(secrets_of(self.model)):
            hint = 'Make it from "provider:model" or base_url: the key then stays in its environment variable.'
            raise BadValueError(f"model of {self.name!r}", type(self.model).__name__, "one without a key in it", hint)
        return dict(vars(self))

    def chat_model(self) -> BaseChatModel:
        """The chat model, with all retries of its own off: :mod:`langchain_r2.transport` owns them.

        Raises:
            BadValueError: An environment variable that it needs is not set.
            MissingExtraError: The package that speaks to this endpoint is not installed.
        """
        if isinstance(self.model, BaseChatModel):
            return under_transport(self.model)
        logprobs = "logprobs" in self.capabilities
        if self.base_url is None and self.base_url_env is None:
            return provider_model(self.name, self.model, logprobs=logprobs)
        return openai_compatible(
            self.name,
            self.model,
            base_url=self.base_url,
            base_url_env=self.base_url_env,
            api_key_env=self.api_key_env,
            logprobs=logprobs,
        )
