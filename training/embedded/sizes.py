"""The nine models of the arithmetic pool: sizes, token budgets, prices. Fixed before the router was trained.

Prices are those of real models of the same rank, one listing each from the table of genai-prices 0.2.3, read on
2026-11-22. Token budgets follow the size. The two smallest answer at once, the others are taught to write work out;
the smaller ones get more single steps, since whole problems are beyond them.
"""

from typing import Final, NamedTuple

from training.arithmetic_data import BOTH, STEPS_FIRST, WHOLE_PROBLEMS, Mixture

SEED: Final = 20261122
"""Of all training of embedded models."""
PRICE_SOURCE: Final = "genai-prices 0.2.3"
PRICE_DATE: Final = "2026-11-22"


class Size(NamedTuple):
    """One model."""

    name: str
    layers: int
    width: int
    heads: int
    works: bool
    """Whether it is taught to write its work out."""
    tokens: int
    """Token budget."""
    input_usd: float
    """Per million tokens."""
    output_usd: float
    real_model: str
    """The real model whose rank and price it takes, and the listing."""


POOL: Final = (
    Size("r2-nano", 2, 16, 2, False, 3_000_000, 0.02, 0.02, "llama-3.2-1b-instruct (Novita)"),
    Size("r2-micro", 2, 24, 2, False, 4_000_000, 0.03, 0.05, "llama-3.2-3b-instruct (Novita)"),
    Size("r2-tiny", 2, 32, 2, True, 8_000_000, 0.05, 0.08, "llama-3.1-8b-instruct (OpenRouter)"),
    Size("r2-mini", 2, 48, 3, True, 4_000_000, 0.05, 0.15, "gemma-3-12b-it (OpenRouter)"),
    Size("r2-small", 2, 72, 3, True, 4_000_000, 0.10, 0.22, "qwen3-14b (OpenRouter)"),
    Size("r2-medium", 2, 96, 4, True, 5_000_000, 0.14, 0.40, "qwen3-32b (OpenRouter)"),
    Size("r2-large", 3, 96, 4, True, 7_000_000, 0.36, 0.40, "qwen-2.5-72b-instruct (OpenRouter)"),
    Size("r2-xlarge", 3, 128, 4, True, 9_000_000, 0.40, 1.30, "DeepSeek-V3 (Novita, Hugging Face)"),
    Size("r2-max", 3, 160, 5, True, 17_000_000, 2.50, 10.00, "gpt-4o (OpenAI)"),
)

ROUTER: Final = Size(
    "r2-router", 2, 64, 2, False, 6_000_000, 0.0, 0.0, "billed as the pool model next larger in parameters"
)


def mixture(size: Size) -> Mixture:
    """What a model is trained on."""
    if size.width > 100:
        return WHOLE_PROBLEMS
    return BOTH if size.layers > 2 else STEPS_FIRST


def intermediate(width: int) -> int:
    """Width of the gated MLP: 8/3 of the model's, in steps of 8."""
    return round(width * 8 / 3 / 8) * 8
