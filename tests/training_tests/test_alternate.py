"""Rounds of reinforcement on the embedded pool: what follows what, a real kill, roles apart and together."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from langchain_r2.embedded.bundle import HOME
from langchain_r2.errors import BadValueError
from langchain_r2.weights import ADAPTER
from training.__main__ import main
from training.alternate import opened_run
from training.embedded.supervised import SUPERVISED
from training.grpo_settings import AlternateSettings, GrpoSettings, stages
from training.run_settings import RunSettings

ROOT = Path(__file__).parents[2]


def config(
    folder: Path, *, mode: str = "alternating", rounds: int = 1, steps: int = 4, grpo: str = "", **more: str
) -> Path:
    file = folder / "config.toml"
    file.write_text(
        f'[data]\nlimit = 4\n[alternate]\nmode = "{mode}"\nrounds = {rounds}\njoint_steps = 2\n'
        f"[grpo]\ngroup_size = 2\nqueries_per_step = 2\nsteps = {steps}\nsave_steps = 2\n"
        f'generation = "numpy"\ntemperature = 1.5\n{grpo}\n'
        '[decomposer]\nbase = "embedded"\n[allocator]\nbase = "embedded"\n' + more.get("tables", "")
    )
    return file


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def executions(out: Path) -> int:
    with closing(sqlite3.connect(out / "executions.sqlite")) as db:
        return int(db.execute("SELECT COUNT(*) FROM executions").fetchone()[0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("decomposer", "r1-decomposer r1-decomposer-data r2-decomposer r2-decomposer-data"),
        (
            "alternating",
            """r1-decomposer r1-decomposer-data r1-allocator r1-allocator-data
            r2-decomposer r2-decomposer-data r2-allocator r2-allocator-data""",
        ),
    ],
)
def test_what_follows_what(mode: Any, expected: str) -> None:
    made = stages(AlternateSettings(mode=mode, rounds=2), GrpoSettings(steps=5))
    assert [stage.name for stage in made] == expected.split()


def test_together_the_roles_take_turns() -> None:
    made = list(stages(AlternateSettings(mode="joint", rounds=1, joint_steps=2), GrpoSettings(steps=5)))
    told = [(s.phase, s.until_step) for s in made if s.kind == "train"]
    assert told == [(f"r1-{role}", until) for until in (2, 4, 5) for role in ("decomposer", "allocator")]
    assert len({s.name for s in made}) == len(made)


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on(tmp_path: Path) -> None:
    """A process is killed within its second phase; the next one does what is left, and pays for nothing again."""
    out, file = tmp_path / "out", config(tmp_path, rounds=1, steps=6)
    command = [sys.executable, "-m", "training", "alternate", "--config", str(file), "--out", str(out)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        ends = time.monotonic() + 200
        while time.monotonic() < ends and process.poll() is None:
            if sum(row["stage"] == "r1-allocator" for row in rows_so_far(out)) >= 3:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    markers = {file.name for file in (out / "stages").iterdir()}
    assert "r1-decomposer-data.json" in markers
    assert "r1-allocator.json" not in markers
    phase = (out / "adapters/r1-decomposer" / ADAPTER).read_bytes()
    kept, lines = executions(out), len(rows(out / "ledger.jsonl"))

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "r1-allocator-data" in done.stdout
    told = rows(out / "metrics.jsonl")
    for stage in ("r1-decomposer", "r1-allocator"):
        assert [row["step"] for row in told if row["stage"] == stage] == [1, 2, 3, 4, 5, 6]
    assert (out / "adapters/r1-decomposer" / ADAPTER).read_bytes() == phase
    assert (out / "adapters/r1-allocator" / ADAPTER).exists()
    again = rows(out / "ledger.jsonl")[lines:]
    assert {row["stage"] for row in again} == {"references", "r1-allocator", "r1-allocator-data"}
    assert sum(row["sent"] for row in again) == executions(out) - kept
    assert again[0]["sent"] == 0, "the references were there"


def rows_so_far(out: Path) -> list[dict[str, Any]]:
    """Whole lines of a file that is being written."""
    file = out / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().split("\n")[:-1]] if file.exists() else []


@pytest.mark.slow
def test_together_with_labels_and_reviews(tmp_path: Path) -> None:
    file = config(tmp_path, mode="joint", grpo="kappa = 0.2", tables='[review]\npolicy = "sampled"\nshare = 0.5\n')
    with opened_run(RunSettings.read(file), tmp_path / "out") as run:
        adapters = run.run()
    told = rows(tmp_path / "out/metrics.jsonl")
    order = [(row["stage"], row["step"]) for row in told]
    assert order == [(f"r1-{role}", step) for pair in ((1, 2), (3, 4)) for role in adapters for step in pair]
    start = json.loads((tmp_path / "out/stages/start-data.json").read_text())
    assert start["labelled"] > 0
    assert all(0 <= row["review"]["trigger_rate"] <= 1 for row in told)
    assert told[-1]["review"]["triggered"] > 0
    for role, folder in adapters.items():
        assert (folder / ADAPTER).read_bytes() != (SUPERVISED / role / ADAPTER).read_bytes()


def test_only_one_role_learns(tmp_path: Path) -> None:
    out = tmp_path / "out"
    main(["grpo", "--role", "allocator", "--config", str(config(tmp_path)), "--out", str(out), "--steps", "2"])
    assert {row["stage"] for row in rows(out / "metrics.jsonl")} == {"r1-allocator"}
    assert [folder.name for folder in (out / "adapters").iterdir()] == ["r1-allocator"]


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    settings = RunSettings.read(config(tmp_path))
    with opened_run(settings, tmp_path / "out") as run:
        run.loop.close()
    other = RunSettings.read(config(tmp_path, steps=8))
    with pytest.raises(BadValueError, match="another grpo"), opened_run(other, tmp_path / "out"):
        pass


def test_an_adapter_for_another_base_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    file = config(tmp_path)
    text = file.read_text().replace(
        '[decomposer]\nbase = "embedded"', f'[decomposer]\nbase = "embedded"\nadapter = "{tmp_path / "a"}"'
    )
    file.write_text(text)
    base, tokenizer = HOME / "router/allocator_base", HOME / "tokenizer"
    main(
        f"export --role allocator --adapter {HOME / 'router/allocator'} --base {base} --tokenizer {tokenizer} "
        f"--out {tmp_path / 'a'}".split()
    )
    with (
        pytest.raises(BadValueError, match="made for another base"),
        opened_run(RunSettings.read(file), tmp_path / "o"),
    ):
        pass
    assert executions(tmp_path / "o") == 0


@pytest.mark.parametrize("name", ["embedded", "paper", "gpu"])
def test_the_configs_can_be_read(name: str) -> None:
    settings = RunSettings.read(name)
    if name == "paper":
        assert (settings.grpo.eta, settings.grpo.kappa, settings.grpo.malformed) == (0, 0, 0)
        assert settings.grpo.group_size == 4
        assert len(list(stages(settings.alternate, settings.grpo))) == 8
        assert 4 * settings.grpo.steps == 1024
