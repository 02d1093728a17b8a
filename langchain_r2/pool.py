"""The pool: which models there are, in which order and groups, at which prices, and how to reach each."""

import dataclasses
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from langchain_core.language_models import BaseChatModel

from langchain_r2.addresses import checked_address
from langchain_r2.clients import openai_compatible, provider_model, under_transport
from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.scrubbing import secrets_of
from langchain_r2.types import Group

PromptStyle = Literal["instruct", "bare", "plain"]
"""How a model is spoken to: with instructions, or (fine-tuned on the steps) by a keyword and the content, or (a tool, a
retriever) with the subtask's text alone."""

Grouping = Literal["thirds", "price"]
"""Rule for capability groups: equal thirds of the order, or the two largest relative jumps in price."""

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
        for attribute in ("context_tokens", "max_output_tokens"):
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


class ModelPool:
    """Pool models in order, weakest first, each in a capability group.

    Immutable. Models are ordered as given; ``ModelPool.ordered_by_price`` sorts first. Executors stand beside the
    order: an allocator may name them, no step up or down leads to them, a step up from one leads into its group.
    """

    def __init__(
        self,
        models: Sequence[ModelSpec],
        *,
        executors: Sequence[ModelSpec] = (),
        name: str = "pool",
        grouping: Grouping = "thirds",
    ) -> None:
        """Make a pool.

        Args:
            models: Weakest (cheapest) first.
            executors: What is good at some subtasks only: tools, retrievers, agents (:mod:`langchain_r2.executors`).
            name: Shown in traces and tables.
            grouping: Rule for models that state no group.

        Raises:
            BadValueError: No models, a name twice, groups out of order, or an unknown rule.
        """
        if not models:
            raise BadValueError("models of the pool", list(models), "at least one model")
        names = [m.name for m in (*models, *executors)]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise BadValueError("models of the pool", twice, "every name once", "Rename one of them.")
        if grouping not in get_args(Grouping):
            raise BadValueError("grouping", grouping, get_args(Grouping))
        ruled = _thirds(len(models)) if grouping == "thirds" else _price_jumps(models)
        self.name: Final = name
        self.models: Final = tuple(
            dataclasses.replace(m, group=m.group or group) for m, group in zip(models, ruled, strict=True)
        )
        ranks = [_GROUPS.index(m.group) for m in self.models if m.group]
        if ranks != sorted(ranks):
            order = [f"{m.name}: {m.group}" for m in self.models]
            raise BadValueError("groups of the pool", order, "SLM before MLM before LLM", "Order the models so.")
        self._index = {m.name: i for i, m in enumerate(self.models)}
        self.executors: Final = tuple(dataclasses.replace(e, group=e.group or "MLM") for e in executors)
        self._executors = {e.name: e for e in self.executors}

    @classmethod
    def ordered_by_price(
        cls, models: Sequence[ModelSpec], *, name: str = "pool", grouping: Grouping = "thirds"
    ) -> "ModelPool":
        """A pool in the order of output price, then input price; unknown prices come last."""
        return cls(sorted(models, key=lambda m: _price_key(m.price)), name=name, grouping=grouping)

    @classmethod
    def from_toml(cls, path: str) -> "ModelPool":
        """Load a pool file; see :mod:`langchain_r2.pool_file` for its form."""
        from langchain_r2.pool_file import load_pool  # noqa: PLC0415 - the reader imports this module

        return load_pool(path)

    def __len__(self) -> int:
        """How many models."""
        return len(self.models)

    def __iter__(self) -> Iterator[ModelSpec]:
        """The models, weakest first."""
        return iter(self.models)

    def __contains__(self, name: object) -> bool:
        """Whether the pool has a model, or an executor, of that name."""
        return name in self._index or name in self._executors

    def __getitem__(self, name: str) -> ModelSpec:
        """The model, or the executor, of that name.

        Raises:
            UnknownModelError: There is none.
        """
        return self._executors.get(name) or self.models[self.rank(name)]

    def __repr__(self) -> str:
        """Names and groups."""
        return f"ModelPool({self.name!r}: {', '.join(f'{m.name} ({m.group})' for m in self.models)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, weakest first."""
        return tuple(self._index)

    @property
    def cheapest(self) -> ModelSpec:
        """The first model."""
        return self.models[0]

    @property
    def strongest(self) -> ModelSpec:
        """The last model."""
        return self.models[-1]

    def rank(self, name: str) -> int:
        """Place of a model in the order, 0 for the weakest.

        Raises:
            UnknownModelError: There is no model of that name.
        """
        try:
            return self._index[name]
        except KeyError:
            raise UnknownModelError(name, self.names) from None

    def up(self, name: str, needs: Set[str] = frozenset()) -> str | None:
        """The next stronger model that has some capabilities, or None at the top.

        The order runs through a group, then into the next. From an executor it leads to the middle of its group.
        """
        if name in self._executors:
            return self.fitting(self.middle(self._executors[name].group or "MLM").name, needs)
        stronger = self.models[self.rank(name) + 1 :]
        return next((model.name for model in stronger if needs <= model.capabilities), None)

    def down(self, name: str, floor: str | None = None, needs: Set[str] = frozenset()) -> str | None:
        """The next cheaper model that has some capabilities, or None at the bottom, at the floor, for an executor."""
        if name in self._executors:
            return None
        lowest = self.rank(floor) if floor is not None else 0
        cheaper = reversed(self.models[lowest : self.rank(name)])
        return next((model.name for model in cheaper if needs <= model.capabilities), None)

    def fitting(self, name: str, needs: Set[str]) -> str | None:
        """That model if it has some capabilities, else the next stronger one that does, else the next cheaper one."""
        if needs <= self[name].capabilities:
            return name
        return self.up(name, needs) or self.down(name, needs=needs)

    def group(self, group: Group) -> tuple[ModelSpec, ...]:
        """The models of a group, weakest first; may be empty."""
        return tuple(m for m in self.models if m.group == group)

    def middle(self, group: Group) -> ModelSpec:
        """The middle model of a group (METHOD: where the search starts); of the whole pool if the group is empty."""
        members = self.group(group) or self.models
        return members[len(members) // 2]

    def prices(self) -> dict[str, dict[str, Any]]:
        """Prices and groups by name, as JSON data."""
        members = (*self.models, *self.executors)
        return {m.name: {"group": m.group, **dataclasses.asdict(m.price)} for m in members}


def _thirds(count: int) -> list[Group]:
    return [_GROUPS[min(2, i * 3 // count)] for i in range(count)]


def _price_jumps(models: Sequence[ModelSpec]) -> list[Group]:
    """Cut the order at its two largest relative jumps in output price."""
    keys = [_price_key(m.price) for m in models]
    if any(k[0] in (0.0, float("inf")) for k in keys):
        raise BadValueError(
            "grouping", "price", "known prices above 0 for every model", 'Use grouping="thirds" or give groups.'
        )
    jumps = sorted(range(1, len(models)), key=lambda i: keys[i - 1][0] / keys[i][0])[:2]
    cuts = sorted(jumps)
    return [_GROUPS[min(2, sum(i >= cut for cut in cuts))] for i in range(len(models))]


def _price_key(price: Price) -> tuple[float, float]:
    unknown = float("inf")
    return (unknown if price.output is None else price.output, unknown if price.input is None else price.input)


__all__ = ["FREE", "Grouping", "ModelPool", "ModelSpec", "Price", "PromptStyle"]
