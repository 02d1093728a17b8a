"""The models of the two roles as pool models: what runs a role while it is frozen, and at what price."""

from pathlib import Path

from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.chat import EmbeddedChatModel, read_json
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.pool_file import EMBEDDED
from training.run_settings import RunSettings
from training.sft_data import Role


def role_spec(name: Role, settings: RunSettings, pool: ModelPool, trained: Path | None) -> ModelSpec:
    """A role's model.

    Args:
        name: The role.
        settings: Of the run.
        pool: Whose cheapest model's price it takes where none is stated.
        trained: Its adapter, in place of the one that it started from.
    """
    role, limits, price = settings.role(name), settings.pool, router_price(settings, pool)
    adapter = str(trained) if trained else role.adapter
    called = f"r2-router-{name}"
    if role.engine == "embedded":
        model = EmbeddedChatModel(
            folder=Path(role.base),
            adapter=Path(adapter) if adapter else None,
            tokenizer_file=Path(role.tokenizer or role.base) / "tokenizer.json",
            model_name=called,
            max_tokens=limits.max_output_tokens,
        )
        return ModelSpec(
            name=called,
            model=model,
            price=price,
            context_tokens=1024,
            max_output_tokens=limits.max_output_tokens,
            capabilities=frozenset({"logprobs"}),
            prompt_style="bare",
        )
    from langchain_r2.routers.local import local_spec

    return local_spec(
        called,
        role.base,
        price=price,
        adapter=adapter,
        tokenizer_path=role.tokenizer,
        max_output_tokens=limits.max_output_tokens,
        prompt_style=role.prompt_style,
    )


def router_price(settings: RunSettings, pool: ModelPool) -> Price:
    """What the router is billed at: as stated, as shipped, or as the pool's cheapest model."""
    stated = settings.pool
    if stated.price_input is not None and stated.price_output is not None:
        return Price(input=stated.price_input, output=stated.price_output)
    if stated.source == EMBEDDED:
        return Price(**read_json(HOME / "router.json")["price"])
    return pool.cheapest.price
