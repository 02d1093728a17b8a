"""Pool files from the command line: written by asking, printed as a template, checked by calling."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from langchain_r2 import ModelPool, ModelSpec, Price
from langchain_r2.cli import app
from langchain_r2.errors import UnreachableError
from langchain_r2.pool_file import load_pool
from langchain_r2.testing import ScriptedChatModel, scripted_pool

CANARY = "sk-canary-4711-do-not-show"


def run(*arguments: Any, answers: Sequence[str] = ()) -> Result:
    return CliRunner().invoke(app, ["pool", *map(str, arguments)], input="".join(f"{line}\n" for line in answers))


class TestNew:
    SERVER = ("my pool", "server", "small", "http://localhost:8000/v1", "served", "", "logprobs, tools", "0.1", "0.4")

    def test_at_the_end_of_the_input_nothing_is_written_and_it_is_said(self, tmp_path: Path) -> None:
        result = run("new", tmp_path / "pool.toml", answers=["my pool"])
        assert result.exit_code == 1
        assert "Nothing was written" in result.output
        assert not (tmp_path / "pool.toml").exists()

    def test_a_server_and_a_provider(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.toml"
        more = ["y", "provider", "large", "openai:gpt-4o", "structured_output", "y", "n"]
        result = run("new", file, answers=[*self.SERVER, *more])
        assert result.exit_code == 0, result.output
        assert f"pool check {file}" in result.stdout
        small, large = load_pool(str(file))
        assert (small.name, small.model, small.base_url) == ("small", "served", "http://localhost:8000/v1")
        assert small.api_key_env is None
        assert small.capabilities == {"logprobs", "tools"}
        assert (small.price.input, small.price.output, small.price.source) == (0.1, 0.4, "stated by hand")
        assert large.model == "openai:gpt-4o"
        assert large.capabilities == {"structured_output"}
        assert (large.price.input, large.price.output, large.price.cached_input) == (2.5, 10.0, 1.25)
        assert "genai-prices" in large.price.source
        assert load_pool(str(file)).name == "my pool"

    def test_an_embedded_model_and_an_unknown_price(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.toml"
        provider = ["y", "provider", "x", "ollama:x", "", "unknown", "n"]
        result = run("new", file, answers=["", "embedded", "nobody", "r2-nano", *provider])
        assert result.exit_code == 0, result.output
        assert "r2-micro" in result.output
        pool = load_pool(str(file))
        assert (pool.name, pool.names) == ("pool", ("r2-nano", "x"))
        assert pool["x"].price.input is None

    def test_wrong_answers_are_asked_again(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.toml"
        answers = [
            "p",
            "cloud",
            "server",
            "",
            'a "b"',
            "ftp://x",
            "http://h/v1",
            "m",
            "",
            "sound",
            "",
            "dear",
            "-1",
            "0",
            "0",
        ]
        more = ["y", "server", 'a "b"', "b", "http://h/v1", "m", "", "", "1", "2", "n"]
        result = run("new", file, answers=[*answers, *more])
        assert result.exit_code == 0, result.output
        assert load_pool(str(file)).names == ('a "b"', "b")
        for part in (
            "One of: server, provider, embedded",
            "http or https",
            "'sound' is none of",
            "0 to 1,000,000",
            "already",
        ):
            assert part in result.output

    def test_a_key_in_place_of_a_name_never_reaches_the_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("R2_TEST_KEY", CANARY)
        file = tmp_path / "pool.toml"
        before = [*self.SERVER[:5], CANARY, "gsk_4711looks_like_a_name", "n", "R2_TEST_KEY", *self.SERVER[6:], "n"]
        result = run("new", file, answers=before)
        assert result.exit_code == 0, result.output
        assert "never stands in a pool file" in result.output
        assert "Is it a name, not a key?" in result.output
        text = file.read_text()
        assert tomllib.loads(text)["models"][0]["api_key_env"] == "R2_TEST_KEY"
        assert "4711" not in text

    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.toml"
        file.write_text("mine")
        result = run("new", file, answers=self.SERVER)
        assert (result.exit_code, file.read_text()) == (2, "mine")
        assert "does not exist" in result.stderr
        assert run("new", tmp_path / "none" / "pool.toml", answers=self.SERVER).exit_code == 2

    def test_an_end_in_the_middle_leaves_no_file(self, tmp_path: Path) -> None:
        result = run("new", tmp_path / "pool.toml", answers=self.SERVER[:4])
        assert result.exit_code == 1
        assert list(tmp_path.iterdir()) == []


def test_the_template_that_is_printed_loads(tmp_path: Path) -> None:
    result = run("template")
    file = tmp_path / "pool.toml"
    file.write_text(result.stdout)
    assert load_pool(str(file)).names == ("small", "large")


class TestCheck:
    def check(self, monkeypatch: pytest.MonkeyPatch, pool: ModelPool, *options: str) -> Result:
        monkeypatch.setattr("langchain_r2.pool_file.resolve_pool", lambda _: pool)
        return run("check", "pool.toml", *options)

    def test_one_line_and_one_row_a_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = ScriptedChatModel(script=[UnreachableError(f"refused {CANARY}\nhere")])
        monkeypatch.setenv("SOME_TOKEN", CANARY)
        result = self.check(monkeypatch, scripted_pool(["ready"], gone))
        assert result.exit_code == 3
        assert "m1: ready; its capabilities may also name logprobs\n" in result.stdout
        assert "m2: not usable: refused [hidden] here\n" in result.stdout

    def test_a_long_message_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = ScriptedChatModel(script=[UnreachableError("x" * 1000)])
        found = json.loads(self.check(monkeypatch, scripted_pool(gone), "--json").stdout)
        [verdict] = [row["verdict"] for row in found["models"]]
        assert (len(verdict), verdict[-2:]) == (300, "x…")

    def test_all_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pool = scripted_pool(["ready"], ["ready"], capabilities=frozenset({"logprobs"}))
        result = self.check(monkeypatch, pool, "--json")
        found = json.loads(result.stdout)
        assert (result.exit_code, found["ok"]) == (0, True)
        assert [row["verdict"] for row in found["models"]] == ["ready", "ready"]
        assert found["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in found["models"]))
        assert found["cost_usd"] > 0
        assert all(row["structured_output"] is row["tools"] is False for row in found["models"])

    def test_an_unknown_price_is_said_and_costs_are_unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = ModelSpec(name="m", model=ScriptedChatModel(script=["x"]), price=Price(input=None, output=None))
        result = self.check(monkeypatch, ModelPool([spec]))
        assert result.exit_code == 0
        assert "its price is unknown: no budget can pay for it" in result.stdout
        assert "cost unknown USD" in result.stdout

    def test_a_model_whose_key_is_not_set_is_a_row_and_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("R2_TEST_KEY", raising=False)
        price = Price(input=1.0, output=1.0)
        spec = ModelSpec(name="m", model="x", base_url="http://h/v1", api_key_env="R2_TEST_KEY", price=price)
        result = self.check(monkeypatch, ModelPool([spec]))
        assert result.exit_code == 3
        assert "m: not usable: environment variable R2_TEST_KEY" in result.stdout
        assert "The check cost 0.00 USD." in result.stdout

    def test_a_file_that_is_not_there(self) -> None:
        result = run("check", "none.toml")
        assert result.exit_code == 2
        assert "no such file" in result.stderr
        assert "paper" in result.stderr
