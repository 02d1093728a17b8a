"""What a call may need: the bound that a budget reserves, and what it is expected to cost."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_core.language_models import BaseChatModel

from langchain_r2.pool import ModelSpec
from langchain_r2.prompts import Prompt

_TOKENS_PER_MESSAGE: Final = 16
"""Bound on what a chat template adds to a message."""


def reply_limit(model: BaseChatModel, tokens: int) -> dict[str, Any]:
    """The option that bounds a reply's length, by the name that the model's class has for it; none if it has none."""
    names = [n for n in ("max_tokens", "max_output_tokens", "num_predict") if n in type(model).model_fields]
    return {names[0]: tokens} if names else {}


class Bounds(NamedTuple):
    """The most that a call reads and writes, in tokens."""

    input_tokens: int
    output_tokens: int


def bounds(spec: ModelSpec, prompt: Prompt, schema: Mapping[str, Any] | None = None) -> Bounds:
    """What a call may read and write: the reply is as long as allowed."""
    return Bounds(worst_input_tokens(prompt, schema), spec.max_output_tokens)


def worst_usd(spec: ModelSpec, prompt: Prompt, schema: Mapping[str, Any] | None = None) -> float | None:
    """What a call costs at most; None where its price is unknown."""
    return spec.price.cost_usd(*bounds(spec, prompt, schema))


def worst_input_tokens(prompt: Prompt, schema: Mapping[str, Any] | None = None) -> int:
    """How many tokens a call reads at most: a token is at least one byte."""
    shown = prompt.user + (prompt.system or "") + (json.dumps(schema) if schema else "")  # a schema is billed as input
    return len(shown.encode(errors="surrogatepass")) + 2 * _TOKENS_PER_MESSAGE


def expected_usd(spec: ModelSpec, input_tokens: int, output_tokens: int) -> float:
    """What a call of that size would cost on a model, for comparing models; an unknown price counts as endless."""
    cost = spec.price.cost_usd(input_tokens, output_tokens)
    return float("inf") if cost is None else cost
