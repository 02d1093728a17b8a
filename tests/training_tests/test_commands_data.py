"""``sample`` and ``label`` on the embedded pool: they report, go on after a stop, and pay for nothing twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from training import commands_data
from training.__main__ import main
from training.lines import Lines, read_lines

CONFIG = """
[data]
split = "train"
[sampling]
samples = 2
evaluator = "r2-small"
[search]
optimum_items = 2
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "own.toml"
    path.write_text(CONFIG)
    return str(path)


def _ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def test_both_commands_go_on_after_a_stop(
    tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--config", config, "--out", str(out), "--limit", "4"]
    monkeypatch.setattr(commands_data, "UNDER_WAY", 1)
    added = Lines.add

    def killed(self: Any, id_: str, row: Any) -> None:
        if len(self.done) == 2:
            raise KeyboardInterrupt
        added(self, id_, row)

    monkeypatch.setattr(Lines, "add", killed)
    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)):
        main(["sample", *arguments])
    monkeypatch.setattr(Lines, "add", added)
    main(["sample", *arguments])
    first, second = _ledger(out)
    assert (first["ended"], second["ended"], second["problems"]) == ("stopped", "done", 2)
    rows = read_lines(out / "samples.jsonl")
    assert len({row["id"] for row in rows}) == 4
    assert {"pool", "models", "decomposer", "prompts", "data", "split_sha256", "settings"} <= set(rows[0]["provenance"])
    assert "have a right one" in capsys.readouterr().out

    main(["label", *arguments])
    spent = _ledger(out)[2]
    report = json.loads((out / "label_report.json").read_text())
    assert report["problems"] == 4
    assert sum(report["ranks"].values()) > 0
    labels = read_lines(out / "labels.jsonl")
    labelled = [p for row in labels for p in row["plans"] if p["label"]["status"] == "labelled"]
    assert labelled
    assert all(p["label"]["right"] == 1 and p["label"]["cost_usd"] <= p["label"]["reference_usd"] for p in labelled)

    (out / "labels.jsonl").unlink()
    main(["label", *arguments])  # all executions are kept: nothing is sent
    again = _ledger(out)[4]
    assert (spent["sent"] > 0, again["sent"], again["spent_usd"]) == (True, 0, 0.0)
    assert read_lines(out / "labels.jsonl") == labels


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"id": "1", "query": "q", "split": "train"}], "gold answer"),
        (
            [
                {"id": "1", "query": "how many ?", "answer": "1", "split": "train"},
                {"id": "2", "query": "how many ?", "answer": "1", "split": "test"},
            ],
            "none that 'test' has",
        ),
    ],
)
def test_bad_data_is_told_before_anything_is_spent(tmp_path: Path, rows: list[dict[str, str]], problem: str) -> None:
    data = tmp_path / "own.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    config = tmp_path / "own.toml"
    config.write_text(f'[data]\nsource = "{data}"\ngrader = "exact"\n')
    with pytest.raises(SystemExit, match=problem):
        main(["sample", "--config", str(config), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_training_on_the_test_split_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text('[data]\nsplit = "test"\n')
    with pytest.raises(SystemExit, match="cannot be what is tested on"):
        main(["sample", "--config", str(config), "--out", str(tmp_path / "out")])
