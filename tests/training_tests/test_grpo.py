"""One phase of GRPO on a model made here: it learns what pays, resumes, and leaves out what has no reward."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_r2.errors import BadValueError, UnreachableError
from langchain_r2.prompts import bare
from langchain_r2.testing import scripted_pool
from tests.training_tests.conftest import make_runner
from tests.training_tests.tiny_policy import ITEMS, RIGHT, adds, make_base
from training.grpo import Example, last_checkpoint, query_order, train_phase, trainer_arguments, without_abstained
from training.grpo_metrics import Dominance, DominanceWarning, PhaseMetrics
from training.grpo_settings import GrpoSettings, RoleSettings
from training.items import TrainItem
from training.policy import Policy, decompose_chat, load_policy
from training.rollouts import EventLoop, Rollouts, RolloutsFailedError

SETTINGS = GrpoSettings(
    group_size=4,
    queries_per_step=4,
    steps=12,
    learning_rate=1e-2,
    beta=0.0,
    eta=0.0,
    max_completion_tokens=24,
    generation="numpy",
    save_steps=4,
)


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> RoleSettings:
    return make_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    made = EventLoop()
    yield made
    made.close()


def scorer(loop: EventLoop, settings: GrpoSettings, *scripts: Any, **options: Any) -> Rollouts:
    pool = scripted_pool(*(scripts or (adds, adds)), prompt_style="bare")
    runner = make_runner(pool)
    run = runner.arun_all

    def allocated(item: TrainItem) -> dict[str, str]:
        """By the frozen allocator: one of two equal models for everything."""
        return dict.fromkeys(map(str, range(1, 25)), f"m{1 + ITEMS.index(item) % 2}")

    runner.arun_all = lambda requests, done=None: run(  # type: ignore[method-assign]
        [replace(r, allocation=allocated(r.item)) for r in requests], done
    )
    options |= {"group_size": settings.group_size, "max_abstained_share": settings.max_abstained_share}
    return Rollouts(runner, settings.rewards, loop, references={}, **options)


def down(_: str) -> Any:
    """A pool model that cannot be reached."""
    return UnreachableError("down")


def examples() -> list[Example]:
    return [Example(item, decompose_chat(item.query, "bare", max_subtasks=16)) for item in ITEMS]


def train(role: RoleSettings, rollouts: Rollouts, settings: GrpoSettings, folder: Path, **options: Any) -> Policy:
    policy = load_policy(role)
    metrics = PhaseMetrics(folder / "metrics.jsonl")
    train_phase(policy, examples(), rollouts, settings, folder / "phase", stage="s", metrics=metrics, **options)
    return policy


def chance_of(policy: Policy, reply: str) -> float:
    """Mean probability of a reply over all queries."""
    chances = []
    for item in ITEMS:
        chat = decompose_chat(item.query, "bare", max_subtasks=16)
        prompt = policy.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        ids = [*policy.tokenizer(reply)["input_ids"], policy.tokenizer.eos_token_id]
        with torch.no_grad():
            logits = policy.model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        chances.append(sum(logits[len(prompt) + i - 1, token].item() for i, token in enumerate(ids)))
    return float(torch.tensor(chances).exp().mean())


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_it_learns_the_plan_that_pays(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    before = chance_of(load_policy(role), RIGHT)
    assert 0.2 < before < 0.8
    policy = train(role, scorer(loop, SETTINGS), SETTINGS, tmp_path)
    assert chance_of(policy, RIGHT) > before + 0.25
    rows = lines(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["accuracy"] > rows[0]["accuracy"]
    assert rows[-1]["zero_variance_share"] == 1.0
    assert rows[-1]["entropy"] < rows[0]["entropy"]
    wanted = {"step", "stage", "reward", "accuracy", "cost_usd", "kl", "zero_variance_share", "entropy", "model_shares"}
    assert wanted <= rows[0].keys()
    assert set(rows[0]["model_shares"]) == {"m1", "m2"}


def test_rewards_that_are_all_equal_teach_nothing(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=3, malformed=0.0)
    rollouts = scorer(loop, settings, lambda _: "answer : 0", lambda _: "answer : 0")
    before = chance_of(load_policy(role), RIGHT)
    policy = train(role, rollouts, settings, tmp_path)
    assert chance_of(policy, RIGHT) == pytest.approx(before, abs=1e-3)
    assert [row["zero_variance_share"] for row in lines(tmp_path)] == [1.0] * 3


def test_the_divergence_is_measured_and_holds_back(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    held = replace(SETTINGS, beta=5.0, steps=6)
    policy = train(role, scorer(loop, held), held, tmp_path)
    rows = lines(tmp_path)
    assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-6)
    assert any(row["kl"] > 1e-4 for row in rows)
    free = replace(SETTINGS, steps=6)
    assert chance_of(policy, RIGHT) < chance_of(train(role, scorer(loop, free), free, tmp_path / "free"), RIGHT)


def test_a_phase_goes_on_from_its_last_checkpoint(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    whole = train(role, scorer(loop, SETTINGS), SETTINGS, tmp_path / "whole")
    train(role, scorer(loop, SETTINGS), SETTINGS, tmp_path / "cut", until_step=6)
    (tmp_path / "cut/phase/checkpoint-9").mkdir()  # torn: nothing is in it
    with (tmp_path / "cut/metrics.jsonl").open("a") as file:
        file.write('{"stage": "s", "step": 7}\n{"stage": "other", "step": 9}\n{"torn')
    resumed = train(role, scorer(loop, SETTINGS), SETTINGS, tmp_path / "cut")
    rows, same = lines(tmp_path / "cut"), lines(tmp_path / "whole")
    assert [r["step"] for r in rows if r["stage"] == "s"] == list(range(1, 13))
    assert [r["step"] for r in rows if r["stage"] == "other"] == [9]
    assert [r["reward"] for r in rows if r["stage"] == "s"] == [r["reward"] for r in same]
    for (name, a), (_, b) in zip(whole.model.named_parameters(), resumed.model.named_parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name
    again = train(role, scorer(loop, SETTINGS, down, down), SETTINGS, tmp_path / "cut")
    assert chance_of(again, RIGHT) < 0.8, "nothing is left to do: the model is not even trained"


def test_a_pool_that_is_down_ends_the_phase_at_once(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    rollouts = scorer(loop, SETTINGS, down, down)
    with pytest.raises(RolloutsFailedError, match=r"16 of the last 16 .* UnreachableError") as raised:
        train(role, rollouts, SETTINGS, tmp_path)
    assert "same command" in str(raised.value)
    assert last_checkpoint(tmp_path / "phase") is None


def test_rollouts_without_a_reward_are_masked_out() -> None:
    output = {"completion_mask": torch.ones(4, 3, dtype=torch.long), "num_items_in_batch": torch.tensor(12)}
    masked = without_abstained(output, [False, True, False, True], lambda x: x)
    assert masked["completion_mask"].sum(1).tolist() == [3, 0, 3, 0]
    assert masked["num_items_in_batch"] == 6
    assert masked["completion_mask"].dtype == torch.long


def test_a_query_that_always_fails_changes_nothing(role: RoleSettings, loop: EventLoop, tmp_path: Path) -> None:
    """One query of four has no reward: it is counted, and the loss is that of the other three."""
    settings = replace(SETTINGS, steps=4, max_abstained_share=0.5, beta=0.5)
    rollouts = scorer(loop, settings, lambda prompt: down(prompt) if "2 plus 3" in prompt else adds(prompt), adds)
    train(role, rollouts, settings, tmp_path)
    rows = lines(tmp_path)
    assert sum(row["failed"] for row in rows) > 0
    assert max(row["dropped_groups"] for row in rows) <= 1


@pytest.mark.parametrize("curriculum", ["random", "easy_to_hard"])
def test_the_order_of_queries_is_fixed_before(curriculum: Any) -> None:
    settings = GrpoSettings(steps=5, queries_per_step=3, curriculum=curriculum)
    difficulties = [3.0, 1.0, 2.0, 5.0, 4.0, 0.5]
    order = query_order(difficulties, settings)
    assert order == query_order(difficulties, settings)
    assert order != query_order(difficulties, replace(settings, seed=1))
    assert len(order) == 15
    counts = [order.count(i) for i in range(6)]
    assert max(counts) - min(counts) <= 1
    sorted_ = [difficulties[i] for i in order] == sorted(difficulties[i] for i in order)
    assert sorted_ == (curriculum == "easy_to_hard")


def test_one_model_that_takes_nearly_all_is_a_warning() -> None:
    watch = Dominance("r1")
    for _ in range(9):
        assert watch.see({"a": 10}) is None
    with pytest.warns(DominanceWarning, match=r"r1: a got 98% of the subtasks"):
        assert watch.see({"a": 8, "b": 2})
    assert watch.see({"a": 10})
    said = [watch.see({"a": 9, "b": 1}) for _ in range(10)]
    assert said[-1] is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"group_size": 1}, "group_size"),
        ({"micro_batch": 3}, "micro_batch"),
        ({"generation": "vllm_server"}, "vllm_server_url"),
        ({"vllm_server_url": "http://127.0.0.1:8000"}, "vllm_server_url"),
        ({"eta": 0.9, "kappa": 0.2}, "eta \\+ kappa"),
        ({"max_abstained_share": 1.0}, "max_abstained_share"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(BadValueError, match=named):
        GrpoSettings(**change)


def test_settings_become_trls(tmp_path: Path) -> None:
    made = trainer_arguments(replace(SETTINGS, micro_batch=8, loss="dr_grpo"), tmp_path)
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (8, 2)
    assert (made.generation_batch_size, made.num_generations, made.loss_type) == (16, 4, "dr_grpo")
    served = replace(SETTINGS, generation="vllm_server", vllm_server_url="http://127.0.0.1:1")
    made = trainer_arguments(served, tmp_path, [30, 50])
    assert (made.use_vllm, made.vllm_mode, made.vllm_server_base_url) == (True, "server", "http://127.0.0.1:1")
    assert made.vllm_max_model_length == 50 + 24


def test_a_base_without_a_chat_template_is_refused(role: RoleSettings, tmp_path: Path) -> None:
    config = json.loads((Path(role.tokenizer or "") / "tokenizer_config.json").read_text())
    config.pop("chat_template")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_bytes((Path(role.tokenizer or "") / "tokenizer.json").read_bytes())
    with pytest.raises(BadValueError, match="chat template"):
        load_policy(replace(role, tokenizer=str(tmp_path)))
    with pytest.raises(BadValueError, match="base"):
        load_policy(replace(role, base=str(tmp_path / "none")))


def test_prompts_are_those_that_run() -> None:
    assert examples()[0].chat == [{"role": "user", "content": bare.decompose(ITEMS[0].query).user}]
