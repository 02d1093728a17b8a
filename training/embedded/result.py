"""``make train-embedded``: what supervised training and two rounds of reinforcement give on the embedded pool.

Per seed: adapters are fitted to verified plans and allocations (``sft``), then learn in two rounds of alternating GRPO
(``grpo1``, ``grpo2``). Settings of the supervised fit are chosen on validation, among as many fits as take at least the
processor time of reinforcement. Every stage's router is settled (calibration, coverage, threshold) on validation and
run on the three tests; the records lie in OUT/records, and ``training.embedded.tables`` makes the tables of them.
Whatever is finished is kept: started again, it goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from langchain_r2.embedded.bundle import HOME
from training.commands_sft import sft_texts
from training.costs import stage
from training.embedded.calibrate import TOLERANCE
from training.embedded.homes import ROLES, new_home, settle
from training.embedded.models import write_json
from training.embedded.records import record
from training.executions import ExecutionCache
from training.settings import SftSettings, read_settings

CONFIG: Final = "embedded"
RATES: Final = (5e-5, 1e-4, 2e-4)
"""Learning rates that the supervised fit is tried with."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much of everything."""

    problems: int = 300
    """Labelled for the supervised fit."""
    steps: int = 40
    """Of one phase of reinforcement."""
    rounds: int = 2
    tests: int = 500
    """Problems per test."""


def data(out: Path, sizes: Sizes) -> None:
    """Sample plans and search labels, as the commands do."""
    for command in ("sample", "label"):
        limit = ["--limit", str(sizes.problems), "--cache", str(out / "executions.sqlite")]
        arguments = ["-m", "training", command, "--config", CONFIG, "--out", str(out / "data"), *limit]
        subprocess.run([sys.executable, *arguments], check=True)  # noqa: S603 - this interpreter, arguments from above


def sft(out: Path, folder: Path, rate: float, seed: int) -> dict[str, float]:
    """Fit both adapters; returns the seconds by role."""
    from training.sft import fit_adapter

    settings = replace(read_settings(CONFIG, "sft", SftSettings), learning_rate=rate, seed=seed)
    seconds = {}
    for role in ROLES:
        texts, provenance = sft_texts(role, CONFIG, settings, out / "data")
        with stage(f"sft-{role}", out / "data" / "ledger.jsonl") as facts:
            report = fit_adapter(role, texts, settings, folder / role, provenance)
            facts |= {"tokens": report.tokens, "steps": report.steps, "texts": report.texts}
        seconds[role] = report.seconds
    return seconds


def try_rate(out: Path, rate: float, cache: ExecutionCache) -> None:
    """Fit with a learning rate, and run on validation what it gives."""
    folder = out / "sft" / f"rate-{rate:g}"
    file = folder / "tried.json"
    if not file.exists():
        seconds = sft(out, folder, rate, seed=0)
        home = new_home(folder / "home", decomposer=folder / "decomposer", allocator=folder / "allocator")
        write_json(file, {"rate": rate, "seconds": seconds, **settle(home, cache)})


def chosen_rate(out: Path) -> float:
    """The learning rate whose router is best on validation, the cheapest of those within the tolerance."""
    tried = [json.loads((out / "sft" / f"rate-{rate:g}" / "tried.json").read_text()) for rate in RATES]
    best = max(row["accuracy"] for row in tried)
    good = [row for row in tried if row["accuracy"] >= best - TOLERANCE]
    return float(min(good, key=lambda row: row["usd_per_query"])["rate"])


def reinforce(out: Path, seed: int, sizes: Sizes, adapters: Path) -> Path:
    """Run the rounds from supervised adapters; returns the folder of the run."""
    from training.alternate import RunSettings, opened_run

    settings = RunSettings.read(CONFIG)
    roles = {role: replace(getattr(settings, role), adapter=str(adapters / role)) for role in ROLES}
    settings = replace(
        settings,
        data=replace(settings.data, limit=sizes.problems, seed=seed, shard="reinforcement"),
        alternate=replace(settings.alternate, rounds=sizes.rounds),
        grpo=replace(settings.grpo, steps=sizes.steps, seed=seed),
        **roles,
    )
    folder = out / f"grpo-{seed}"
    with opened_run(settings, folder, out / "executions.sqlite") as run:
        run.run()
    return folder


def one_seed(out: Path, seed: int, sizes: Sizes) -> None:
    """Everything of one seed."""
    cache = ExecutionCache(out / "executions.sqlite")
    rate = chosen_rate(out)
    adapters = out / "sft" / (f"rate-{rate:g}" if seed == 0 else f"seed-{seed}")
    if seed:
        sft(out, adapters, rate, seed)
    start = {role: adapters / role for role in ROLES}
    record(out, "sft", seed, start, sizes.tests, cache)
    run = reinforce(out, seed, sizes, adapters)
    for number in range(1, sizes.rounds + 1):
        ended = {role: run / "adapters" / f"r{number}-{role}" for role in ROLES}
        record(out, f"grpo{number}", seed, ended, sizes.tests, cache)


def in_lanes(parts: Iterable[list[str]], common: list[str], lanes: int = 2) -> None:
    """Run parts in processes of one thread, so many at once."""
    waiting, running = list(parts), list[subprocess.Popen[bytes]]()
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "training.embedded.result", *common]
    while waiting or running:
        while waiting and len(running) < lanes:
            running.append(subprocess.Popen([*command, *waiting.pop(0)], env=env))  # noqa: S603 - as above
        ended = next((process for process in running if process.poll() is not None), None)
        if ended is None:
            time.sleep(1)
            continue
        running.remove(ended)
        if ended.returncode:
            for process in running:
                process.terminate()
            sys.exit("a part failed; start again to go on from what is finished")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("train-results"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="only this seed, once the data is there and the rate is chosen")
    parser.add_argument("--rate", type=float, help="only the supervised fit with this learning rate")
    for name, value in asdict(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    sizes = Sizes(**{name: getattr(args, name) for name in asdict(Sizes())})
    args.out.mkdir(parents=True, exist_ok=True)
    if args.rate is not None:
        try_rate(args.out, args.rate, ExecutionCache(args.out / "executions.sqlite"))
    elif args.seed is not None:
        one_seed(args.out, args.seed, sizes)
    else:
        everything(args.out, args.seeds, sizes)


def everything(out: Path, seeds: int, sizes: Sizes) -> None:
    """All parts, then the tables."""
    started = time.monotonic()
    common = ["--out", str(out), *(f"--{name}={value}" for name, value in asdict(sizes).items())]
    data(out, sizes)
    in_lanes(([f"--rate={rate:g}"] for rate in RATES), common)
    in_lanes(([f"--seed={seed}"] for seed in range(seeds)), common)
    shipped = {role: HOME / "router" / role for role in ROLES}
    record(out, "shipped", 0, shipped, sizes.tests, ExecutionCache(out / "executions.sqlite"))
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes")
    subprocess.run([sys.executable, "-m", "training.embedded.tables", str(out / "records")], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
