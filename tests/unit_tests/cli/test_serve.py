"""The pool file that ``serve-embedded`` writes, and the command's wrong uses."""

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from langchain_r2 import ModelPool, Price, cli
from langchain_r2.cli.serve import pool_toml
from langchain_r2.embedded import embedded_pool, server
from langchain_r2.errors import BadValueError

URL = "http://127.0.0.1:8010/v1"


def test_the_pool_file_has_the_embedded_pool_at_the_address(tmp_path: Path) -> None:
    file = tmp_path / "pool.toml"
    file.write_text(pool_toml(embedded_pool(), URL), encoding="utf-8")
    for read, spec in zip(ModelPool.from_toml(str(file)), embedded_pool(), strict=True):
        assert (read.model, read.base_url, read.prompt_style) == (spec.name, URL, "bare")
        known = ("name", "price", "group", "context_tokens", "max_output_tokens", "skills", "capabilities")
        assert [getattr(read, key) for key in known] == [getattr(spec, key) for key in known]
        assert read.chat_model().logprobs is True  # type: ignore[attr-defined]  # ChatOpenAI's


def test_texts_and_unknown_prices_survive(tmp_path: Path) -> None:
    price = Price(input=None, output=1e-07, source='a "table" \\ of\nprices')
    spec = dataclasses.replace(embedded_pool().cheapest, price=price, skills="größer 🦜")
    file = tmp_path / "pool.toml"
    file.write_text(pool_toml(ModelPool([spec]), URL), encoding="utf-8")
    [read] = ModelPool.from_toml(str(file))
    assert (read.price, read.skills) == (spec.price, spec.skills)


def test_an_address_that_cannot_be_had_is_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(host: str, port: int) -> None:
        raise BadValueError("address", f"{host}:{port}", "one that is free")

    monkeypatch.setattr(server, "listen", taken)
    result = CliRunner().invoke(cli.app, ["serve-embedded", "--port", "80"], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "127.0.0.1:80" in result.stderr
