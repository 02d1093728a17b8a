"""The embedded router: for each role a small base model and a LoRA adapter.

A base learns both roles in full, the adapter its own role further. The decomposer's base saw the cards shuffled, and
under changing names: there, a model of this size stayed at the loss of guessing, and it put all it had into plans. The
allocator's saw them in the pool's order under fixed names, and learned to tell easy from hard. So the embedded
allocator (``shuffle_aliases=False``) holds for pools of nine models in this order only.
"""

import json
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from langchain_r2.evals.benchmarks.arithmetic import problems
from training.arithmetic_data import Example, finer_plan_example, plan_example, random_step
from training.embedded.labels import Labelled, allocation_examples
from training.embedded.models import SEED, encoder, load_for_training, new_model, save_model
from training.embedded.sizes import POOL, ROUTER
from training.fit import FitReport, FitSettings, fit

ADAPTER_TOKENS: Final = 2_000_000
BASE_TOKENS: Final = {"decomposer": 7_000_000, "allocator": 6_000_000}
RANK: Final = 16


def plan_examples(shard: str) -> Iterator[Example]:
    """Texts of the decomposer: problems, and single steps as a replan asks for them."""
    rng = random.Random(shard)
    for problem in problems("train", seed=SEED, shard=shard):
        yield plan_example(problem)
        if rng.random() < 0.15:
            yield finer_plan_example(random_step(rng))
        if rng.random() < 0.15:
            yield finer_plan_example(rng.choice(problem.steps).resolved)


def allocate_examples(labelled: list[Labelled], seed: int, *, shuffle: bool) -> Iterator[Example]:
    """Texts of the allocator, without end."""
    return allocation_examples(cycle(labelled), random.Random(seed), len(POOL), shuffle=shuffle)


def train_base(role: str, tokenizer: Tokenizer, labelled: list[Labelled], folder: Path) -> FitReport:
    """Train a role's base on both roles, half and half."""
    model = new_model(ROUTER, tokenizer.get_vocab_size())
    shuffle = role == "decomposer"
    plans, routes = plan_examples("router-base"), allocate_examples(labelled, SEED, shuffle=shuffle)
    both = (example for pair in zip(plans, routes, strict=False) for example in pair)
    settings = FitSettings(tokens=BASE_TOKENS[role], muon_lr=1e-2, seed=SEED)
    report = fit(model, both, encoder(tokenizer), settings, f"r2-router {role} base")
    save_model(model, folder)
    return report


def train_adapter(role: str, examples: Iterator[Example], tokenizer: Tokenizer, base: Path, folder: Path) -> FitReport:
    """Train one role's LoRA adapter on the base."""
    torch.manual_seed(SEED)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=modules, task_type="CAUSAL_LM")
    model = get_peft_model(load_for_training(base), config)
    settings = FitSettings(tokens=ADAPTER_TOKENS, adamw_lr=2e-3, seed=SEED)
    report = fit(model, examples, encoder(tokenizer), settings, f"r2-router {role}")
    model.save_pretrained(str(folder))
    weights = {k: v.to(torch.float16) for k, v in load_file(folder / "adapter_model.safetensors").items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    stated = json.loads((folder / "adapter_config.json").read_text())
    stated["base_model_name_or_path"] = f"../{base.name}"
    stated["target_modules"] = sorted(stated["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(stated, indent=1, sort_keys=True))
    (folder / "README.md").unlink(missing_ok=True)
    return report
