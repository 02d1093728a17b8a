"""Looks prices up in the table of genai-prices: offline, with the date up to which the table knows of changes."""

import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from langchain_r2.model_spec import Price

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo

_PROVIDERS: Final = {"azure_openai": "azure", "mistralai": "mistral", "xai": "x-ai"}
"""Where ``init_chat_model`` names a provider otherwise than the table does."""


def known_price(model: str, *, base_url: str | None = None, context_tokens: int = 8192) -> Price | None:
    """The list price of a model, or None where the table does not know it, or not both of its prices.

    A price that depends on the hour is the highest of the day, one that depends on the prompt's length the highest up
    to ``context_tokens``: a budget that is kept with it is kept.

    Args:
        model: ``"provider:model"``; with ``base_url`` the model's name there.
        base_url: Address of an OpenAI-compatible server; one that is no known provider's has no list price.
        context_tokens: The longest prompt that will be sent.
    """
    import genai_prices  # noqa: PLC0415 - a table of half a second, needed only where a price is missing
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    provider, _, name = ("", "", model) if base_url else model.partition(":")
    found = (None, base_url) if base_url else (_PROVIDERS.get(provider, provider), None)
    try:
        seller, info = get_snapshot().find_provider_model(name, None, *found)
    except LookupError:
        return None
    usd = {key: _highest(info, f"{key}_mtok", context_tokens) for key in ("input", "output", "cache_read")}
    if usd["input"] is None or usd["output"] is None:
        return None
    return Price(
        input=usd["input"],
        output=usd["output"],
        cached_input=usd["cache_read"],
        source=f"genai-prices {genai_prices.__version__}: {info.id} ({seller.name})",
        date=table_date().isoformat(),
    )


def table_date() -> datetime.date:
    """The day of the table's latest change of a price that is in force: prices are at least of that day."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
    from genai_prices.types import StartDateConstraint  # noqa: PLC0415

    today = datetime.datetime.now(datetime.UTC).date()
    models = [info for provider in get_snapshot().providers for info in provider.models]
    rows = [row.constraint for info in models if isinstance(info.prices, list) for row in info.prices]
    return max(c.start_date for c in rows if isinstance(c, StartDateConstraint) and c.start_date <= today)


def _highest(info: "ModelInfo", key: str, context_tokens: int) -> float | None:
    """The highest price of today, in USD per million tokens; None where an hour has none, or it is stated as 0."""
    midnight = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [midnight + datetime.timedelta(minutes=30 * i) for i in range(48)]
    prices: list[Any] = [getattr(info.get_prices(hour), key) for hour in hours]
    if any(price is None for price in prices):
        return None
    highest = max(_up_to(price, context_tokens) for price in prices)
    return float(highest) or None  # a 0 is to be stated by the user, never read from a table


def _up_to(price: Any, context_tokens: int) -> Decimal:  # noqa: ANN401 - a number, or tiers by the prompt's length
    if isinstance(price, Decimal):
        return price
    tiers: list[Decimal] = [price.base, *(tier.price for tier in price.tiers if tier.start < context_tokens)]
    return max(tiers)
