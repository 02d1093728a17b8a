"""``python -m training.embedded``: from nothing to the shipped models of a domain, on two cores, in stages that resume.

Parts that can run at once are in two lanes, a process each; the rest follows, ``calibrate`` last. A finished part is
kept: ``--fresh`` starts over.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from training.embedded.domain import Domain
from training.embedded.domains import DOMAINS
from training.embedded.supervised import keep_supervised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from training.fit import FitReport

LABELLED: Final = 2000
"""Problems that the allocator learns from."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", choices=list(DOMAINS), default="arithmetic", help="whose models")
    parser.add_argument("--out", type=Path, help="folder of the models (default: the package's, of the domain)")
    parser.add_argument("--fresh", action="store_true", help="train everything again")
    parser.add_argument("--only", help="one part: a pool model's name, or one of decomposer, allocator, calibrate")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all token budgets, for a quick try")
    args = parser.parse_args()
    domain = DOMAINS[args.domain]
    out, started = args.out or domain.home, time.monotonic()
    if args.only:
        run_part(domain, args.only, out, args.scale)
        return
    if args.fresh:
        for done in out.rglob("*.done"):
            done.unlink()
    processes = [_lane(domain, lane, out, args.scale) for lane in domain.lanes]
    codes = [p.wait() for p in processes]
    if any(codes):
        sys.exit(f"a stage failed (exit codes {codes}); run again to go on from what is finished")
    for part in domain.last:
        run_part(domain, part, out, args.scale)
    if domain.supervised is not None and out == domain.home:
        keep_supervised(out, domain.supervised)
    size = sum(f.stat().st_size for f in out.rglob("*.safetensors"))
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes; safetensors: {size / 1e6:.2f} MB")


def _lane(domain: Domain, parts: "Sequence[str]", out: Path, scale: float) -> subprocess.Popen[bytes]:
    """Run parts one after another in a process of its own."""
    code = (
        "from pathlib import Path; from training.embedded.__main__ import DOMAINS, run_part\n"
        f"for part in {list(parts)!r}: run_part(DOMAINS[{domain.name!r}], part, Path({str(out)!r}), {scale!r})"
    )
    one_core = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
    )  # the other lane has the other
    return subprocess.Popen([sys.executable, "-c", code], env=one_core)  # noqa: S603 - this interpreter, code from above


def run_part(domain: Domain, part: str, home: Path, scale: float) -> None:
    """Run one part unless it is finished."""
    import torch

    from training.embedded.tokenizer import write_tokenizer

    torch.set_num_threads(1)
    done = home / f"{part}.done"
    if done.exists():
        print(f"{part}: finished before")
        return
    tokenizer = write_tokenizer(home / "tokenizer", domain.tokenizer())
    if part == "decomposer":
        from training.embedded.router import train_decomposer

        _write_reports(home, part, train_decomposer(domain, tokenizer, home))
    elif part == "allocator":
        _allocator(domain, home, tokenizer, scale)
    elif part == "calibrate":
        from training.embedded.calibrate import write_pool, write_router

        settings = write_router(domain, home, tokenizer, write_pool(domain, home, tokenizer))
        print(json.dumps(settings["chosen_on"], indent=1))
    elif part in {size.name for size in domain.pool}:
        from training.embedded.models import train_pool_model

        size = next(s for s in domain.pool if s.name == part)
        size = size._replace(tokens=int(size.tokens * scale))
        train_pool_model(size, tokenizer, home / size.name, domain=domain)
    else:
        parts = [p for lane in (*domain.lanes, domain.last) for p in lane]
        if part not in parts:
            sys.exit(f"no part {part!r}; parts: {', '.join(parts)}")
        domain.prepare(part, home, tokenizer)
    done.touch()


def _allocator(domain: Domain, home: Path, tokenizer: "Tokenizer", scale: float) -> None:
    from training.embedded.labels import label
    from training.embedded.models import load_engine
    from training.embedded.router import train_allocator

    engines = {s.name: load_engine(home / s.name, tokenizer) for s in domain.pool[:-1]}
    labelled, histogram = label(domain, home, engines, tokenizer, int(LABELLED * scale))
    shares = {rank: n / sum(histogram.values()) for rank, n in histogram.items()}
    print("share of labels by rank:", {rank: round(share, 3) for rank, share in shares.items()})
    reports = train_allocator(domain, tokenizer, home, labelled)
    _write_reports(home, "allocator", reports, label_shares_by_rank=shares, problems=len(labelled))


def _write_reports(home: Path, role: str, reports: "dict[str, FitReport]", **facts: object) -> None:
    from training.embedded.models import write_json

    write_json(home / "router" / f"{role}_fit.json", facts | {name: r.__dict__ for name, r in reports.items()})


if __name__ == "__main__":
    main()
