"""The table of variations: each is trained and run, from the same start, and what is finished is not done again."""

import json
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.embedded.bundle import HOME
from training.embedded import ablations, homes
from training.embedded.ablations import BY_NAME, VARIATIONS, Options, main, one, run_settings, tables
from training.embedded.arithmetic import Arithmetic
from training.embedded.corrected import corrections
from training.embedded.records import CHOSEN, records_file, write_rows
from training.sft_data import ROLES


def options(out: Path, **more: Any) -> Options:
    given: dict[str, Any] = {"start": HOME / "router", "problems": 4, "steps": 2, "rounds": 1, "tests": 2} | more
    return Options(out=out, **given)


def test_each_line_is_a_configuration_of_its_own(tmp_path: Path) -> None:
    made = {v.name: run_settings(v, 7, options(tmp_path)) for v in VARIATIONS if v.kind == "reinforced"}
    assert len({json.dumps(str(settings)) for settings in made.values()}) == len(made) == 9
    shown = {
        name: (s.alternate.mode, s.alternate.rounds, s.grpo.eta, s.grpo.kappa, s.grpo.curriculum)
        for name, s in made.items()
    }
    assert shown["alternating"] == ("alternating", 1, 0.3, 0.0, "random")
    assert shown["joint"] == ("joint", 1, 0.3, 0.0, "random")
    assert shown["decomposer-only"] == ("decomposer", 2, 0.3, 0.0, "random")
    assert shown["allocator-only"] == ("allocator", 2, 0.3, 0.0, "random")
    assert shown["kappa-no-eta"] == ("alternating", 1, 0.0, 0.3, "random")
    assert shown["easy-to-hard"] == ("alternating", 1, 0.3, 0.0, "easy_to_hard")
    assert made["paper"].grpo.malformed == 0
    for settings in made.values():
        assert settings.role("allocator").adapter == str(HOME / "router" / "allocator")
        assert (settings.grpo.seed, settings.data.seed, settings.data.limit) == (7, 7, 4)


def test_all_learn_for_as_many_steps(tmp_path: Path) -> None:
    from training.grpo_settings import stages

    def steps(name: str) -> int:
        settings = run_settings(BY_NAME[name], 0, options(tmp_path, steps=40, rounds=2))
        made = [s for s in stages(settings.alternate, settings.grpo) if s.kind == "train"]
        return sum({s.phase: s.until_step for s in made}.values())  # turns of one phase go on with it

    assert {steps(v.name) for v in VARIATIONS if v.kind == "reinforced"} == {160}


def test_a_correction_is_the_cheapest_right_plan() -> None:
    def plan(style: str, cost_usd: float, router_usd: float, status: str = "labelled") -> dict[str, Any]:
        return {"style": style, "router_usd": router_usd, "label": {"status": status, "cost_usd": cost_usd}}

    own, finer, direct = plan("coarse", 5.0, 1.0), plan("fine", 3.0, 2.0), plan("direct", 1.0, 1.0)
    rows: list[dict[str, Any]] = [
        {"id": "a", "plans": [own, finer, direct, plan("fine", 0.1, 0.1, "discarded")], "replans": [1]},
        {"id": "b", "plans": [plan("coarse", 1.0, 1.0, "discarded")], "replans": []},
    ]
    assert corrections(rows, ("coarse", "fine")) == [{"id": "a", "plans": [finer], "replans": []}]
    assert corrections(rows, ("coarse", "fine", "direct"))[0]["plans"] == [direct]


def test_without_adapters_to_start_from_nothing_begins(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="adapter of the decomposer to start from"):
        main(["--out", str(tmp_path), "--start", str(tmp_path), "--only", "joint"])
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--only", "everything-else"])


def test_the_tests_that_are_asked_for_reach_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(ablations, "one", lambda _variation, _seed, options: seen.append(options.splits))

    def part(command: list[str], **_: Any) -> None:
        main(command[3:])

    monkeypatch.setattr("subprocess.run", part)
    monkeypatch.setattr(ablations, "tables", lambda *_: "")
    common = ["--out", str(tmp_path), "--start", str(HOME / "router"), "--only", "joint", "paper", "--seeds", "1"]
    main([*common, "--lanes", "1", "--splits", "test", "longer"])
    assert seen == [("test", "longer")] * 2


def records(out: Path, name: str, seed: int, *, right: bool, accuracy: float, usd: float) -> None:
    row = {"stage": name, "seed": seed, "split": "test", "right": right, "cost_usd": usd, "router_usd": 0.0}
    rows = [row | {"id": str(n), "calls": 1, "subtasks": 1} for n in range(4)]
    write_rows(records_file(out, name, seed), rows)
    home = out / "homes" / f"{name}-{seed}"
    home.mkdir(parents=True)
    (home / CHOSEN).write_text(json.dumps({"accuracy": accuracy, "usd_per_query": usd}))


def test_the_best_is_chosen_on_validation_and_the_start_stands_beside_every_seed(tmp_path: Path) -> None:
    records(tmp_path, "sft", 0, right=True, accuracy=0.80, usd=3e-6)
    for seed in (0, 1):
        records(tmp_path, "joint", seed, right=False, accuracy=0.902, usd=2e-6)
        records(tmp_path, "paper", seed, right=False, accuracy=0.899, usd=1e-6)
    text = tables([BY_NAME[name] for name in ("sft", "joint", "paper")], 2, tmp_path)
    assert "**paper**" in text  # within the tolerance, and cheaper
    assert "test: 4 problems, 2 seeds" in text
    assert "| joint | both roles take turns every few steps | 90.2 | 2.0 |" in text
    assert "-100.0 [-100.0, -100.0]" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["corrected", "kappa"])
def test_a_variation_is_trained_and_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, constant, value in (
        (homes, "PLAN_PROBLEMS", 12),
        (Arithmetic, "choice_problems", 3),
        (Arithmetic, "tried", {"coverage": (0.75,), "threshold": (0.95,)}),
    ):
        monkeypatch.setattr(owner, constant, value)
    one(BY_NAME[name], 0, options(tmp_path))
    file = records_file(tmp_path, name, 0)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["split"] for row in rows] == ["test"] * 2 + ["wordings"] * 2 + ["longer"] * 2
    assert {(row["stage"], row["seed"]) for row in rows} == {(name, 0)}
    start, learned = (HOME / "router", tmp_path / "homes" / f"{name}-0" / "router")
    for role in ROLES:
        same = (start / role / "adapter_model.safetensors").read_bytes() == (
            learned / role / "adapter_model.safetensors"
        ).read_bytes()
        assert not same, role
    monkeypatch.setattr(ablations, "trained", lambda *_: pytest.fail("it was trained before"))
    one(BY_NAME[name], 0, options(tmp_path))
    assert [json.loads(line) for line in file.read_text().splitlines()] == rows
