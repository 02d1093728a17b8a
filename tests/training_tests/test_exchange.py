"""The shipped router in pools with a model removed and one added: each is run, once, on the same problems."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from langchain_r2.embedded.bundle import embedded_router
from langchain_r2.model_spec import ModelSpec, Price
from training.embedded import exchange
from training.embedded.exchange import COMES, LEAVES, UNCHANGED, main


def stranger(_: Path) -> ModelSpec:
    """A model as good as one of the pool, at the lowest price."""
    known = embedded_router()["pool"]["r2-large"]
    return replace(known, name=COMES.name, price=Price(input=0.01, output=0.01), group=None)


@pytest.mark.slow
def test_every_pool_is_run_on_the_same_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exchange, "newcomer", stranger)
    monkeypatch.setattr(exchange, "PROBE", 12)
    main(["--out", str(tmp_path), "--tests", "2"])
    rows = {
        file.stem: [json.loads(line) for line in file.read_text().splitlines()]
        for file in (tmp_path / "records").glob("*.jsonl")
    }
    assert rows.keys() == {f"{name}-0" for name in (UNCHANGED, "removed", "added", "both", "both-probe-alone")}
    assert {tuple(row["id"] for row in ran) for ran in rows.values()} == {
        tuple(row["id"] for row in rows["unchanged-0"])
    }
    printed = capfd.readouterr().out
    assert "removed against unchanged: the interval of the accuracy" in printed
    removed = printed.split("removed\n", 1)[1].split("\n", 1)[0]
    assert LEAVES not in removed
    assert "'r2-medium': 'r2-new'" in printed  # as good on the probe, and the cheapest
    monkeypatch.setattr(exchange, "run_router", lambda *_: pytest.fail("it was run before"))
    main(["--out", str(tmp_path), "--tests", "2"])
