"""Loads what is shipped: the pool with its prices, the router with its calibrations."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from typing_extensions import TypedDict

from langchain_r2.confidence import Calibration, Confidence
from langchain_r2.embedded.chat import EmbeddedChatModel, read_json
from langchain_r2.errors import BadValueError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import Allocator, Decomposer
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.transport import Transport
from langchain_r2.types import AggregationMode

HOME: Final = Path(__file__).parent / "models"
"""``pool.json``, ``router.json``, ``tokenizer/``, a folder per model; ``router/``: base and adapter per role."""
ARITHMETIC: Final = "arithmetic"
"""The domain whose models are meant where none is named."""
DOMAINS: Final[Mapping[str, Path]] = MappingProxyType({ARITHMETIC: HOME, "scan": Path(__file__).parent / "models_scan"})
"""Where the models of each domain are."""


class EmbeddedRouter(TypedDict):
    """Arguments of ``create_r2_graph``: ``create_r2_graph(**embedded_router())``."""

    pool: ModelPool
    decomposer: Decomposer
    allocator: Allocator
    confidence: Confidence
    transport: Transport
    aggregation: AggregationMode


def home_of(models: str | Path) -> Path:
    """The folder of a domain's models; a folder is itself.

    Raises:
        BadValueError: There is no such domain.
    """
    if isinstance(models, Path):
        return models
    if models not in DOMAINS:
        raise BadValueError("domain", models, tuple(DOMAINS), "Models of your own are named by their folder, a Path.")
    return DOMAINS[models]


def embedded_pool(models: str | Path = ARITHMETIC) -> ModelPool:
    """The nine embedded models of a domain, weakest first. Weights are loaded when a model is first called.

    Args:
        models: A domain, see :data:`DOMAINS`, or the folder of models trained with other settings.

    Raises:
        BadValueError: There is no such domain.
    """
    home = home_of(models)
    name = next((_pool_name(domain) for domain, own in DOMAINS.items() if own == home), "embedded")
    return ModelPool([_spec(home, row) for row in read_json(home / "pool.json")], name=name)


def _pool_name(domain: str) -> str:
    return "embedded" if domain == ARITHMETIC else f"embedded-{domain}"


def embedded_router(
    models: str | Path = ARITHMETIC, *, pool: ModelPool | None = None, transport: Transport | None = None
) -> EmbeddedRouter:
    """The embedded pool with its trained decomposer and allocator, their thresholds and calibrations.

    Args:
        models: A domain, see :data:`DOMAINS`, or the folder of models trained with other settings.
        pool: In place of the embedded pool, a pool of as many models in the same order.
        transport: Where calls go; None makes one.

    Raises:
        BadValueError: There is no such domain.
    """
    home = home_of(models)
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
            undivided=_named(settings.get("undivided"), pool, home),
            max_samples=1,  # what was trained and measured
            shuffle_aliases=False,  # as it was trained; training/embedded/router.py says why
            transport=transport,
        ),
        confidence=Confidence(
            calibrations={name: _calibration(row) for name, row in settings["calibrations"].items()},
            threshold=settings["threshold"],
        ),
        transport=transport,
        aggregation=settings.get("aggregation", "last"),
    )


def router_spec(home: Path, role: str, settings: dict[str, Any], adapter: Path | None = None) -> ModelSpec:
    """The router's model in one of its roles, at the price of the next larger pool model; ``adapter``: not its own."""
    model = EmbeddedChatModel(
        folder=home / "router" / f"{role}_base",
        adapter=adapter or home / "router" / role,
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


def _named(model: str | None, pool: ModelPool, home: Path) -> str | None:
    """A model of the embedded pool by the name that it has in a pool given in its place."""
    if model is None or model in pool:
        return model
    return pool.names[[row["name"] for row in read_json(home / "pool.json")].index(model)]


def _calibration(row: dict[str, Any]) -> Calibration:
    return Calibration(**row)
