"""What a domain of embedded models is: everything that their training needs to know of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from tokenizers import Tokenizer

from langchain_r2.types import AggregationMode
from training.embedded.sizes import Size
from training.example import Example

Split = Literal["train", "validation"]
"""What training may see."""


class Step(NamedTuple):
    """One subtask of a problem's right plan."""

    text: str
    """As in the plan, with ``#1`` for the answer of the first step."""
    resolved: str
    """With answers put in: what an executor is asked."""
    answer: str


class Task(NamedTuple):
    """One problem with its right answer and its right plan."""

    query: str
    answer: str
    steps: tuple[Step, ...]


class Subtask(NamedTuple):
    """Something that executors are asked, to measure them by."""

    answer: str
    kind: str
    """What figures of a model are given by."""


class Router(NamedTuple):
    """The models of the router, and how they are fitted."""

    size: Size
    adapter_tokens: int
    rank: int
    """Of the adapter."""
    batch_tokens: int = 4096
    adapter_lr: float = 2e-3


class Domain(ABC):
    """A domain; one module of this package each."""

    name: ClassVar[str]
    home: ClassVar[Path]
    """Where its models are shipped."""
    pool: ClassVar[Sequence[Size]]
    router: ClassVar[Router]
    lanes: ClassVar[Sequence[Sequence[str]]]
    """Parts of the training that run at once, each lane in its order."""
    last: ClassVar[Sequence[str]]
    """Parts that need all others."""
    training: ClassVar[str]
    """What its models are trained on, for their cards."""
    measured: ClassVar[str]
    """What :meth:`subtasks` are, for their cards."""
    aggregation: ClassVar[AggregationMode] = "last"
    supervised: ClassVar[Path | None] = None
    """Where the router's adapters are kept too, if it is reinforced afterwards."""
    batch_tokens: ClassVar[int] = 4096
    """Of the fit of pool models."""
    tried: ClassVar[Mapping[str, Sequence[Any]]]
    """Settings of the router, and the values that are tried for each on validation problems."""
    choice_problems: ClassVar[int] = 150
    """Validation problems that they are tried on."""

    def muon_lr(self, size: Size) -> float:
        """Learning rate of a pool model's hidden matrices."""
        del size
        return 5e-3

    @abstractmethod
    def tokenizer(self) -> Tokenizer:
        """A tokenizer with the words of the domain."""

    @abstractmethod
    def pool_texts(self, size: Size) -> Iterator[Example]:
        """Training texts of a pool model, without end."""

    @abstractmethod
    def base_texts(self, home: Path) -> Iterator[Example]:
        """Training texts of the decomposer's base, without end; ``home`` is the folder of the models."""

    @abstractmethod
    def plan_texts(self, home: Path) -> Iterator[Example]:
        """Training texts of the decomposer's adapter, without end."""

    @abstractmethod
    def tasks(self, split: Split, count: int, shard: str, home: Path) -> list[Task]:
        """Problems of a split; ``shard`` names what they are for."""

    @abstractmethod
    def subtasks(self, count: int) -> dict[str, Subtask]:
        """What executors are measured on, by their text, of so many validation problems."""

    @abstractmethod
    def grade(self, prediction: str, answer: str) -> bool:
        """Whether an answer is right."""

    @abstractmethod
    def is_right_plan(self, reply: str, task: Task) -> bool:
        """Whether what the decomposer wrote is a right plan."""

    def prepare(self, part: str, home: Path, tokenizer: Tokenizer) -> None:
        """Do a part that only this domain has.

        Raises:
            KeyError: It has no such part.
        """
        del home, tokenizer
        raise KeyError(part)
