"""The command ``sft``."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.costs import stage
from training.lines import read_lines, short_hash
from training.settings import PoolSettings, SftSettings, read_settings

if TYPE_CHECKING:
    from training.sft_data import Role, Text


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser("sft", help="fit a LoRA adapter of one role to labels")
    parser.add_argument("role", choices=["decomposer", "allocator"])
    parser.add_argument("--config", default="embedded", help="TOML file, or a name in training/configs")
    parser.add_argument("--labels", type=Path, required=True, help="folder that `label` has written")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapter")
    parser.add_argument("--base", help="folder or Hugging Face id, in place of the config's")
    parser.add_argument("--seed", type=int, help="in place of the config's")
    parser.set_defaults(run=run_sft)


def run_sft(args: argparse.Namespace) -> None:
    """Fit."""
    from training.sft import fit_adapter

    settings = read_settings(args.config, "sft", SftSettings)
    given = {"base": args.base, "seed": args.seed}
    settings = dataclasses.replace(settings, **{name: value for name, value in given.items() if value is not None})
    texts, provenance = sft_texts(args.role, args.config, settings, args.labels)
    with stage(f"sft-{args.role}", args.labels / "ledger.jsonl") as facts:
        report = fit_adapter(args.role, texts, settings, args.out, provenance)
        facts |= {"tokens": report.tokens, "steps": report.steps, "texts": report.texts}
    shown = {k: v for k, v in dataclasses.asdict(report).items() if k not in {"provenance", "settings"}}
    print(json.dumps(shown, indent=1))


def sft_texts(role: "Role", config: str, settings: SftSettings, labels: Path) -> "tuple[list[Text], dict[str, Any]]":
    """A role's texts from a folder of labels, and what they follow from."""
    from training.executions import CachedTransport, ExecutionCache
    from training.sft import base_paths
    from training.sft_data import texts_for
    from training.sources import local_model, open_allocator, open_pool

    pool_settings = read_settings(config, "pool", PoolSettings)
    rows = read_lines(labels / "labels.jsonl")
    allocator = None
    if role == "allocator":
        pool, _ = open_pool(pool_settings)
        base, tokenizer = base_paths("allocator", settings)
        placed = dataclasses.replace(pool_settings, tokenizer=tokenizer)
        spec = local_model("allocator", base, placed, pool, prompt_style=settings.prompt_style)
        transport = CachedTransport(ExecutionCache())
        allocator = open_allocator(spec, pool, transport, embedded=not settings.shuffle_aliases)
    texts = texts_for(role, rows, settings, max_subtasks=pool_settings.max_subtasks, allocator=allocator)
    return texts, {**rows[0]["provenance"], "texts": short_hash([[t.messages[-1].text, t.reply] for t in texts])}
