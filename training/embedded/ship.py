"""Ship the router that is best on validation: ``python -m training.embedded.ship train-results ablation-results``.

Of all routers whose figures on validation lie in the given folders (``homes/*/chosen.json``), and of the one that is
shipped now, the cheapest of the most accurate is taken. Its adapters are stored in half precision, as all shipped
weights are; with these it is calibrated and settled once more, and then it is put into the package.
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from langchain_r2.embedded.bundle import HOME
from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError
from training.embedded.calibrate import cheapest_of_the_best
from training.embedded.homes import new_home, settle
from training.embedded.models import write_json
from training.embedded.records import CHOSEN
from training.executions import ExecutionCache
from training.sft_data import ROLES


def candidates(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """How every router did on validation, with its home.

    Raises:
        BadValueError: There is none in one of the folders.
    """
    found = []
    for folder in folders:
        files = sorted(folder.glob(f"homes/*/{CHOSEN}"))
        if not files:
            hint = "`make train-embedded` and `make ablations` write such folders."
            raise BadValueError("folder of routers", str(folder), f"one with homes/*/{CHOSEN}", hint)
        found += [{"home": file.parent, **read_json(file)} for file in files]
    return found


def half(adapter: Path, base: str, folder: Path) -> Path:
    """Copy an adapter in half precision, with nothing of this machine in it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(adapter / "adapter_model.safetensors")
    halved = {name: weight.to(torch.float16) for name, weight in weights.items()}
    save_file(halved, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    stated = read_json(adapter / "adapter_config.json")
    stated |= {"base_model_name_or_path": f"../{base}", "inference_mode": True}
    stated["target_modules"] = sorted(stated["target_modules"])
    (folder / "adapter_config.json").write_text(json.dumps(stated, indent=1, sort_keys=True))
    return folder


def settled(best: Path, out: Path, cache: ExecutionCache) -> dict[str, Any]:
    """Make a home of a router's halved adapters, settle it; returns how it did on validation."""
    adapters = {role: half(best / "router" / role, f"{role}_base", out / "halved" / role) for role in ROLES}
    home = new_home(out / "home", decomposer=adapters["decomposer"], allocator=adapters["allocator"])
    return settle(home, cache)


def put(out: Path, came_from: str, home: Path) -> None:
    """Put a settled router into a folder of models, in place of the one that is there."""
    for role in ROLES:
        shutil.copytree(out / "halved" / role, home / "router" / role, dirs_exist_ok=True)
    write_json(home / "router.json", {**read_json(out / "home" / "router.json"), "adapters": came_from})


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="what train-embedded and ablations wrote")
    parser.add_argument("--out", type=Path, default=Path("ship-results"), help="folder to settle the router in")
    parser.add_argument("--cache", type=Path, help="file of executions; default: OUT/executions.sqlite")
    parser.add_argument("--home", type=Path, default=HOME, help="folder of models to put it into")
    parser.add_argument("--dry-run", action="store_true", help="choose and settle, but leave the models as they are")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    rows = candidates(args.folders)
    best = cheapest_of_the_best(rows)
    for row in sorted(rows, key=lambda row: float(row["usd_per_query"])):
        mark = "*" if row is best else " "
        figures = f"{100 * row['accuracy']:5.1f} % {1e6 * row['usd_per_query']:6.1f} USD per million queries"
        print(mark, figures, row["home"].name)
    now = settled(best["home"], args.out, ExecutionCache(args.cache or args.out / "executions.sqlite"))
    print("halved and settled anew:", json.dumps(now))
    if not args.dry_run:
        put(args.out, best["home"].name, args.home)


if __name__ == "__main__":
    main()
