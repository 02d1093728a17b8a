"""The commands ``alternate``, ``grpo`` and ``export``."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from training.grpo_settings import Mode
from training.settings import CONFIGS


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands."""
    alternate = commands.add_parser("alternate", help="reinforce both roles in rounds; run again to go on")
    grpo = commands.add_parser("grpo", help="reinforce one role, once, the other one frozen; run again to go on")
    for parser in (alternate, grpo):
        parser.add_argument("--config", default="embedded", help=f"TOML file, or a name in {CONFIGS.name}/")
        parser.add_argument(
            "--out", type=Path, required=True, help="folder: adapters/, data/, metrics.jsonl, ledger.jsonl"
        )
        parser.add_argument("--cache", type=Path, help="file of executions (default: OUT/executions.sqlite)")
        parser.add_argument("--steps", type=int, help="of a phase, in place of the config's")
        parser.add_argument("--seed", type=int, help="in place of the config's")
    alternate.add_argument("--mode", choices=get_args(Mode), help="in place of the config's")
    alternate.add_argument("--rounds", type=int, help="in place of the config's")
    grpo.add_argument("--role", choices=("decomposer", "allocator"), required=True)
    alternate.set_defaults(run=run_alternate)
    grpo.set_defaults(run=run_grpo)
    export = commands.add_parser("export", help="write an adapter with tokenizer and card, or merged into its base")
    export.add_argument("--adapter", type=Path, required=True)
    export.add_argument("--base", required=True, help="folder or Hugging Face id that it was trained on")
    export.add_argument("--tokenizer", help="folder or id (default: the base's)")
    export.add_argument("--role", choices=("decomposer", "allocator"), required=True)
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--merged", action="store_true", help="one model, for servers without adapters")
    export.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"), help="when merged")
    export.set_defaults(run=run_export)


def run_alternate(args: argparse.Namespace) -> None:
    """Rounds."""
    changed = {"mode": args.mode, "rounds": args.rounds}
    _run(args, {name: value for name, value in changed.items() if value is not None})


def run_grpo(args: argparse.Namespace) -> None:
    """One phase of one role."""
    _run(args, {"mode": args.role, "rounds": 1})


def _run(args: argparse.Namespace, rounds: dict[str, Any]) -> None:
    from training.alternate import opened_run
    from training.run_settings import RunSettings

    settings = RunSettings.read(args.config)
    changed = {name: getattr(args, name) for name in ("steps", "seed") if getattr(args, name) is not None}
    settings = replace(
        settings, grpo=replace(settings.grpo, **changed), alternate=replace(settings.alternate, **rounds)
    )
    with opened_run(settings, args.out, args.cache) as run:
        adapters = run.run()
    for role, folder in adapters.items():
        print(f"{role}: {folder}")
    for marker in sorted((args.out / "stages").glob("*-data.json"), key=lambda file: file.stat().st_mtime):
        row = json.loads(marker.read_text())
        print(f"{row['name']}: {row['accuracy']:.1%} right on the training data, {row['cost_usd']:.3g} USD a query")


def run_export(args: argparse.Namespace) -> None:
    """Export."""
    from training.export import export_adapter, export_merged

    tokenizer, facts = args.tokenizer or args.base, {"role": args.role}
    if args.merged:
        export_merged(args.adapter, args.out, base=args.base, tokenizer=tokenizer, facts=facts, dtype=args.dtype)
    else:
        export_adapter(args.adapter, args.out, base=args.base, tokenizer=tokenizer, facts=facts)
    print(args.out)
