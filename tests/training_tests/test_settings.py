"""Settings are read strictly; files of lines and the ledger survive a kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.errors import BadValueError
from training.costs import break_even_queries, stage, totals
from training.executions import ExecutionCache
from training.lines import Lines, read_lines
from training.settings import (
    CONFIGS,
    DataSettings,
    PoolSettings,
    SamplingSettings,
    SearchSettings,
    SftSettings,
    from_table,
    read_settings,
)


def test_every_shipped_config_can_be_read() -> None:
    assert list(CONFIGS.glob("*.toml"))
    for file in CONFIGS.glob("*.toml"):
        read_settings(file, "pool", PoolSettings)
        read_settings(file, "data", DataSettings)
        read_settings(file.stem, "sampling", SamplingSettings)
        read_settings(file.stem, "search", SearchSettings)


@pytest.mark.parametrize(
    ("table", "kind", "problem"),
    [
        ({"sampels": 3}, SamplingSettings, r"setting in \[t\] is 'sampels'; allowed: samples"),
        ({"samples": "3"}, SamplingSettings, r"samples in \[t\] is '3'; allowed: int"),
        ({"samples": True}, SamplingSettings, "samples"),
        ({"trivial": 1}, SamplingSettings, "allowed: bool"),
        ({"changed": "maybe"}, SearchSettings, "freeze, rerun"),
        ({"price_input": "1"}, PoolSettings, "float"),
        ({"base": "x", "styles": ["direct", 3]}, SftSettings, "a list of str"),
        ({}, SftSettings, "no default"),
    ],
)
def test_a_wrong_setting_is_told(table: dict[str, Any], kind: type[Any], problem: str) -> None:
    with pytest.raises(BadValueError, match=problem):
        from_table(table, kind, "[t]")


def test_a_right_table_is_taken() -> None:
    made = from_table({"price_input": 1, "decomposer_adapter": "x"}, PoolSettings, "[t]")
    assert (made.price_input, made.decomposer_adapter, made.price_output) == (1.0, "x", None)
    styles = from_table({"base": "b", "styles": ["fine"]}, SftSettings, "[t]").styles
    assert styles == ("fine",)


def test_a_config_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match="one of embedded"):
        read_settings("nothing", "pool", PoolSettings)
    (tmp_path / "bad.toml").write_text("pool = 3")
    with pytest.raises(BadValueError, match="a table"):
        read_settings(tmp_path / "bad.toml", "pool", PoolSettings)


def test_lines_go_on_after_the_last_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "x" / "lines.jsonl"
    with Lines(path, {"seed": 1}) as lines:
        lines.add("a", {"value": 1})
        lines.add("b", {"value": 2})
    with path.open("ab") as file:
        file.write(b'{"id": "c", "val')  # as a kill leaves it
    assert [row["id"] for row in read_lines(path)] == ["a", "b"]
    with Lines(path, {"seed": 1}) as lines:
        assert lines.done == {"a", "b"}
        lines.add("c", {"value": 3})
    assert [row["value"] for row in read_lines(path)] == [1, 2, 3]
    assert read_lines(path)[0]["provenance"] == {"seed": 1}


def test_lines_made_otherwise_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with Lines(path, {"seed": 1, "pool": "p"}) as lines:
        lines.add("a", {})
    with pytest.raises(BadValueError, match=r"another seed\. Take another --out"):
        Lines(path, {"seed": 2, "pool": "p"})
    path.write_text("no line\n")
    with pytest.raises(BadValueError, match="line 1"):
        Lines(path, {})
    with pytest.raises(BadValueError, match="a stage before"):
        read_lines(tmp_path / "nowhere.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(BadValueError, match="wrote none"):
        read_lines(tmp_path / "empty.jsonl")


def test_the_ledger_adds_a_stage_up_over_its_processes(tmp_path: Path) -> None:
    ledger, cache = tmp_path / "ledger.jsonl", ExecutionCache()
    with stage("sample", ledger, cache) as facts:
        facts["problems"] = 3
        cache.spending.sent, cache.spending.spent_usd = 5, 0.25

    def killed() -> None:
        with stage("sample", ledger, cache):
            cache.spending.sent, cache.spending.spent_usd = 6, 0.5
            raise KeyError("as if killed")

    with pytest.raises(KeyError):
        killed()
    first, second = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert (first["ended"], first["sent"], first["spent_usd"], first["problems"]) == ("done", 5, 0.25, 3)
    assert (second["ended"], second["sent"], second["spent_usd"]) == ("stopped", 1, 0.25)
    total = totals(ledger)["sample"]
    assert (total["processes"], total["sent"], total["spent_usd"]) == (2, 6, 0.5)
    assert total["seconds"] == first["seconds"] + second["seconds"]
    with pytest.raises(BadValueError, match="training ledger"):
        totals(tmp_path / "nowhere.jsonl")


def test_training_pays_for_itself_after_some_queries_or_never() -> None:
    assert break_even_queries(2.0, 0.01) == 200.0
    assert break_even_queries(2.0, 0.0) is None
