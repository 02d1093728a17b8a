"""The adapters that reinforcement starts from stay apart from those that are shipped."""

from pathlib import Path

import pytest

from langchain_r2.embedded.bundle import HOME, embedded_pool, router_spec
from langchain_r2.embedded.chat import read_json
from langchain_r2.parsing import parse_plan
from langchain_r2.prompts import bare
from training.embedded import result
from training.embedded.domains import DOMAINS
from training.embedded.supervised import SUPERVISED, keep_supervised
from training.run_settings import RunSettings
from training.settings import PoolSettings
from training.sft_data import ROLES, Role
from training.sources import router_model

WEIGHTS = "adapter_model.safetensors"
QUERY = "what is 12 plus 3 , times 4 ?"


@pytest.mark.parametrize("role", ROLES)
def test_training_begins_with_them(role: Role) -> None:
    own = SUPERVISED / role
    assert RunSettings.read("embedded").role(role).adapter == str(own)
    drawn_by = router_model(role, PoolSettings(), embedded_pool())
    assert drawn_by.model.adapter == own  # type: ignore[union-attr]
    assert (own / WEIGHTS).read_bytes() != (HOME / "router" / role / WEIGHTS).read_bytes()  # it was reinforced


def test_they_are_of_the_shipped_base() -> None:
    spec = router_spec(HOME, "decomposer", read_json(HOME / "router.json"), SUPERVISED / "decomposer")
    reply = spec.chat_model().invoke(bare.decompose(QUERY).user)
    plan = parse_plan(str(reply.text), max_subtasks=16)
    assert plan.outcome == "clean"
    assert plan.subtasks


def test_what_was_just_trained_is_kept(tmp_path: Path) -> None:
    keep_supervised(HOME, tmp_path)
    for role in ROLES:
        assert (tmp_path / role / WEIGHTS).read_bytes() == (HOME / "router" / role / WEIGHTS).read_bytes()
    assert {name for name, domain in DOMAINS.items() if domain.supervised} == {"arithmetic"}


@pytest.mark.parametrize(("fitted", "seeds"), [(True, [0, 1]), (False, [0])])
def test_what_is_the_same_for_all_seeds_is_recorded_once(
    fitted: bool, seeds: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[str, int]] = []
    monkeypatch.setattr(result, "record", lambda _out, stage, seed, *_: recorded.append((stage, seed)))
    monkeypatch.setattr(result, "tuned", lambda *_: {role: SUPERVISED / role for role in ROLES})
    monkeypatch.setattr(result, "reinforce", lambda *_: tmp_path)
    monkeypatch.setattr(result, "is_fitted", lambda _: fitted)
    for seed in (0, 1):
        result.one_seed(tmp_path, seed, result.Sizes(rounds=1))
    assert [seed for stage, seed in recorded if stage == "sft"] == seeds
    assert [seed for stage, seed in recorded if stage == "grpo1"] == [0, 1]
