"""What a call may need: the bound that a budget reserves, and what it is expected to cost."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_core.language_models import BaseChatModel

from langchain_r2.model_spec import ModelSpec
from langchain_r2.prompts import Prompt
from langchain_r2.types import ChatTurn

_TOKENS_PER_MESSAGE: Final = 16
"""Bound on what a chat template adds to a message."""
_TOKENS_PER_MEDIUM: Final = 16_384
"""Bound on what a picture, or a file, of a conversation is billed as."""


def reply_limit(model: BaseChatModel, tokens: int) -> dict[str, Any]:
    """The option that bounds a reply's length, by the name that the model's class has for it; none if it has none."""
    names = [n for n in ("max_tokens", "max_output_tokens", "num_predict") if n in type(model).model_fields]
    return {names[0]: tokens} if names else {}


class Bounds(NamedTuple):
    """The most that a call reads and writes, in tokens."""

    input_tokens: int
    output_tokens: int


def bounds(
    spec: ModelSpec, prompt: Prompt, schema: Mapping[str, Any] | None = None, turn: ChatTurn | None = None
) -> Bounds:
    """What a call may read and write: the reply is as long as allowed."""
    return Bounds(worst_input_tokens(prompt, schema, turn), longest_reply(spec, turn))


def longest_reply(spec: ModelSpec, turn: ChatTurn | None = None) -> int:
    """How many tokens a reply may have: what the turn allows, but never more than the model's bound."""
    asked = turn["options"].get("max_tokens") if turn else None
    return min(spec.max_output_tokens, asked) if isinstance(asked, int) else spec.max_output_tokens


def worst_usd(spec: ModelSpec, prompt: Prompt, schema: Mapping[str, Any] | None = None) -> float | None:
    """What a call costs at most; None where its price is unknown."""
    return spec.price.cost_usd(*bounds(spec, prompt, schema))


def worst_input_tokens(prompt: Prompt, schema: Mapping[str, Any] | None = None, turn: ChatTurn | None = None) -> int:
    """How many tokens a call reads at most: a token is at least one byte, a picture at most a bound of our own."""
    shown = [json.dumps(schema) if schema else ""]  # a schema is billed as input, tools are too
    if turn is not None:
        shown += [json.dumps(part, ensure_ascii=False, default=str) for part in (turn["tools"], turn["output"]) if part]
    if prompt.chat:
        shown += [json.dumps(message, ensure_ascii=False, default=str) for message in prompt.chat]
    else:
        shown += [prompt.user, prompt.system or ""]
    framing = max(2, len(prompt.chat)) * _TOKENS_PER_MESSAGE + _media(prompt) * _TOKENS_PER_MEDIUM
    return len("".join(shown).encode(errors="surrogatepass")) + framing


def _media(prompt: Prompt) -> int:
    """How many pictures and other media a conversation has; an address is short, what is behind it is not."""
    contents = [message.get("data", {}).get("content") for message in prompt.chat]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return sum(isinstance(block, Mapping) and block.get("type") != "text" for block in blocks)


def expected_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float:
    """What a call of that size would cost on a model, for comparing models; an unknown price counts as endless."""
    cost = spec.price.cost_usd(input_tokens, output_tokens)
    return float("inf") if cost is None else cost
