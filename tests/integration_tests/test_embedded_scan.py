"""The shipped SCAN models: short commands go to one model, long ones are taken apart and joined."""

import asyncio
import json
import random
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from langchain_r2 import create_r2_graph
from langchain_r2.embedded import DOMAINS, embedded_pool, embedded_router
from langchain_r2.errors import BadValueError
from langchain_r2.evals.benchmarks.scan import Command, actions_in, translate
from langchain_r2.evals.benchmarks.scan_commands import LONGEST, commands_of

HOME = DOMAINS["scan"]
SHORT = random.Random(0).sample([c for c in commands_of("validation") if len(c.actions) <= 12], 20)
LONG = "turn around right thrice and walk opposite right thrice"
"""21 actions; of the validation split."""


def states(models: str | Path, commands: list[Command]) -> list[dict[str, Any]]:
    graph = create_r2_graph(**embedded_router(models))

    async def run() -> list[dict[str, Any]]:
        return list(await asyncio.gather(*(graph.ainvoke({"query": c.text}) for c in commands)))

    return asyncio.run(run())


def right(made: list[dict[str, Any]], commands: list[Command]) -> int:
    return sum(actions_in(s["answer"] or "") == c.actions for s, c in zip(made, commands, strict=True))


def test_short_commands_are_answered_by_one_model_that_nobody_allocated() -> None:
    made = states("scan", SHORT)
    assert right(made, SHORT) >= 19
    assert sum(len(s["plan"]["subtasks"]) == 1 for s in made) >= 18
    undivided = json.loads((HOME / "router.json").read_text())["undivided"]
    for state in made:
        if len(state["plan"]["subtasks"]) == 1:
            roles = [a["role"] for a in state["attempts"]]
            assert roles.count("decomposer") == 1
            assert ("allocator" in roles) == (undivided is None)


def test_a_long_command_is_taken_apart_and_its_answers_are_joined() -> None:
    [state] = states("scan", [Command(LONG, translate(LONG))])
    parts = [s["text"] for s in state["plan"]["subtasks"]]
    assert parts == ["turn around right"] * 3 + ["walk opposite right"] * 3
    assert actions_in(state["answer"]) == translate(LONG)
    assert state["answer"].split("\n") == [r["answer"] for r in state["results"]]


def test_with_shuffled_weights_nothing_is_right(tmp_path: Path) -> None:
    """No rule in the code does the models' work."""
    home = tmp_path / "models"
    copytree(HOME, home)
    rng = np.random.default_rng(0)
    for file in home.rglob("model.safetensors"):
        weights = {k: rng.permutation(v.ravel()).reshape(v.shape) for k, v in load_file(file).items()}
        save_file(weights, file)
    assert right(states(home, SHORT[:6]), SHORT[:6]) == 0


def test_weights_are_small_and_safetensors_only() -> None:
    assert sum(f.stat().st_size for f in HOME.rglob("*.safetensors")) <= 5_000_000
    assert {f.suffix for f in HOME.rglob("*") if f.is_file()} <= {".safetensors", ".json", ".done"}


def test_every_model_has_a_card_and_the_names_are_no_other_domain_s() -> None:
    rows, pool = json.loads((HOME / "pool.json").read_text()), embedded_pool("scan")
    assert len(rows) == len(pool) == 9
    assert pool.name == "embedded-scan"
    assert not set(pool.names) & set(embedded_pool().names)
    sizes = [row["parameters"] for row in rows]
    assert sizes == sorted(sizes)
    assert rows[0]["step_accuracy"] < 0.5
    assert max(row["step_accuracy"] for row in rows) > 0.97
    assert all(spec.price.source and spec.price.date for spec in pool)


def test_settings_and_plans_were_chosen_without_a_test() -> None:
    chosen = json.loads((HOME / "router.json").read_text())
    assert chosen["chosen_on"]["split"] == "validation"
    tried = [(row["undivided"], row["threshold"]) for row in chosen["chosen_on"]["tried"]]
    assert (chosen["undivided"], chosen["threshold"]) in tried
    plans = json.loads((HOME / "router" / "plans.json").read_text())
    assert plans["cut"] < LONGEST
    assert plans["right_by_fineness"][plans["fineness"]] >= max(plans["right_by_fineness"].values()) - 0.02


def test_another_domain_is_refused() -> None:
    with pytest.raises(BadValueError, match="arithmetic"):
        embedded_router("chess")
