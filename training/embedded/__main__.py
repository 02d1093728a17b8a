"""``python -m training.embedded``: from nothing to the shipped models, on two cores, in stages that resume.

Two processes: the largest model, then the decomposer; the other eight models, then labels by them and the allocator.
Last, ``calibrate``. A finished part is kept: ``--fresh`` starts over.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from langchain_r2.embedded.bundle import HOME
from training.embedded.sizes import POOL

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from training.fit import FitReport

LABELLED: Final = 2000
"""Problems that the allocator learns from."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HOME, help="folder of the models (default: the package's)")
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--only", help="one part: a pool model's name, or one of decomposer, allocator, calibrate")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all token budgets, for a quick try")
    args = parser.parse_args()
    started = time.monotonic()
    if args.only:
        run_part(args.only, args.out, args.scale)
        return
    if args.fresh:
        for done in args.out.rglob("*.done"):
            done.unlink()
    largest, rest = POOL[-1].name, [size.name for size in reversed(POOL[:-1])]
    lanes = [[largest, "decomposer"], [*rest, "allocator"]]
    processes = [_lane(lane, args.out, args.scale) for lane in lanes]
    codes = [p.wait() for p in processes]
    if any(codes):
        sys.exit(f"a stage failed (exit codes {codes}); run again to go on from what is finished")
    run_part("calibrate", args.out, args.scale)
    size = sum(f.stat().st_size for f in args.out.rglob("*.safetensors"))
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes; safetensors: {size / 1e6:.2f} MB")


def _lane(parts: list[str], out: Path, scale: float) -> subprocess.Popen[bytes]:
    """Run parts one after another in a process of its own."""
    code = "import sys; from pathlib import Path; from training.embedded.__main__ import run_part\n" + "\n".join(
        f"run_part({part!r}, Path({str(out)!r}), {scale!r})" for part in parts
    )
    one_core = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
    )  # the other lane has the other
    return subprocess.Popen([sys.executable, "-c", code], env=one_core)  # noqa: S603 - this interpreter, code from above


def run_part(part: str, home: Path, scale: float) -> None:
    """Run one part unless it is finished."""
    import torch

    from training.embedded.tokenizer import write_tokenizer

    torch.set_num_threads(1)
    done = home / f"{part}.done"
    if done.exists():
        print(f"{part}: finished before")
        return
    tokenizer = write_tokenizer(home / "tokenizer")
    if part == "decomposer":
        from training.embedded.router import train_decomposer

        _write_reports(home, part, train_decomposer(tokenizer, home / "router"))
    elif part == "allocator":
        _allocator(home, tokenizer, scale)
    elif part == "calibrate":
        from training.embedded.calibrate import write_pool, write_router

        settings = write_router(home, tokenizer, write_pool(home, tokenizer))
        print(json.dumps(settings["chosen_on"], indent=1))
    else:
        from training.embedded.models import train_pool_model

        size = next((s for s in POOL if s.name == part), None)
        if size is None:
            parts = [*(s.name for s in POOL), "decomposer", "allocator", "calibrate"]
            sys.exit(f"no part {part!r}; parts: {', '.join(parts)}")
        train_pool_model(size._replace(tokens=int(size.tokens * scale)), tokenizer, home / size.name)
    done.touch()


def _allocator(home: Path, tokenizer: "Tokenizer", scale: float) -> None:
    from training.embedded.labels import label
    from training.embedded.models import load_engine
    from training.embedded.router import train_allocator

    engines = {s.name: load_engine(home / s.name, tokenizer) for s in POOL[:-1]}
    labelled, histogram = label(engines, tokenizer, int(LABELLED * scale), models=len(POOL))
    shares = {rank: n / sum(histogram.values()) for rank, n in histogram.items()}
    print("share of labels by rank:", {rank: round(share, 3) for rank, share in shares.items()})
    reports = train_allocator(tokenizer, home / "router", labelled)
    _write_reports(home, "allocator", reports, label_shares_by_rank=shares, problems=len(labelled))


def _write_reports(home: Path, role: str, reports: "dict[str, FitReport]", **facts: object) -> None:
    from training.embedded.models import write_json

    write_json(home / "router" / f"{role}_fit.json", facts | {name: r.__dict__ for name, r in reports.items()})


if __name__ == "__main__":
    main()
