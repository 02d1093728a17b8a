"""What a prompt is, and what every set of prompts has."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, messages_from_dict

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Prompt(NamedTuple):
    """One request to a chat model."""

    user: str
    system: str | None = None
    chat: tuple[Mapping[str, Any], ...] = ()
    """A conversation, as data, that is shown as it is instead; ``user`` then says what it asks."""

    def messages(self) -> list[BaseMessage]:
        """As LangChain messages."""
        if self.chat:
            return messages_from_dict([dict(message) for message in self.chat])
        human = HumanMessage(self.user)
        return [SystemMessage(self.system), human] if self.system else [human]


class Card(NamedTuple):
    """What an allocator may know of a pool model."""

    alias: str
    """The name that the allocator uses; drawn anew for every pool so that it learns from descriptions, not names."""
    rank: int
    """Place in the pool's order, 1 for the weakest."""
    group: str
    price: str
    """USD per million tokens, input/output."""
    skills: str


class Prompts(Protocol):
    """One template per step; a module of this package each."""

    @abstractmethod
    def direct(self, query: str) -> Prompt:
        """The whole query, answer at once."""

    @abstractmethod
    def cot(self, query: str) -> Prompt:
        """The whole query, step by step."""

    @abstractmethod
    def subtask(
        self,
        text: str,
        *,
        query: str,
        known: Mapping[str, str],
        template: str | None = None,
        inline: Mapping[str, str] = NOTHING,
    ) -> Prompt:
        """One subtask, with the answers that it needs.

        Args:
            text: The subtask, with the answers that it refers to put in.
            query: The larger task.
            known: Answers that it needs but does not refer to.
            template: The text with its references; None where nothing that a model wrote is in ``text``.
            inline: What the template refers to: it is shown as data.
        """

    @abstractmethod
    def decompose(self, query: str, *, max_subtasks: int, structured: bool = False) -> Prompt:
        """The query, or a subtask that is to be replanned; the plan as lines, or structured as JSON."""

    @abstractmethod
    def allocate(self, query: str, plan: str, *, cards: Sequence[Card], structured: bool = False) -> Prompt:
        """A plan whose subtasks are to be given to models; the allocation as lines, or structured as JSON."""

    @abstractmethod
    def aggregate(self, query: str, answers: Mapping[str, str]) -> Prompt:
        """The answers of the subtasks, from which the final answer is to be written."""

    @abstractmethod
    def in_conversation(self, prompt: Prompt, *, digest: str, system: str = "") -> Prompt:
        """A prompt of another step for a query that is a turn of a conversation.

        Args:
            prompt: The step's own.
            digest: What was said before, empty where nothing was.
            system: The conversation's system prompts, for a step whose text the user reads.
        """


def plan_lines(texts: Sequence[str]) -> str:
    """A plan as text: one numbered line per subtask. What decomposers write and allocators read."""
    return "\n".join(f"{i} : {text}" for i, text in enumerate(texts, 1))
