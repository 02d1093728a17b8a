"""Pools, prices and how chat models are made."""

import math
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from langchain_r2 import FREE, ModelPool, ModelSpec, Price
from langchain_r2.errors import BadValueError, MissingExtraError, UnknownModelError
from langchain_r2.testing import ScriptedChatModel, scripted_pool
from langchain_r2.types import Group

ONE = Price(input=1.0, output=1.0)
UNKNOWN = Price(input=None, output=None)


def spec(name: str = "m", **fields: Any) -> ModelSpec:
    return ModelSpec(**{"name": name, "model": ScriptedChatModel(script=["x"]), "price": ONE, **fields})


def groups(pool: ModelPool) -> str:
    return " ".join(f"{m.group}" for m in pool)


def test_models_stay_in_the_given_order() -> None:
    pool = ModelPool([spec("c"), spec("a"), spec("b")])
    assert pool.names == ("c", "a", "b")
    assert [m.name for m in pool] == ["c", "a", "b"]
    assert (pool.cheapest.name, pool.strongest.name, len(pool)) == ("c", "b", 3)
    assert [pool.rank(n) for n in pool.names] == [0, 1, 2]


def test_ordered_by_price_sorts_and_puts_unknown_prices_last() -> None:
    prices = {
        "dear": Price(input=1, output=9),
        "odd": UNKNOWN,
        "b": Price(input=2, output=3),
        "a": Price(input=1, output=3),
    }
    pool = ModelPool.ordered_by_price([spec(n, price=p) for n, p in prices.items()])
    assert pool.names == ("a", "b", "dear", "odd")


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "SLM"),
        (2, "SLM MLM"),
        (3, "SLM MLM LLM"),
        (4, "SLM SLM MLM LLM"),
        (5, "SLM SLM MLM MLM LLM"),
        (9, "SLM SLM SLM MLM MLM MLM LLM LLM LLM"),
    ],
)
def test_groups_by_thirds(count: int, expected: str) -> None:
    assert groups(scripted_pool(*[["x"]] * count)) == expected


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([1.0, 1.1, 10.0, 11.0, 100.0], "SLM SLM MLM MLM LLM"),
        ([1.0, 50.0, 60.0, 70.0, 900.0], "SLM MLM MLM MLM LLM"),
        ([1.0, 2.0], "SLM MLM"),
        ([1.0], "SLM"),
    ],
)
def test_groups_by_price_cut_at_the_largest_jumps(prices: list[float], expected: str) -> None:
    models = [spec(f"m{i}", price=Price(input=0, output=p)) for i, p in enumerate(prices)]
    assert groups(ModelPool(models, grouping="price")) == expected


@pytest.mark.parametrize("price", [FREE, UNKNOWN], ids=["free", "unknown"])
def test_groups_by_price_need_prices(price: Price) -> None:
    with pytest.raises(BadValueError, match="thirds"):
        ModelPool([spec("a", price=price), spec("b"), spec("c")], grouping="price")


def test_groups_by_hand_win_over_the_rule() -> None:
    pool = ModelPool([spec("a", group="MLM"), spec("b"), spec("c", group="LLM")])
    assert groups(pool) == "MLM MLM LLM"


@pytest.mark.parametrize(
    ("models", "message"),
    [
        pytest.param([], "at least one model", id="empty"),
        pytest.param(["a", "b", "a"], "every name once", id="duplicates"),
    ],
)
def test_a_pool_is_checked(models: list[str], message: str) -> None:
    with pytest.raises(BadValueError, match=message):
        ModelPool([spec(n) for n in models])


def test_groups_out_of_order_are_refused() -> None:
    with pytest.raises(BadValueError, match="SLM before MLM before LLM"):
        ModelPool([spec("a", group="LLM"), spec("b", group="SLM")])


def test_an_unknown_grouping_is_refused() -> None:
    with pytest.raises(BadValueError, match="grouping is 'luck'; allowed: thirds, price"):
        ModelPool([spec()], grouping="luck")  # type: ignore[arg-type]


def test_an_unknown_model_names_the_known_ones() -> None:
    pool = scripted_pool(["x"], ["x"])
    for ask in (pool.__getitem__, pool.rank, pool.up, pool.down):
        with pytest.raises(UnknownModelError, match="'m9'; it has: m1, m2"):
            ask("m9")
    assert "m1" in pool
    assert "m9" not in pool


def test_up_runs_through_the_groups_to_the_top() -> None:
    pool = scripted_pool(*[["x"]] * 4)
    assert [pool.up(n) for n in pool.names] == ["m2", "m3", "m4", None]


@pytest.mark.parametrize(
    ("floor", "expected"),
    [(None, [None, "m1", "m2", "m3"]), ("m2", [None, None, "m2", "m3"]), ("m4", [None, None, None, None])],
)
def test_down_ends_at_the_floor(floor: str | None, expected: list[str | None]) -> None:
    pool = scripted_pool(*[["x"]] * 4)
    assert [pool.down(n, floor) for n in pool.names] == expected


def test_group_and_middle() -> None:
    pool = ModelPool([spec(n, group="SLM") for n in "abc"] + [spec("z", group="LLM")])
    assert [m.name for m in pool.group("SLM")] == ["a", "b", "c"]
    assert pool.group("MLM") == ()
    chosen: dict[Group, str] = {g: pool.middle(g).name for g in ("SLM", "MLM", "LLM")}
    assert chosen == {"SLM": "b", "MLM": "c", "LLM": "z"}


@pytest.mark.parametrize(
    ("price", "tokens", "expected"),
    [
        pytest.param(Price(input=2, output=10), (1000, 100, 0), 0.003, id="plain"),
        pytest.param(Price(input=2, output=10, cached_input=0.5), (1000, 0, 600), 0.0011, id="cached"),
        pytest.param(Price(input=2, output=10), (1000, 0, 600), 0.002, id="cached-costs-as-much"),
        pytest.param(Price(input=2, output=10, cached_input=0.0), (1000, 0, 600), 0.0008, id="cached-is-free"),
        pytest.param(FREE, (1000, 1000, 0), 0.0, id="free"),
        pytest.param(UNKNOWN, (0, 0, 0), None, id="unknown"),
        pytest.param(Price(input=None, output=1), (0, 5, 0), None, id="input-unknown"),
        pytest.param(Price(input=1, output=None), (5, 0, 0), None, id="output-unknown"),
    ],
)
def test_what_a_call_costs(price: Price, tokens: tuple[int, int, int], expected: float | None) -> None:
    assert price.cost_usd(*tokens) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("field", ["input", "output", "cached_input"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "3", True, 1e6])
def test_a_price_is_a_number_from_0(field: str, value: object) -> None:
    with pytest.raises(BadValueError, match=f"price {field}"):
        Price(**{"input": 1.0, "output": 1.0, field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", "two\nlines"),
        ("group", "XXL"),
        ("price", 3.0),
        ("context_tokens", 0),
        ("context_tokens", True),
        ("max_output_tokens", 1.5),
        ("max_concurrency", 0),
        ("requests_per_minute", -1),
        ("requests_per_minute", math.nan),
        ("prompt_style", "poem"),
        ("model", 7),
    ],
)
def test_a_spec_is_checked(field: str, value: object) -> None:
    with pytest.raises(BadValueError, match=field.split("_", maxsplit=1)[0]):
        spec(**dict[str, Any]({field: value}))


def test_prices_are_json_data_with_the_groups() -> None:
    prices = scripted_pool(["x"], ["x"]).prices()
    assert {n: (p["group"], p["output"]) for n, p in prices.items()} == {"m1": ("SLM", 1.0), "m2": ("MLM", 2.0)}


def test_a_scripted_model_is_used_as_it_is() -> None:
    model = ScriptedChatModel(script=["x"])
    assert spec(model=model).chat_model() is model


def made(model: BaseChatModel | str, **fields: Any) -> Any:
    return spec(model=model, **fields).chat_model()


def test_retries_of_a_client_are_switched_off_and_the_rest_is_kept() -> None:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    given = ChatOpenAI(
        model="some-model", api_key=SecretStr("k"), base_url="http://localhost:1/v1", temperature=0.3, max_retries=5,
        default_headers={"x-team": "a"}, timeout=7,
    )  # fmt: skip
    model = made(given)
    assert model.max_retries == 0
    assert model.root_client.max_retries == 0
    assert model.root_async_client.max_retries == 0
    assert (model.model_name, model.temperature, model.request_timeout) == ("some-model", 0.3, 7)
    assert model.default_headers == {"x-team": "a"}
    assert str(model.root_client.base_url) == "http://localhost:1/v1/"
    assert model.root_client.api_key == "k"
    assert given.max_retries == 5


def test_retries_left_to_the_client_are_switched_off() -> None:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    assert made(ChatOpenAI(model="some-model", api_key=SecretStr("k"))).root_client.max_retries == 0


def test_a_http_client_of_the_users_is_kept() -> None:
    import httpx
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    with httpx.Client() as client:
        given = ChatOpenAI(model="some-model", api_key=SecretStr("k"), max_retries=5, http_client=client)
        assert made(given).http_client is client


def test_an_openai_compatible_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    fields: dict[str, Any] = {"base_url": "http://localhost:1/v1", "api_key_env": "SOME_KEY"}
    model = made("served-name", **fields, capabilities=frozenset({"logprobs"}))
    assert (model.model_name, model.root_client.max_retries, model.logprobs) == ("served-name", 0, True)
    assert model.root_client.api_key == "secret"
    assert made("served-name", **fields).logprobs is None


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    found = "not set" if value is None else "empty"
    with pytest.raises(BadValueError, match=rf"environment variable SOME_KEY is {found}; .*model 'm9'.*Set it"):
        made("served-name", name="m9", base_url="http://localhost:1/v1", api_key_env="SOME_KEY")
    with pytest.raises(BadValueError, match=rf"environment variable SOME_KEY is {found}; .*model 'm9'.*Set it"):
        made("served-name", name="m9", base_url_env="SOME_KEY")


def test_an_endpoint_without_a_key_needs_none() -> None:
    assert made("served-name", base_url="http://localhost:1/v1").root_client.api_key == "none"


def test_a_provider_and_a_model_are_made_by_init_chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    model = made("openai:some-model", capabilities=frozenset({"logprobs"}))
    assert type(model).__name__ == "ChatOpenAI"
    assert (model.model_name, model.root_client.max_retries, model.logprobs) == ("some-model", 0, True)
    assert made("openai:some-model").logprobs is None


def test_a_provider_whose_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(model: str, **_: object) -> None:
        raise ImportError(f"pip install the package of {model}")

    monkeypatch.setattr("langchain.chat_models.init_chat_model", absent)
    with pytest.raises(MissingExtraError, match=r"'openai:some-model' of 'm9'.*langchain-r2\[openai\]"):
        made("openai:some-model", name="m9")
    with pytest.raises(BadValueError, match=r"'m9' is 'anthropic:x'.*pip install the package of anthropic:x"):
        made("anthropic:x", name="m9")
