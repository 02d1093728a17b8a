"""``python -m training.embedded``: from nothing to the shipped models, on two cores, in stages that resume.

Stages: ``pool`` (nine models; two processes, the largest alone in one), ``router`` (labels by the eight smaller models,
base, adapters; starts as soon as those are there), ``calibrate``. A finished part is kept: ``--fresh`` starts over.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from langchain_r2.embedded.bundle import HOME
from training.embedded.sizes import POOL


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HOME, help="folder of the models (default: the package's)")
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--only", help="one part: a pool model's name, router, or calibrate")
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
    lanes = [[largest], [*rest, "router"]]
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
    return subprocess.Popen([sys.executable, "-c", code])  # noqa: S603 - this interpreter, and code written above


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
    if part == "router":
        _router(home, tokenizer, scale)
    elif part == "calibrate":
        from training.embedded.calibrate import write_pool, write_router

        settings = write_router(home, tokenizer, write_pool(home, tokenizer))
        print(json.dumps(settings["chosen_on"], indent=1))
    else:
        from training.embedded.models import train_pool_model

        size = next((s for s in POOL if s.name == part), None)
        if size is None:
            sys.exit(f"no part {part!r}; parts: {', '.join([*(s.name for s in POOL), 'router', 'calibrate'])}")
        train_pool_model(size._replace(tokens=int(size.tokens * scale)), tokenizer, home / size.name)
    done.touch()


def _router(home: Path, tokenizer: object, scale: float) -> None:
    from tokenizers import Tokenizer

    from training.embedded import router
    from training.embedded.labels import label
    from training.embedded.models import load_engine, write_json

    assert isinstance(tokenizer, Tokenizer)
    engines = {s.name: load_engine(home / s.name, tokenizer) for s in POOL[:-1]}
    labelled, histogram = label(engines, tokenizer, int(2000 * scale), models=len(POOL))
    shares = {rank: n / sum(histogram.values()) for rank, n in histogram.items()}
    print("share of labels by rank:", {rank: round(share, 3) for rank, share in shares.items()})
    half = len(labelled) // 2
    reports = {}
    for role, examples in (
        ("decomposer", router.plan_examples("router-adapter")),
        ("allocator", router.allocate_examples(labelled, 1, shuffle=False)),
    ):
        base = home / "router" / f"{role}_base"
        reports[f"{role}_base"] = router.train_base(role, tokenizer, labelled[:half], base)
        reports[role] = router.train_adapter(role, examples, tokenizer, base, home / "router" / role)
    facts = {name: report.__dict__ for name, report in reports.items()}
    write_json(home / "router" / "fit.json", {"label_shares_by_rank": shares, "problems": len(labelled), **facts})


if __name__ == "__main__":
    main()
