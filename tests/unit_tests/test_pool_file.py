"""Pool files: the form, and a clear refusal of everything else."""

import pickle
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import langchain_r2.embedded
from langchain_r2 import ConfigurationError, ModelPool, pool_file
from langchain_r2.errors import MissingPriceError, PoolFileError
from langchain_r2.pool_file import load_pool, resolve_pool
from langchain_r2.testing import scripted_pool

Loader = Callable[[str], ModelPool]

MODEL = """
    [[models]]
    name = "a"
    model = "openai:small"
    price = { input = 0.1, output = 0.4 }
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    own = scripted_pool("1", "2", "3", prompt_style="bare")
    monkeypatch.setattr(langchain_r2.embedded, "embedded_pool", lambda domain="arithmetic": own)

    def load(text: str) -> ModelPool:
        file = tmp_path / "pool.toml"
        file.write_text(textwrap.dedent(text))
        return load_pool(str(file))

    return load


def documented_example() -> str:
    text = str(pool_file.__doc__).split("weakest model first::\n")[1].split("All keys of a model")[0]
    return textwrap.dedent(text).replace("r2-small", "m2")


def test_the_documented_example_loads(load: Loader) -> None:
    pool = load(documented_example())
    assert pool.name == "my pool"
    assert pool.names == ("m2", "local", "large")
    assert [m.group for m in pool] == ["SLM", "MLM", "LLM"]
    embedded, local, large = pool
    assert embedded.prompt_style == "bare"
    assert embedded.max_concurrency == 8
    assert embedded.price.output == 2.0
    assert local.base_url == "http://localhost:8000/v1"
    assert local.capabilities == {"logprobs"}
    assert (local.price.source, local.price.date) == ("own estimate", "2026-01-31")
    assert large.price.cost_usd(1, 1) is None


def test_every_field_reaches_the_model(load: Loader) -> None:
    pool = load("""
        order = "price"
        [[models]]
        name = "dear"
        model = "p:x"
        [models.price]
        input = 2
        output = 3
        cached_input = "unknown"
        date = "2026-02-01"
        [[models]]
        name = "cheap"
        model = "y"
        base_url = "https://host/v1"
        api_key_env = "A_KEY"
        group = "SLM"
        parameters = 7_000_000
        context_tokens = 100
        max_output_tokens = 10
        skills = "sums"
        capabilities = ["tools", "logprobs"]
        max_concurrency = 2
        requests_per_minute = 1.5
        prompt_style = "bare"
        price = { input = 1, output = 2, cached_input = 0.5 }
    """)
    assert pool.names == ("cheap", "dear")
    cheap = pool["cheap"]
    assert (cheap.model, cheap.base_url, cheap.api_key_env) == ("y", "https://host/v1", "A_KEY")
    assert (cheap.group, cheap.parameters, cheap.context_tokens, cheap.max_output_tokens) == ("SLM", 7_000_000, 100, 10)
    assert (cheap.skills, cheap.prompt_style) == ("sums", "bare")
    assert cheap.capabilities == {"tools", "logprobs"}
    assert (cheap.max_concurrency, cheap.requests_per_minute) == (2, 1.5)
    assert cheap.price.cost_usd(2_000_000, 1_000_000, 1_000_000) == pytest.approx(1 + 0.5 + 2)
    assert pool["dear"].price.cached_input is None
    assert pool.name == "pool"


def test_an_embedded_model_keeps_its_handle_and_takes_name_price_and_group(load: Loader) -> None:
    own = langchain_r2.embedded.embedded_pool()
    pool = load("""
        [[models]]
        embedded = "m3"
        name = "mine"
        group = "SLM"
        price = "unknown"
    """)
    assert pool["mine"].model is own["m3"].model
    assert pool["mine"].group == "SLM"
    assert pool["mine"].price.input is None


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_bytes(b"\xef\xbb\xbf" + textwrap.dedent(MODEL).replace("\n", "\r\n").encode())
    assert load_pool(str(file)).names == ("a",)
    assert ModelPool.from_toml(str(file)).name == "p"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('colour = "red"', ["models table 1 ('a')", "'colour'", "name, price", "base_url"]),
        ('group = "XL"', ["group is 'XL'", '"SLM" or "MLM" or "LLM"']),
        ("context_tokens = 0", ["context_tokens is 0", "from 1 up"]),
        ("max_output_tokens = true", ["max_output_tokens is True"]),
        ("max_concurrency = 1.5", ["max_concurrency is 1.5"]),
        ("requests_per_minute = 0", ["requests_per_minute is 0"]),
        ("requests_per_minute = nan", ["requests_per_minute is nan"]),
        ('capabilities = "logprobs"', ["capabilities is 'logprobs'", "a list of texts"]),
        ("capabilities = [1]", ["capabilities is a list"]),
        ("skills = 3", ["skills is 3"]),
        ('prompt_style = "loud"', ["prompt_style is 'loud'", "instruct", "bare"]),
        ('api_key_env = "KEY"', ["api_key_env needs base_url"]),
        ('embedded = "m1"', ["unknown key 'model'"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_place(load: Loader, change: str, says: list[str]) -> None:
    with pytest.raises(PoolFileError) as caught:
        load(MODEL + "    " + change)
    for part in ["pool.toml", *says]:
        assert part in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["models of the pool", "[[models]]"]),
        ("models = 3", ["models is 3", "[[models]]"]),
        ("models = ['x']", ["models table 1 is 'x'"]),
        ("[models]\nname = 'x'", ["models is a table"]),
        ("grouping = 'size'" + MODEL, ["grouping is 'size'", "thirds", "price"]),
        ("order = 'size'" + MODEL, ["order is 'size'", "given"]),
        ("name = ''" + MODEL, ["name is ''"]),
        ("size = 3" + MODEL, ["unknown key 'size'", "grouping"]),
        (MODEL + MODEL, ["['a']", "every name once"]),
        (MODEL.replace("input = 0.1", "input = -1"), ["price: input is -1"]),
        (MODEL.replace("input = 0.1", "input = nan"), ["price: input is nan"]),
        (MODEL.replace("input = 0.1", "input = 1" + "0" * 400), ["price: input is 10000"]),
        (MODEL.replace("input = 0.1", "input = 'free'"), ["price: input is 'free'", '"unknown"']),
        (MODEL.replace("input", "inputs"), ["price: unknown key 'inputs'"]),
        (MODEL.replace("{ input = 0.1, output = 0.4 }", "0.1"), ["price is 0.1", "a table"]),
        (MODEL.replace('"a"', '"a\\nb"'), ["a non-empty name on one line"]),
        (MODEL.replace("name", "#"), ["models table 1: name is missing"]),
        (MODEL.replace("model =", "#"), ["models table 1 ('a'): model is missing"]),
        (MODEL.replace("openai:small", "small"), ["model is 'small'", "provider:model", "base_url"]),
        ("[[models]]\nembedded = 'm9'", ["no embedded pool has a model 'm9'", "m1, m2, m3"]),
        ("[[models]]\nembedded = 'm1'\nprompt_style = 'instruct'", ["unknown key 'prompt_style'"]),
        ("grouping = 'price'\n[[models]]\nembedded = 'm1'\nprice = 'unknown'", ["known prices above 0"]),
        ("name = 'a'\nname = b\n", ["not TOML", "line 2"]),
        ("a = " + "[" * 5000, ["cannot be read"]),
    ],
)
def test_a_wrong_file_is_refused(load: Loader, text: str, says: list[str]) -> None:
    with pytest.raises(PoolFileError) as caught:
        load(text)
    for part in ["pool.toml", *says]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (MODEL.replace("price", "# price"), "price"),
        (MODEL.replace("output = 0.4", "source = 'x'"), "price.output"),
        (MODEL.replace("input = 0.1,", ""), "price.input"),
        ("[[models]]\nembedded = 'm1'\n[models.price]\ninput = 1", "price.output"),
    ],
)
def test_a_missing_price_is_an_error_that_says_how_to_state_an_unknown_one(load: Loader, text: str, field: str) -> None:
    with pytest.raises(MissingPriceError, match="unknown") as caught:
        load(text)
    assert caught.value.field == field
    stated = tomllib.loads(f'{field} = "unknown"')
    assert stated in ({"price": "unknown"}, {"price": {field.removeprefix("price."): "unknown"}})


@pytest.mark.parametrize("key", ["api_key", "apikey", "api-key", "OPENAI_API_KEY", "key", "token", "secret"])
@pytest.mark.parametrize("where", ["", MODEL])
def test_a_key_in_the_file_is_refused_and_not_shown(load: Loader, key: str, where: str) -> None:
    with pytest.raises(PoolFileError, match="api_key_env") as caught:
        load(f'{where}\n    {key} = "sk-made-up"')
    assert "must hold no keys" in str(caught.value)
    assert "sk-made" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    ['api_key_env = "sk-made-up"', 'base_url = "http://me:sk-made-up@host"', 'base_url = "sk-made-up"', "models = 1"],
)
def test_a_value_that_may_be_a_key_is_not_shown(load: Loader, line: str) -> None:
    with pytest.raises(PoolFileError) as caught:
        load(f"{MODEL}    {line}")
    assert "sk-made" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PoolFileError, match="no such file"):
        load_pool(str(tmp_path / "none.toml"))
    with pytest.raises(PoolFileError, match="directory"):
        load_pool(str(tmp_path))
    with pytest.raises(PoolFileError, match="cannot be read"):
        load_pool("a\0b")
    file = tmp_path / "latin.toml"
    file.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(PoolFileError, match=r"not UTF-8 \(byte 8\)"):
        load_pool(str(file))


def test_embedded_stands_for_the_embedded_pool(load: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_pool("embedded").names == ("m1", "m2", "m3")
    load(MODEL)
    assert resolve_pool(str(tmp_path / "pool.toml")).names == ("a",)

    def absent(domain: str) -> ModelPool:
        raise FileNotFoundError

    monkeypatch.setattr(langchain_r2.embedded, "embedded_pool", absent)
    with pytest.raises(PoolFileError, match=r"python -m training\.embedded"):
        resolve_pool("embedded")


def test_paper_stands_for_the_nine_models_of_the_paper() -> None:
    pool = resolve_pool("paper")
    assert [m.group for m in pool] == ["SLM"] * 3 + ["MLM"] * 3 + ["LLM"] * 3
    assert pool.names[0] == "qwen2.5-0.5b"
    assert pool.names[-2:] == ("deepseek-v3", "gpt-4o")
    assert all(m.base_url_env and m.api_key_env for m in pool)
    text = (pool_file.POOLS / "paper.toml").read_text()
    assert "UNTRIED" in text
    for spec in pool:  # what has to be set is said at the top
        assert all(str(name) in text.split("[[models]]")[0] for name in (spec.base_url_env, spec.api_key_env))


def test_the_template_loads_and_shows_every_key() -> None:
    pool = load_pool(str(pool_file.POOLS / "template.toml"))
    assert pool.names == ("small", "large")
    text = (pool_file.POOLS / "template.toml").read_text()
    keys = {*pool_file._MODEL_KEYS, "embedded"} - {"parameters"}
    assert [key for key in keys if f"{key} = " not in text] == []


def test_a_missing_price_of_a_known_model_is_looked_up(load: Loader) -> None:
    price = load('[[models]]\nname = "a"\nmodel = "openai:gpt-4o"')["a"].price
    assert (price.input, price.output) == (2.5, 10.0)
    assert "genai-prices" in price.source
    assert price.date


def test_a_model_whose_address_may_be_anybodys_has_no_list_price(load: Loader) -> None:
    file = '[[models]]\nname = "a"\nmodel = "gpt-4o"\nbase_url = "https://api.openai.com/v1"'
    assert load(file)["a"].price.input == 2.5
    with pytest.raises(MissingPriceError):
        load(f'{file}\nbase_url_env = "MY_URL"')


class TestAddressFromTheEnvironment:
    FILE = MODEL.replace("openai:small", "served") + '    base_url_env = "R2_TEST_URL"\n'

    def test_it_wins_over_the_one_in_the_file(self, load: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("langchain_openai")
        spec = load(self.FILE + '    base_url = "http://localhost:1/v1"')["a"]
        monkeypatch.delenv("R2_TEST_URL", raising=False)
        assert str(spec.chat_model().root_client.base_url) == "http://localhost:1/v1/"  # type: ignore[attr-defined]
        monkeypatch.setenv("R2_TEST_URL", "http://localhost:2/v1")
        assert str(spec.chat_model().root_client.base_url) == "http://localhost:2/v1/"  # type: ignore[attr-defined]

    @pytest.mark.parametrize("value", ["", "sk-made-up", "http://me:sk-made-up@host/v1"])
    def test_without_one_the_error_names_the_variable(
        self, load: Loader, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        pytest.importorskip("langchain_openai")
        monkeypatch.setenv("R2_TEST_URL", value)
        with pytest.raises(ConfigurationError, match=r"R2_TEST_URL.*localhost:8000") as caught:
            load(self.FILE)["a"].chat_model()
        assert "sk-made" not in str(caught.value)
