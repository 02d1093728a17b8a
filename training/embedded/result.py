"""``make train-embedded``: what supervised training and two rounds of reinforcement give on the embedded pool.

Per seed: adapters are fitted to verified plans and allocations (``sft``), then learn in two rounds of alternating GRPO
(``grpo1``, ``grpo2``). The supervised fit is tuned on validation before (``training.embedded.tuning``), from the
adapters of ``make embedded``; ``shipped`` is the router of the package, which may have been reinforced before. Every
stage's router is settled (calibration, coverage, threshold) on validation and run on the three tests; the records lie
in OUT/records, and ``training.embedded.tables`` makes the tables of them.
Whatever is finished is kept: started again, it goes on.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from langchain_r2.embedded.bundle import HOME
from training.embedded.records import record
from training.embedded.tuning import BY_NAME, CONFIG, carry_out, is_fitted, table, tries_of, tuned
from training.executions import ExecutionCache
from training.sft_data import ROLES


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


def reinforce(out: Path, seed: int, sizes: Sizes, adapters: Mapping[str, Path]) -> Path:
    """Run the rounds from supervised adapters; returns the folder of the run."""
    from training.alternate import opened_run
    from training.run_settings import RunSettings

    settings = RunSettings.read(CONFIG)
    roles = {role: replace(getattr(settings, role), adapter=str(adapters[role])) for role in ROLES}
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
    start = tuned(out, seed)
    if not seed or is_fitted(out):  # else it is the same for all seeds, and tables let it stand beside every one
        record(out, "sft", seed, start, sizes.tests, cache)
    run = reinforce(out, seed, sizes, start)
    for number in range(1, sizes.rounds + 1):
        ended: dict[str, Path] = {role: run / "adapters" / f"r{number}-{role}" for role in ROLES}
        record(out, f"grpo{number}", seed, ended, sizes.tests, cache)


def in_lanes(parts: Iterable[list[str]], common: list[str], lanes: int) -> None:
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
                process.wait()
            sys.exit("a part failed; start again to go on from what is finished")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("train-results"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="only this seed, once the data is there and the rate is chosen")
    parser.add_argument("--shipped", action="store_true", help="only the router that is shipped, on the tests")
    parser.add_argument("--try", dest="attempt", choices=list(BY_NAME), help="only this supervised fit")
    parser.add_argument("--lanes", type=int, default=2, help="processes at once")
    for name, value in asdict(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    sizes = Sizes(**{name: getattr(args, name) for name in asdict(Sizes())})
    args.out.mkdir(parents=True, exist_ok=True)
    if args.attempt is not None:
        carry_out(args.out, BY_NAME[args.attempt], ExecutionCache(args.out / "executions.sqlite"))
    elif args.shipped:
        adapters: dict[str, Path] = {role: HOME / "router" / role for role in ROLES}
        record(args.out, "shipped", 0, adapters, sizes.tests, ExecutionCache(args.out / "executions.sqlite"))
    elif args.seed is not None:
        one_seed(args.out, args.seed, sizes)
    else:
        everything(args.out, args.seeds, sizes, args.lanes)


def everything(out: Path, seeds: int, sizes: Sizes, lanes: int) -> None:
    """All parts, then the tables."""
    started = time.monotonic()
    common = ["--out", str(out), *(f"--{name}={value}" for name, value in asdict(sizes).items())]
    data(out, sizes)
    for role in ROLES:  # the second one is fitted beside what was chosen of the first
        in_lanes(([f"--try={attempt.name}"] for attempt in tries_of(role)), common, lanes)
    print(table(out))
    in_lanes([*([f"--seed={seed}"] for seed in range(seeds)), ["--shipped"]], common, lanes)
    print(f"done in {(time.monotonic() - started) / 60:.1f} minutes")
    subprocess.run([sys.executable, "-m", "training.embedded.tables", str(out / "records")], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
