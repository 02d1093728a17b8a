"""What a ``ChatR2`` is made of: its fields, the graph that they make, and the turn that a call asks for."""

import os
import threading
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langgraph.store.base import BaseStore
from pydantic import ConfigDict, Field, PrivateAttr

from langchain_r2.chat_model.run import chat_turn
from langchain_r2.chat_model.tracing import TracedChatModel
from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.graph import create_r2_graph
from langchain_r2.pool import ModelPool
from langchain_r2.transport import Transport
from langchain_r2.turns import needs_of
from langchain_r2.types import AggregationMode, ChatTurn, OutputForm

ROUTED = "r2"
"""The model name that stands for the router, in place of a pool model's."""


class ChatR2Settings(TracedChatModel):
    """Fields of ``ChatR2``."""

    pool: Any = Field(default_factory=lambda: os.environ.get("R2_POOL"))
    """A :class:`ModelPool`, or the path of a pool file; without one, the path in the variable ``R2_POOL``."""
    decomposer: Any = None
    """This and the next three: as in ``create_r2_graph``, so that ``ChatR2(**embedded_router())`` works."""
    allocator: Any = None
    confidence: Any = None
    transport: Any = None
    aggregation: AggregationMode = "last"
    aggregator: str | None = None
    floor: str | None = None
    store: BaseStore | None = None
    """Keeps how models did on each kind of subtask, from turn to turn."""

    model_name: str = Field(default=ROUTED, alias="model")
    """``r2``, or the pool model that every turn goes to; a call's own ``model=`` goes before it."""
    temperature: float | None = None
    """Of the call that answers; None leaves it to the pool model."""
    max_tokens: int | None = None
    """Longest reply of the call that answers; never more than the pool model's own bound."""
    stop: list[str] | None = None
    deadline_s: float | None = Field(default=None, alias="timeout")
    """Seconds that one call of a pool model may take, its retries included."""
    streaming: bool = False
    """Whether ``invoke`` streams inside, as LangChain's callbacks of tokens then see it."""
    max_retries: int | None = None
    """How often a call that failed for a passing reason is sent again; None: as the transport does by itself."""

    budget_usd: float | None = None
    """Hard limit of what one turn may cost."""
    max_attempts: int = 4
    max_replans: int = 1
    reallocate_upward: bool = True
    reallocate_downward: bool = True
    threshold: float | None = None
    decompose_with_tools: bool = False
    """Whether turns with tools or structured output are decomposed: their parts get no tools, the last call does."""
    stream_first: bool = False
    history_chars: int = 2000
    """Bound of the digest."""

    model_config = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True)
    _pool: ModelPool = PrivateAttr()
    _graph: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def __init__(self, **fields: Any) -> None:
        """Make a chat model.

        Args:
            fields: Those of the class; ``api_key`` is taken from callers that give every model one, and not kept: the
                pool's models have their own.

        Raises:
            BadValueError: A name that is no field, no pool, or a value that is not allowed.
            UnknownModelError: The pool has no model of that name.
            PoolFileError: The pool file cannot be read.
        """
        fields.pop("api_key", None)
        known = {name for field, info in type(self).model_fields.items() for name in (field, info.alias) if name}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise BadValueError("arguments of ChatR2", unknown, "its fields", "Limits of a run are fields of it, too.")
        super().__init__(**fields)
        given = self.pool
        if not isinstance(given, (str, os.PathLike, ModelPool)):
            hint = "Give pool=..., or set the environment variable R2_POOL."
            raise BadValueError("pool", given, "a ModelPool or the path of a pool file", hint)
        self._pool = given if isinstance(given, ModelPool) else ModelPool.from_toml(os.fspath(given))
        self._pinned(self.model_name)
        self._limits(None)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain can write it as data: with a pool file it can; a pool of objects is left as a note."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Where LangChain finds the class."""
        return ["langchain_r2", "chat_model"]

    @property
    def _llm_type(self) -> str:
        return "langchain-r2"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What tells it from others, without keys: settings, and the pool's models by name, class and price."""
        objects = ("pool", "decomposer", "allocator", "confidence", "transport", "store")
        own = type(self).model_fields.keys() - BaseChatModel.model_fields.keys()
        settings = {name: getattr(self, name) for name in sorted(own)}
        parts = {name: repr(settings.pop(name)) for name in objects}
        models = [f"{m!r} {m.price!r} {m.base_url}" for m in self._pool]
        return {**settings, **parts, "models": models}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The key in LangChain's cache; core would leave the pool out of it, and mix two pools' answers up."""
        return str(sorted({**self._identifying_params, **kwargs, "stop": stop}.items(), key=lambda item: item[0]))

    @property
    def graph(self) -> Any:  # noqa: ANN401 - a compiled graph
        """The router graph; its calls are what a turn costs. It keeps no checkpoints: the app has the conversation."""
        with self._lock:
            if self._graph is None:
                tries = None if self.max_retries is None else Transport(max_tries=self.max_retries + 1)
                self._graph = create_r2_graph(
                    self._pool,
                    decomposer=self.decomposer,
                    allocator=self.allocator,
                    confidence=self.confidence,
                    transport=self.transport or tries,
                    aggregation=self.aggregation,
                    aggregator=self.aggregator,
                    floor=self.floor,
                    store=self.store,
                    checkpointer=False,
                )
            return self._graph

    def _turn(
        self,
        messages: Sequence[BaseMessage],
        options: dict[str, Any],
        *,
        output: OutputForm | None = None,
        streams: bool = False,
    ) -> ChatTurn:
        """The turn that a call asks for: its own options go before the fields."""
        own = {"stop": self.stop or None, "temperature": self.temperature, "max_tokens": self.max_tokens}
        asked = {**own, **{name: value for name, value in options.items() if value is not None}}
        turn = chat_turn(
            messages,
            asked,
            model=self._pinned(asked.pop("model", self.model_name)),
            output=output,
            decomposes_all=self.decompose_with_tools,
            history_chars=self.history_chars,
        )
        if turn["model"] is not None and not needs_of(turn) <= self._pool[turn["model"]].capabilities:
            self._refuse(sorted(needs_of(turn)), f"those of the chosen model {turn['model']!r}")
        if streams:
            turn["stream"] = "first" if self.stream_first else "final"
        return turn

    def _limits(self, turn: ChatTurn | None) -> R2Context:
        """What a turn may do; one that is given to a model as it is, is not decomposed later either."""
        chosen = turn is not None and turn["model"] is not None
        return R2Context(
            budget_usd=self.budget_usd,
            deadline_s=self.deadline_s,
            max_attempts=self.max_attempts,
            max_replans=0 if turn is not None and turn["whole"] else self.max_replans,
            reallocate_upward=self.reallocate_upward and not chosen,
            reallocate_downward=self.reallocate_downward and not chosen,
            threshold=self.threshold,
        )

    def _pinned(self, name: str) -> str | None:
        """The pool model of that name; None for the router's own.

        Raises:
            UnknownModelError: The pool has no such model.
        """
        return None if name == ROUTED else self._pool[name].name

    @staticmethod
    def _shown(turn: ChatTurn) -> str:
        return turn["model"] or ROUTED

    def _require(self, capability: str) -> None:
        if not any(capability in model.capabilities for model in self._pool):
            self._refuse([capability], "those of a model of the pool")

    @staticmethod
    def _refuse(capabilities: list[str], allowed: str) -> None:
        hint = "Add them to the `capabilities` of the models that have them (`langchain-r2 pool check` tries)."
        raise BadValueError("capabilities that the call needs", capabilities, allowed, hint)
