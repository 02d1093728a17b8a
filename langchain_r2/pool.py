"""The pool: which models there are, in which order and groups."""

import dataclasses
from collections.abc import Iterator, Sequence, Set
from typing import Any, Final, Literal, get_args

from langchain_r2.errors import BadValueError, UnknownModelError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.types import Group

Grouping = Literal["thirds", "price"]
"""Rule for capability groups: equal thirds of the order, or the two largest relative jumps in price."""

_GROUPS: Final[tuple[Group, ...]] = get_args(Group)


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
