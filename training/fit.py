"""Fits a small causal language model to (prompt, reply) texts, on one CPU core.

What is not textbook: batches are of equal token count and near-equal lengths (no packing across texts); only the reply
is learned; hidden matrices move by Muon, the rest by AdamW; the learning rate is constant, then falls linearly to zero
over the last 60 % of the token budget. One thread and fixed seeds: a run gives the same weights again on the same
machine.

Shapes: ``_B`` texts of a batch, ``_T`` tokens.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from tqdm import tqdm

from training.example import Example
from training.muon import Muon

Encode = Callable[[Example], tuple[list[int], list[int]]]
"""From a text to the ids of its prompt and of its reply, the end token included."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How long and how fast."""

    tokens: int
    """Token budget, prompts and padding included."""
    muon_lr: float = 5e-3
    adamw_lr: float = 3e-3
    batch_tokens: int = 4096
    warmup_steps: int = 50
    decay_share: float = 0.6
    window: int = 3000
    """Texts that are sorted by length at a time."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class FitReport:
    """What a fit took and gave."""

    tokens: int
    steps: int
    seconds: float
    loss: float


def fit(model: Any, examples: Iterator[Example], encode: Encode, settings: FitSettings, label: str) -> FitReport:  # noqa: ANN401 - transformers or peft model
    """Fit a model; parameters that do not require gradients stay."""
    torch.manual_seed(settings.seed)
    optimisers = _optimisers(model, settings)
    base_lrs = [o.param_groups[0]["lr"] for o in optimisers]
    model.train()
    seen, step, loss_mean, started = 0, 0, 0.0, time.monotonic()
    with tqdm(total=settings.tokens, unit="tok", unit_scale=True, desc=label, mininterval=5) as bar:
        for batch in batches(examples, encode, settings):
            rate = _schedule(step, seen / settings.tokens, settings)
            for optimiser, lr in zip(optimisers, base_lrs, strict=True):
                for group in optimiser.param_groups:
                    group["lr"] = lr * rate
            inputs_B_T, labels_B_T = tensors(batch)
            loss = model(input_ids=inputs_B_T, labels=labels_B_T).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.step()
                optimiser.zero_grad()
            step += 1
            seen += inputs_B_T.numel()
            loss_mean = loss.item() if step == 1 else 0.98 * loss_mean + 0.02 * loss.item()
            bar.update(inputs_B_T.numel())
            bar.set_postfix(loss=f"{loss_mean:.4f}", refresh=False)
            if seen >= settings.tokens:
                break
    model.eval()
    return FitReport(tokens=seen, steps=step, seconds=time.monotonic() - started, loss=loss_mean)


def batches(
    examples: Iterator[Example], encode: Encode, settings: FitSettings
) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yield batches of about ``batch_tokens`` tokens, each of texts of near-equal length, in random order."""
    rng = random.Random(settings.seed)
    while window := [encode(example) for example in islice(examples, settings.window)]:
        window.sort(key=lambda ids: len(ids[0]) + len(ids[1]))
        cut: list[list[tuple[list[int], list[int]]]] = [[]]
        for ids in window:
            cut[-1].append(ids)
            if (len(ids[0]) + len(ids[1])) * len(cut[-1]) >= settings.batch_tokens:
                cut.append([])
        rng.shuffle(cut)
        yield from (batch for batch in cut if batch)


def tensors(batch: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels of a batch; prompts and padding are not learned."""
    longest = max(len(p) + len(r) for p, r in batch)
    inputs_B_T = torch.zeros(len(batch), longest, dtype=torch.long)
    labels_B_T = torch.full((len(batch), longest), -100)
    for row, (prompt, reply) in enumerate(batch):
        end = len(prompt) + len(reply)
        inputs_B_T[row, :end] = torch.tensor(prompt + reply)
        labels_B_T[row, len(prompt) : end] = torch.tensor(reply)
    return inputs_B_T, labels_B_T


def _schedule(step: int, share: float, settings: FitSettings) -> float:
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    return max(1e-3, warm * min(1.0, (1 - share) / settings.decay_share))


def _optimisers(model: Any, settings: FitSettings) -> list[torch.optim.Optimizer]:  # noqa: ANN401
    hidden: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            matrix = p.ndim == 2 and "embed" not in name and "lm_head" not in name and "lora_" not in name
            (hidden if matrix else rest).append(p)
    made: list[torch.optim.Optimizer] = []
    if hidden:
        made.append(Muon(hidden, lr=settings.muon_lr))
    if rest:
        made.append(torch.optim.AdamW(rest, lr=settings.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0))
    return made
