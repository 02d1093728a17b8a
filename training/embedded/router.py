"""The embedded router: for each role a small base model and a LoRA adapter.

The decomposer's base learns plans, the allocator's plans and allocations, half and half; the adapter, its own role
further. The allocator sees the cards in the pool's order under fixed names: with both drawn anew for each text, a model
of this size stayed at the loss of guessing. So the embedded allocator (``shuffle_aliases=False``) holds for pools of
nine models in this order only.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from training.embedded.domain import Domain, Router
from training.embedded.labels import Labelled, allocation_examples
from training.embedded.models import encoder, load_for_training, new_model, save_model
from training.embedded.sizes import SEED
from training.example import Example
from training.fit import FitReport, FitSettings, fit


def train_decomposer(domain: Domain, tokenizer: Tokenizer, home: Path) -> dict[str, FitReport]:
    """Train base and adapter of the decomposer."""
    folder = home / "router"
    base = folder / "decomposer_base"
    fitted = train_base("decomposer", domain.base_texts(home), tokenizer, base, domain.router)
    texts = domain.plan_texts(home)
    adapted = train_adapter("decomposer", texts, tokenizer, base, folder / "decomposer", domain.router)
    return {"decomposer_base": fitted, "decomposer": adapted}


def train_allocator(
    domain: Domain, tokenizer: Tokenizer, home: Path, labelled: Sequence[Labelled]
) -> dict[str, FitReport]:
    """Train base and adapter of the allocator."""
    folder, models = home / "router", len(domain.pool)
    base = folder / "allocator_base"
    half = allocation_examples(cycle(labelled[: len(labelled) // 2]), models)
    mixed = (text for pair in zip(domain.base_texts(home), half, strict=False) for text in pair)
    fitted = train_base("allocator", mixed, tokenizer, base, domain.router)
    texts = allocation_examples(cycle(labelled), models)
    adapted = train_adapter("allocator", texts, tokenizer, base, folder / "allocator", domain.router)
    return {"allocator_base": fitted, "allocator": adapted}


def train_base(role: str, texts: Iterator[Example], tokenizer: Tokenizer, folder: Path, router: Router) -> FitReport:
    """Train a role's base."""
    model = new_model(router.size, tokenizer.get_vocab_size())
    settings = FitSettings(tokens=router.size.tokens, muon_lr=1e-2, batch_tokens=router.batch_tokens, seed=SEED)
    report = fit(model, texts, encoder(tokenizer), settings, f"router {role} base")
    save_model(model, folder)
    return report


def train_adapter(
    role: str, texts: Iterator[Example], tokenizer: Tokenizer, base: Path, folder: Path, router: Router
) -> FitReport:
    """Train one role's LoRA adapter on the base."""
    torch.manual_seed(SEED)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(
        r=router.rank, lora_alpha=2 * router.rank, lora_dropout=0.0, target_modules=modules, task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_for_training(base), config)
    settings = FitSettings(
        tokens=router.adapter_tokens, adamw_lr=router.adapter_lr, batch_tokens=router.batch_tokens, seed=SEED
    )
    report = fit(model, texts, encoder(tokenizer), settings, f"router {role}")
    model.save_pretrained(str(folder))
    weights = {k: v.to(torch.float16) for k, v in load_file(folder / "adapter_model.safetensors").items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    stated = json.loads((folder / "adapter_config.json").read_text())
    stated["base_model_name_or_path"] = f"../{base.name}"
    stated["target_modules"] = sorted(stated["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(stated, indent=1, sort_keys=True))
    (folder / "README.md").unlink(missing_ok=True)
    return report
