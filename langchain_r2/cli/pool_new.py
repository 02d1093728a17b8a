"""Asks for the entries of a pool file, then writes it."""

import datetime
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import typer

from langchain_r2.addresses import is_address
from langchain_r2.model_spec import Price
from langchain_r2.pool import ModelPool
from langchain_r2.pool_file import load_pool
from langchain_r2.prices import known_price

Entry = dict[str, Any]
"""Keys and values of one ``[[models]]`` table."""

_WAYS: Final = {"server": "an OpenAI-compatible server", "provider": '"provider:model"', "embedded": "in this process"}
_CAPABILITIES: Final = ("logprobs", "structured_output", "tools")


def ask_pool(name: str) -> str:
    """Ask for a pool, weakest model first.

    Args:
        name: What it is called if the user does not say otherwise.

    Returns:
        The pool file's text.
    """
    title = _ask("Name of the pool", _text, default=name)
    entries: list[Entry] = []
    typer.echo("Now the models, weakest (cheapest) first.")
    while not entries or typer.confirm("Another model?", default=False):
        taken = {entry.get("name", entry.get("embedded")) for entry in entries}
        entries.append(_ask_model(taken))
    tables = [f"name = {_toml(title)}"]
    tables += [
        "[[models]]\n" + "\n".join(f"{key} = {_toml(value)}" for key, value in entry.items()) for entry in entries
    ]
    return "\n\n".join(tables) + "\n"


def write_pool(file: Path, text: str) -> ModelPool:
    """Write a pool file and load it; a file that does not load is not left there.

    Raises:
        ConfigurationError: It does not load.
        FileExistsError: There is one meanwhile.
    """
    with file.open("x", encoding="utf-8") as out:
        out.write(text)
    try:
        return load_pool(str(file))
    except BaseException:
        file.unlink()
        raise


def _ask_model(taken: set[Any]) -> Entry:
    ways = ", ".join(f"{way}: {what}" for way, what in _WAYS.items())
    way = _ask(f"How is it reached ({ways})", _one_of(_WAYS), default="server")
    if way == "embedded":
        from langchain_r2.embedded import embedded_pool

        free = [name for name in embedded_pool().names if name not in taken]
        return {"embedded": _ask(f"Which ({', '.join(free)})", _one_of(free))}

    def unused(text: str) -> str:
        if text.strip() in taken:
            raise typer.BadParameter(f"{text!r} is in the pool already.")
        return _text(text)

    entry: Entry = {"name": _ask("Its name in the pool", unused)}
    if way == "provider":
        entry["model"] = _ask('Model, as "provider:model"', _provider_model)
    else:
        entry["base_url"] = _ask("Address, such as http://localhost:8000/v1", _address)
        entry["model"] = _ask("The name that the server knows", _text)
        if variable := _ask("Environment variable that holds the key (empty: no key)", _variable, default=""):
            entry["api_key_env"] = variable
    known = ", ".join(_CAPABILITIES)
    if names := _ask(f"Capabilities, with commas ({known}; empty: none)", _capabilities, default=""):
        entry["capabilities"] = names
    entry["price"] = _ask_price(entry)
    return entry


def _ask_price(entry: Mapping[str, Any]) -> Entry | str:
    listed = known_price(entry["model"], base_url=entry.get("base_url"))
    if listed and typer.confirm(_offer(listed), default=True):
        cached = {} if listed.cached_input is None else {"cached_input": listed.cached_input}
        prices = {"input": listed.input, "output": listed.output, **cached}
        return {**prices, "source": listed.source, "date": listed.date}
    usd_in = _ask('USD per million input tokens ("unknown" if you cannot say)', _amount)
    if usd_in == "unknown":
        return "unknown"
    usd_out = _ask("USD per million output tokens", _amount)
    today = datetime.datetime.now(datetime.UTC).date()
    return {"input": usd_in, "output": usd_out, "source": "stated by hand", "date": today.isoformat()}


def _offer(price: Price) -> str:
    return f"{price.source} of {price.date}: {price.input:g} in, {price.output:g} out, USD per million tokens. Take it?"


def _ask(question: str, check: Callable[[str], Any], default: str | None = None) -> Any:  # noqa: ANN401 - as checked
    return typer.prompt(question, default=default, value_proc=check, show_default=bool(default))


def _text(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise typer.BadParameter("A text that is not empty, on one line.")
    return text.strip()


def _one_of(words: Mapping[str, Any] | list[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.strip() not in words:
            raise typer.BadParameter(f"One of: {', '.join(words)}.")
        return text.strip()

    return check


def _provider_model(text: str) -> str:
    provider, _, model = text.strip().partition(":")
    if not provider or not model:
        raise typer.BadParameter("Such as openai:gpt-4o.")
    return _text(text)


def _address(text: str) -> str:
    if not is_address(text.strip()):  # not shown: it may have a password in it
        raise typer.BadParameter("An http or https address without a password.")
    return text.strip()


def _variable(text: str) -> str:
    """A variable's name. One that is not set now is taken only when said twice: a key may look like a name."""
    name = text.strip()
    if name and not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise typer.BadParameter("The name of an environment variable. A key itself never stands in a pool file.")
    if name and name not in os.environ and not typer.confirm("No such variable is set now. Is it a name, not a key?"):
        raise typer.BadParameter("Then put the key into a variable and give the variable's name.")
    return name


def _capabilities(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if wrong := [name for name in names if name not in _CAPABILITIES]:
        raise typer.BadParameter(f"{wrong[0]!r} is none of {', '.join(_CAPABILITIES)}.")
    return names


def _amount(text: str) -> float | str:
    if text.strip() == "unknown":
        return "unknown"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise typer.BadParameter('A number from 0 to 1,000,000, or "unknown".')
    return value


def _toml(value: object) -> str:
    """A value as TOML: JSON has the same texts, numbers and lists; tables are written inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)
