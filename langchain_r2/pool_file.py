"""Reads a pool from a TOML file.

The form, weakest model first::

    name = "my pool"       # shown in traces and tables
    grouping = "thirds"    # or "price": groups end where the price jumps most
    order = "given"        # or "price": sorted by output price

    [[models]]
    embedded = "r2-small"  # a model of an embedded pool; it keeps its name and its price unless they are given
    max_concurrency = 8

    [[models]]
    name = "local"
    model = "my-model"     # with base_url: the name that the OpenAI-compatible server knows
    base_url = "http://localhost:8000/v1"
    api_key_env = "LOCAL_KEY"    # the environment variable that holds the key; never the key itself
    capabilities = ["logprobs"]
    price = { input = 0.1, output = 0.4, source = "own estimate", date = 2026-01-31 }    # USD per million tokens

    [[models]]
    name = "large"
    model = "openai:a-model"    # "provider:model"; the provider's package finds its key itself
    group = "LLM"               # SLM, MLM or LLM; by default the grouping decides
    [models.price]
    input = "unknown"           # stated to be unknown: its calls have an unknown cost, never 0
    output = "unknown"

All keys of a model are fields of :class:`~langchain_r2.model_spec.ModelSpec`, but for ``embedded``. A model without a
price has the list price of :mod:`langchain_r2.prices`, if its table knows the model; else it must state one, and
``price = "unknown"`` says that none of it is known. A price given to an embedded model replaces all of its own. Without
``cached_input``, or with ``"unknown"`` for it, cached input tokens cost as much as others.
"""

import dataclasses
import datetime
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from langchain_r2.errors import BadValueError, MissingPriceError, PoolFileError
from langchain_r2.model_spec import ModelSpec, Price, PromptStyle
from langchain_r2.pool import Grouping, ModelPool
from langchain_r2.prices import known_price
from langchain_r2.types import Group

EMBEDDED: Final = "embedded"
"""What stands for the embedded pool where a pool file could be named."""

EMBEDDED_DOMAINS: Final[Mapping[str, str]] = {EMBEDDED: "arithmetic", "embedded-scan": "scan"}
"""What stands for the embedded pool of a domain, and the domain."""

POOLS: Final = Path(__file__).parent / "pools"
"""The files that are shipped: ``template.toml``, and those that a name stands for."""

PRESETS: Final = (*EMBEDDED_DOMAINS, "paper")
"""Names that stand for a pool where a pool file could be named."""


class _Kind(NamedTuple):
    """What a value may be."""

    allowed: str
    check: Callable[[Any], bool]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_int(value) or isinstance(value, float)


def _one_of(words: Iterable[str]) -> _Kind:
    known = tuple(words)
    return _Kind(" or ".join(f'"{word}"' for word in known), lambda v: isinstance(v, str) and v in known)


_TEXT: Final = _Kind("a text that is not empty", lambda v: isinstance(v, str) and bool(v.strip()))
_COUNT: Final = _Kind("a whole number from 1 up", lambda v: _is_int(v) and v >= 1)
_VARIABLE: Final = _Kind(
    "the name of an environment variable", lambda v: isinstance(v, str) and bool(re.fullmatch(r"[A-Za-z_]\w*", v))
)
_AMOUNT: Final = _Kind(
    'USD per million tokens, a number from 0 to 1,000,000, or "unknown"',
    lambda v: v == "unknown" or (_is_number(v) and 0 <= v < 1e6),
)

_POOL_KEYS: Final[Mapping[str, _Kind]] = {
    "name": _TEXT,
    "grouping": _one_of(get_args(Grouping)),
    "order": _one_of(["given", "price"]),
    "models": _Kind("tables, each headed [[models]]", lambda v: isinstance(v, list)),
}
_PRICE_KEYS: Final[Mapping[str, _Kind]] = {
    "input": _AMOUNT,
    "output": _AMOUNT,
    "cached_input": _AMOUNT,
    "source": _Kind("a text", lambda v: isinstance(v, str)),
    "date": _Kind("a date as YYYY-MM-DD", lambda v: isinstance(v, (str, datetime.date))),
}
_EMBEDDED_KEYS: Final[Mapping[str, _Kind]] = {
    "embedded": _TEXT,
    "name": _TEXT,
    "price": _Kind('a table, or "unknown"', lambda v: v == "unknown" or isinstance(v, dict)),
    "group": _one_of(get_args(Group)),
    "max_output_tokens": _COUNT,
    "skills": _Kind("a text", lambda v: isinstance(v, str)),
    "max_concurrency": _COUNT,
    "requests_per_minute": _Kind("a number above 0", lambda v: _is_number(v) and v > 0),
}
"""Keys of an embedded model; what it is, how it is reached and how it is spoken to cannot be changed."""
_MODEL_KEYS: Final[Mapping[str, _Kind]] = {
    **{key: kind for key, kind in _EMBEDDED_KEYS.items() if key != "embedded"},
    "model": _TEXT,
    "base_url": _Kind("a text", lambda v: isinstance(v, str)),
    "base_url_env": _VARIABLE,
    "api_key_env": _VARIABLE,
    "parameters": _COUNT,
    "context_tokens": _COUNT,
    "capabilities": _Kind("a list of texts", lambda v: isinstance(v, list) and all(_TEXT.check(c) for c in v)),
    "prompt_style": _one_of(get_args(PromptStyle)),
}
_SECRET: Final = re.compile(r"(.*_)?(api_?key|secret|password)|((api|access|auth|bearer)_)?(key|token)")
_HIDDEN: Final = frozenset({"api_key_env", "base_url", "base_url_env"})
"""Keys whose wrong value may be a secret: it is not shown."""


class _Place(NamedTuple):
    """A table of the file, for messages."""

    path: str
    label: str

    def error(self, problem: str, hint: str = "") -> PoolFileError:
        return PoolFileError(self.path, f"{self.label}{problem}", hint)

    def check(self, table: Mapping[str, Any], kinds: Mapping[str, _Kind]) -> None:
        """Refuse keys that are not known and values that are not allowed."""
        for key, value in table.items():
            if key not in kinds:
                if _SECRET.fullmatch(key.lower().replace("-", "_")):
                    hint = 'Put it into an environment variable and name that: api_key_env = "MY_KEY".'
                    raise self.error(f"a pool file must hold no keys, but has {key!r}", hint)
                raise self.error(f"unknown key {key!r}", f"Allowed: {', '.join(kinds)}.")
            if not kinds[key].check(value):
                shown = "something else" if key in _HIDDEN else _shown(value)
                raise self.error(f"{key} is {shown}; allowed: {kinds[key].allowed}")


def _shown(value: object) -> str:
    """A value for a message; of a table not what is in it, which may be a key."""
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else f"{value!r:.200}"


def load_pool(path: str) -> ModelPool:
    """Load a pool file; its form is in this module's description.

    Raises:
        PoolFileError: The file cannot be read, or something in it is wrong.
        MissingPriceError: A model without a stated price.
    """
    table = _read(path)
    place = _Place(path, "")
    place.check(table, _POOL_KEYS)
    rows = table.get("models", [])
    specs = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise place.error(f"models table {number} is {_shown(row)}; allowed: tables, each headed [[models]]")
        named = row.get("name", row.get("embedded"))
        label = f"models table {number} ({named!r:.80}): " if isinstance(named, str) else f"models table {number}: "
        specs.append(_spec(_Place(path, label), row))
    make = ModelPool.ordered_by_price if table.get("order") == "price" else ModelPool
    try:
        return make(specs, name=table.get("name", Path(path).stem), grouping=table.get("grouping", "thirds"))
    except BadValueError as error:
        raise place.error(str(error).rstrip("."), "" if specs else "Add a [[models]] table.") from error


def resolve_pool(text: str) -> ModelPool:
    """The pool for a name in :data:`PRESETS`, else that of the file with that path.

    ``"paper"`` are the nine models of the paper; the file that it stands for says what they need.

    Raises:
        PoolFileError: The file cannot be read, or something in it is wrong.
        MissingPriceError: A model without a stated price.
    """
    if text in EMBEDDED_DOMAINS:
        return _embedded_pool(text)
    return load_pool(str(POOLS / f"{text}.toml") if text in PRESETS else text)


def _read(path: str) -> dict[str, Any]:
    try:
        # utf-8-sig: some editors put a byte order mark first, which TOML does not allow.
        return tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError as error:
        hint = f"Give the path of a TOML file, or {' or '.join(PRESETS)}."
        raise PoolFileError(path, "there is no such file", hint) from error
    except IsADirectoryError as error:
        raise PoolFileError(path, "it is a directory", "Give the path of a TOML file in it.") from error
    except UnicodeDecodeError as error:
        raise PoolFileError(path, f"it is not UTF-8 (byte {error.start})", "Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise PoolFileError(path, f"it is not TOML: {error}", "Correct it at that place.") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: a path with a null character
        raise PoolFileError(path, f"it cannot be read: {error}") from error


def _spec(place: _Place, row: Mapping[str, Any]) -> ModelSpec:
    place.check(row, _EMBEDDED_KEYS if "embedded" in row else _MODEL_KEYS)
    given = {key: value for key, value in row.items() if key not in {"embedded", "price"}}
    if "price" in row:
        given["price"] = _price(place, row.get("name", row.get("embedded", "")), row["price"])
    try:
        if "embedded" in row:
            return _embedded_spec(place, row["embedded"], given)
        for key in ("name", "model"):
            if key not in given:
                hint = 'A model has name, model and price; an embedded one embedded = "..." instead.'
                raise place.error(f"{key} is missing", hint)
        _check_endpoint(place, given)
        if "price" not in given:
            given["price"] = _list_price(given)
        return ModelSpec(**{**given, "capabilities": frozenset(given.get("capabilities", ()))})
    except BadValueError as error:
        raise place.error(str(error).rstrip(".")) from error


def _check_endpoint(place: _Place, given: Mapping[str, Any]) -> None:
    if "base_url" in given or "base_url_env" in given:
        return
    if "api_key_env" in given:
        hint = "Leave it out: without base_url the provider's package finds its key itself."
        raise place.error("api_key_env needs base_url", hint)
    provider, _, model = given["model"].partition(":")
    if not provider or not model:
        hint = "For an OpenAI-compatible server, add base_url."
        raise place.error(f'model is {given["model"]!r:.200}; allowed: "provider:model"', hint)


def _list_price(given: Mapping[str, Any]) -> Price:
    """The price of a model that states none. With ``base_url_env`` it could be anybody's: that has none."""
    length = {key: given[key] for key in ("context_tokens",) if key in given}
    found = None if "base_url_env" in given else known_price(given["model"], base_url=given.get("base_url"), **length)
    if found is None:
        raise MissingPriceError(given["name"], "price")
    return found


def _price(place: _Place, model: str, value: Any) -> Price:  # noqa: ANN401 - any TOML value
    if value == "unknown":
        return Price(input=None, output=None)
    _Place(place.path, f"{place.label}price: ").check(value, _PRICE_KEYS)
    for key in ("input", "output"):
        if key not in value:
            raise MissingPriceError(model, f"price.{key}")
    usd = {key: None if value[key] == "unknown" else float(value[key]) for key in ("input", "output")}
    cached = value.get("cached_input", "unknown")
    return Price(
        input=usd["input"],
        output=usd["output"],
        cached_input=None if cached == "unknown" else float(cached),
        source=value.get("source", ""),
        date=str(value.get("date", "")),
    )


def _embedded_spec(place: _Place, name: str, given: Mapping[str, Any]) -> ModelSpec:
    known: list[str] = []
    for preset in EMBEDDED_DOMAINS:
        pool = _embedded_pool(preset)
        if name in pool:
            return dataclasses.replace(pool[name], **{"group": None, **given})
        known += pool.names
    raise place.error(f"no embedded pool has a model {name!r}", f"They have: {', '.join(known)}.")


def _embedded_pool(preset: str) -> ModelPool:
    from langchain_r2.embedded import embedded_pool  # noqa: PLC0415 - numpy and tokenizers only where they are needed

    try:
        return embedded_pool(EMBEDDED_DOMAINS[preset])
    except FileNotFoundError as error:
        command = f"python -m training.embedded --domain {EMBEDDED_DOMAINS[preset]}"
        hint = f"Install langchain-r2 again, or in a checkout train them: {command}."
        raise PoolFileError(preset, "the embedded models are not there", hint) from error
