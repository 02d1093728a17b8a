"""The embedded router: for each role a small base model and a LoRA adapter.

The decomposer's base learns plans, the allocator's plans and allocations, half and half; the adapter, its own role
further. The allocator sees the cards in the pool's order under fixed names: with both drawn anew for each text, a model
of this size stayed at the loss of guessing. So the embedded allocator (``shuffle_aliases=False``) holds for pools of
nine models in this order only.
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
RANK: Final = 16


def plan_examples(shard: str) -> Iterator[Example]:
    """Texts of the decomposer: problems, and single steps as a replan asks for them."""
    rng = random.Random(shard)
    for problem in problems("train", seed=SEED, shard=shard):
        yield plan_example(problem)
        yield finer_plan_example(random_step(rng) if rng.random() < 0.5 else rng.choice(problem.steps).resolved)


def allocate_examples(labelled: list[Labelled]) -> Iterator[Example]:
    """Texts of the allocator, without end."""
    return allocation_examples(cycle(labelled), len(POOL))


def train_decomposer(tokenizer: Tokenizer, home: Path) -> dict[str, FitReport]:
    """Train base and adapter of the decomposer, with single steps among the problems, as a replan asks for them."""
    base = home / "decomposer_base"
    fitted = train_base("decomposer", plan_examples("router-base"), tokenizer, base)
    adapted = train_adapter("decomposer", plan_examples("router-adapter"), tokenizer, base, home / "decomposer")
    return {"decomposer_base": fitted, "decomposer": adapted}


def train_allocator(tokenizer: Tokenizer, home: Path, labelled: list[Labelled]) -> dict[str, FitReport]:
    """Train base and adapter of the allocator."""
    base = home / "allocator_base"
    pairs = zip(plan_examples("router-base"), allocate_examples(labelled[: len(labelled) // 2]), strict=False)
    fitted = train_base("allocator", (example for pair in pairs for example in pair), tokenizer, base)
    adapted = train_adapter("allocator", allocate_examples(labelled), tokenizer, base, home / "allocator")
    return {"allocator_base": fitted, "allocator": adapted}


def train_base(role: str, examples: Iterator[Example], tokenizer: Tokenizer, folder: Path) -> FitReport:
    """Train a role's base."""
    model = new_model(ROUTER, tokenizer.get_vocab_size())
    settings = FitSettings(tokens=ROUTER.tokens, muon_lr=1e-2, seed=SEED)
    report = fit(model, examples, encoder(tokenizer), settings, f"r2-router {role} base")
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
