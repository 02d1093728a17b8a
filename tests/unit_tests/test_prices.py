"""List prices come from the table or not at all; never a silent 0, never less than what may be billed."""

import datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from langchain_r2.pool_file import resolve_pool
from langchain_r2.prices import known_price, table_date

TODAY = datetime.datetime.now(datetime.UTC).date()


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts prices of a made-up model into a made-up table."""

    def put(prices: Any) -> None:
        info = ModelInfo(id="x-1", match=ClauseEquals(equals="x-1"), prices=prices)
        seller = Provider(id="shop", name="Shop", api_pattern=r"https://shop\.example", models=[info])
        made = data_snapshot.DataSnapshot(providers=[seller], from_auto_update=False)
        monkeypatch.setattr(data_snapshot, "_custom_snapshot", made)

    return put


def flat(usd_in: str, usd_out: str, **more: Any) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(usd_in), output_mtok=Decimal(usd_out), **more)


def since(day: datetime.date, price: ModelPrice) -> ConditionalPrice:
    return ConditionalPrice(constraint=StartDateConstraint(start_date=day), prices=price)


def test_a_known_model_has_its_price_with_source_and_date() -> None:
    price = known_price("openai:gpt-4o")
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (2.5, 10.0, 1.25)
    assert price.source.startswith("genai-prices 0.")
    assert price.source.endswith(": gpt-4o (OpenAI)")
    assert price.date == table_date().isoformat() <= TODAY.isoformat()


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("openai:no-such-model", None),
        ("ollama:llama3", None),
        ("gpt-4o", None),
        ("gpt-4o", "http://localhost:8000/v1"),
        ("openai:gpt-4o", "https://openrouter.ai/api/v1"),
        ("openrouter:qwen/qwen-2.5-7b-instruct:free", None),
    ],
    ids=["model", "provider", "no-provider", "own-server", "name-elsewhere", "no-numbers"],
)
def test_what_the_table_does_not_know_has_no_price(model: str, base_url: str | None) -> None:
    assert known_price(model, base_url=base_url) is None


@pytest.mark.parametrize("price", [ModelPrice(input_mtok=Decimal(1)), ModelPrice(), flat("0", "0"), flat("1", "0")])
def test_half_a_price_or_nothing_is_none(table: Any, price: ModelPrice) -> None:
    table([since(TODAY, price)])
    assert known_price("shop:x-1") is None


def test_the_price_in_force_is_taken_and_dates_the_table(table: Any) -> None:
    yesterday, tomorrow = TODAY - datetime.timedelta(1), TODAY + datetime.timedelta(1)
    table([since(datetime.date(2020, 1, 1), flat("1", "2")), since(yesterday, flat("3", "4")),
           since(tomorrow, flat("5", "6"))])  # fmt: skip
    price = known_price("x-1", base_url="https://shop.example/v1")
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (3.0, 4.0, None)
    assert price.date == yesterday.isoformat()


def test_of_prices_by_the_hour_the_highest_is_taken(table: Any) -> None:
    night = TimeOfDateConstraint(start_time=datetime.time(1), end_time=datetime.time(2))
    cheap = ConditionalPrice(constraint=night, prices=flat("1", "1"))
    table([since(datetime.date(2020, 1, 1), flat("2", "4")), cheap])
    price = known_price("shop:x-1")
    assert price is not None
    assert (price.input, price.output) == (2.0, 4.0)


@pytest.mark.parametrize(("context_tokens", "usd"), [(1000, 1.0), (200_000, 1.0), (200_001, 3.0)])
def test_of_prices_by_length_the_highest_that_can_be_reached(table: Any, context_tokens: int, usd: float) -> None:
    tiers = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(3))])
    table([since(TODAY, ModelPrice(input_mtok=tiers, output_mtok=Decimal(2)))])
    price = known_price("shop:x-1", context_tokens=context_tokens)
    assert price is not None
    assert price.input == usd


def test_the_prices_of_the_papers_pool_are_those_of_the_table() -> None:
    """Fails when the table moves on: then write its prices, version and date into the file."""
    stated = [spec for spec in resolve_pool("paper") if spec.price.input is not None]
    assert len(stated) == 4
    for spec in stated:
        listed = known_price(str(spec.model), base_url=spec.base_url, context_tokens=spec.context_tokens)
        assert listed == spec.price
