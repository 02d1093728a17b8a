"""Prompts for tools and retrievers: the subtask's text alone, with the answers that it refers to put in."""

from collections.abc import Mapping

from langchain_r2.prompts.base import NOTHING, Prompt
from langchain_r2.prompts.instruct import aggregate, allocate, decompose

__all__ = ["aggregate", "allocate", "cot", "decompose", "direct", "in_conversation", "subtask"]


def direct(query: str) -> Prompt:
    """The whole query."""
    return Prompt(query)


def cot(query: str) -> Prompt:
    """The whole query: a tool does not think."""
    return Prompt(query)


def subtask(
    text: str,
    *,
    query: str = "",
    known: Mapping[str, str] = NOTHING,
    template: str | None = None,
    inline: Mapping[str, str] = NOTHING,
) -> Prompt:
    """The subtask as it is."""
    del query, known, template, inline
    return Prompt(text)


def in_conversation(prompt: Prompt, *, digest: str, system: str = "") -> Prompt:
    """The same: a tool does not know of a conversation."""
    del digest, system
    return prompt
