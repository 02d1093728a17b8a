"""Prompts for models that were fine-tuned on their step: a keyword and the content, no instruction.

The embedded pool and every router trained by ``training/`` read these; SFT data, rollouts and running share them.
"""

from collections.abc import Mapping, Sequence

from langchain_r2.prompts.base import NOTHING, Card, Prompt


def direct(query: str) -> Prompt:
    """The whole query, answer at once."""
    return Prompt(f"direct : {query}")


def cot(query: str) -> Prompt:
    """The whole query, step by step."""
    return Prompt(f"steps : {query}")


def subtask(
    text: str,
    *,
    query: str = "",
    known: Mapping[str, str] = NOTHING,
    template: str | None = None,
    inline: Mapping[str, str] = NOTHING,
) -> Prompt:
    """One subtask. ``query`` is not shown: fine-tuned decomposers write subtasks that can be done without it.

    Answers stand in the text as they did in the training: such a model does one step and follows no instructions.
    """
    del query, template, inline
    lines = [f"{id_} = {answer}" for id_, answer in known.items()]
    return Prompt("\n".join([*lines, f"solve : {text}"]))


def decompose(query: str, *, max_subtasks: int = 0, structured: bool = False) -> Prompt:
    """The query, or a subtask that is to be replanned. Bound and form were part of the training: they are not shown."""
    del max_subtasks, structured
    return Prompt(f"plan : {query}")


def allocate(query: str, plan: str, *, cards: Sequence[Card], structured: bool = False) -> Prompt:
    """Query, plan, and every model's alias with its rank."""
    del structured
    pool = " ".join(f"{card.alias} {card.rank}" for card in cards)
    return Prompt(f"pool : {pool}\nroute : {query}\n{plan}")


def aggregate(query: str, answers: Mapping[str, str]) -> Prompt:
    """The query and the answers."""
    lines = [f"{id_} = {answer}" for id_, answer in answers.items()]
    return Prompt("\n".join([*lines, f"join : {query}"]))


def in_conversation(prompt: Prompt, *, digest: str, system: str = "") -> Prompt:
    """The prompt as it is: such a model does its one step and reads neither instructions nor history."""
    del digest, system
    return prompt
