"""Loads what is shipped: the pool with its prices, the router with its calibrations."""

from pathlib import Path
from typing import Any, Final

from typing_extensions import TypedDict

from langchain_r2.confidence import Calibration, Confidence
from langchain_r2.embedded.chat import EmbeddedChatModel, read_json
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, Decomposer
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.transport import Transport

HOME: Final = Path(__file__).parent / "models"
"""``pool.json``, ``router.json``, ``tokenizer/``, a folder per model; ``router/``: base and adapter per role."""


class EmbeddedRouter(TypedDict):
    """Arguments of ``create_r2_graph``: ``create_r2_graph(**embedded_router())``."""

    pool: ModelPool
    decomposer: Decomposer
    allocator: Allocator
    confidence: Confidence
    transport: Transport


def embedded_pool(home: Path = HOME) -> ModelPool:
    """The nine embedded models, weakest first. Weights are loaded when a model is first called."""
    return ModelPool([_spec(home, row) for row in read_json(home / "pool.json")], name="embedded")


def embedded_router(
    home: Path = HOME, *, pool: ModelPool | None = None, transport: Transport | None = None
) -> EmbeddedRouter:
    """The embedded pool with its trained decomposer and allocator, their thresholds and calibrations.

    Args:
        home: Folder of the models; another one for models trained with other settings.
        pool: In place of the embedded pool, a pool of as many models in the same order.
        transport: Where calls go; None makes one.
    """
    pool = pool or embedded_pool(home)
    settings = read_json(home / "router.json")
    transport = transport or Transport()
    return EmbeddedRouter(
        pool=pool,
        decomposer=PromptedDecomposer(
            router_spec(home, "decomposer", settings),
            calibration=_calibration(settings["decomposer_calibration"]),
            min_confidence=settings["plan_threshold"],
            transport=transport,
        ),
        allocator=PromptedAllocator(
            router_spec(home, "allocator", settings),
            pool,
            coverage=settings["coverage"],
            max_samples=1,  # what was trained and measured
            shuffle_aliases=False,  # as it was trained; training/embedded/router.py says why
            transport=transport,
        ),
        confidence=Confidence(
            calibrations={name: _calibration(row) for name, row in settings["calibrations"].items()},
            threshold=settings["threshold"],
        ),
        transport=transport,
    )


def router_spec(home: Path, role: str, settings: dict[str, Any]) -> ModelSpec:
    """The router's model in one of its roles, at the price of the pool model next larger in parameters."""
    model = EmbeddedChatModel(
        folder=home / "router" / f"{role}_base",
        adapter=home / "router" / role,
        tokenizer_file=home / "tokenizer" / "tokenizer.json",
        model_name=f"r2-router-{role}",
        max_tokens=settings["max_output_tokens"],
    )
    return ModelSpec(
        name=f"r2-router-{role}",
        model=model,
        price=Price(**settings["price"]),
        parameters=settings["parameters"],
        context_tokens=settings["context_tokens"],
        max_output_tokens=settings["max_output_tokens"],
        capabilities=frozenset({"logprobs"}),
        prompt_style="bare",
    )


def _spec(home: Path, row: dict[str, Any]) -> ModelSpec:
    model = EmbeddedChatModel(
        folder=home / row["name"],
        tokenizer_file=home / "tokenizer" / "tokenizer.json",
        model_name=row["name"],
        max_tokens=row["max_output_tokens"],
    )
    return ModelSpec(
        name=row["name"],
        model=model,
        price=Price(**row["price"]),
        parameters=row["parameters"],
        context_tokens=row["context_tokens"],
        max_output_tokens=row["max_output_tokens"],
        skills=row["skills"],
        capabilities=frozenset({"logprobs"}),
        prompt_style="bare",
    )


def _calibration(row: dict[str, Any]) -> Calibration:
    return Calibration(**row)
