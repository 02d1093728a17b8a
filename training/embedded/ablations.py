"""``make ablations``: what each part of reinforcement is worth, on the embedded pool.

All variations start from the same supervised adapters, learn on the same problems with as many steps, are settled on
validation in the same way, and run on the same tests. Whatever is finished is kept: started again, it goes on.
"""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Literal

from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError, R2Error
from training.embedded.records import CHOSEN, TESTS, record, records_file
from training.embedded.tables import read_runs, table
from training.executions import ExecutionCache
from training.grpo_settings import Mode
from training.sft_data import ROLES

START: Final = "sft"
"""The variation that changes nothing; the others are compared with it."""
TOLERANCE: Final = 0.005
"""Of the variations whose accuracy on validation is within this of the best, the cheapest counts as best."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """One line of the table."""

    name: str
    about: str
    kind: Literal["start", "corrected", "reinforced"] = "reinforced"
    mode: Mode = "alternating"
    rounds: int = 1
    """Times as many: where one role learns, it gets the steps of both."""
    eta: float = 0.3
    kappa: float = 0.0
    malformed: float = -1.0
    curriculum: Literal["random", "easy_to_hard"] = "random"


VARIATIONS: Final = (
    Variation(name=START, kind="start", about="the adapters that all others start from"),
    Variation(name="corrected", kind="corrected", about="supervised training on corrected traces"),
    Variation(name="alternating", about="decomposer, then allocator, in rounds; savings count"),
    Variation(name="joint", mode="joint", about="both roles take turns every few steps"),
    Variation(name="decomposer-only", mode="decomposer", rounds=2, about="the allocator stays as it was"),
    Variation(name="allocator-only", mode="allocator", rounds=2, about="the decomposer stays as it was"),
    Variation(name="no-eta", eta=0.0, about="a right answer earns the same whatever it cost"),
    Variation(name="kappa", kappa=0.3, about="an allocator also earns for agreeing with labels"),
    Variation(name="kappa-no-eta", eta=0.0, kappa=0.3, about="labels count, savings do not"),
    Variation(name="paper", eta=0.0, malformed=0.0, about="the paper's reward: 1 for a right answer, else 0"),
    Variation(name="easy-to-hard", curriculum="easy_to_hard", about="problems in the order of their difficulty"),
)


BY_NAME: Final = {variation.name: variation for variation in VARIATIONS}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What all variations share."""

    out: Path
    config: str = "embedded"
    start: Path | None = None
    """Folder with the adapters ``decomposer`` and ``allocator``; None: they are fitted here."""
    problems: int = 300
    steps: int = 40
    """Of one phase of reinforcement."""
    rounds: int = 2
    tests: int = 500
    """Problems per test."""
    splits: tuple[str, ...] = TESTS
    """Which tests."""

    @property
    def cache(self) -> Path:
        """The executions of all."""
        return self.out / "executions.sqlite"

    def adapters(self) -> dict[str, Path]:
        """What all start from.

        Raises:
            BadValueError: A role has none.
        """
        folder = self.start or self.out / "start"
        found: dict[str, Path] = {role: folder / role for role in ROLES}
        for role, place in found.items():
            if not (place / "adapter_config.json").exists():
                hint = "`python -m training sft` writes them; without --start they are fitted here."
                raise BadValueError(f"adapter of the {role} to start from", str(place), "a folder of one", hint)
        return found


def run_settings(variation: Variation, seed: int, options: Options) -> Any:  # noqa: ANN401 - its module imports torch
    """The settings of a variation's run."""
    from training.run_settings import RunSettings

    settings = RunSettings.read(options.config)
    start = options.adapters()
    rounds = options.rounds * variation.rounds
    reward = {name: getattr(variation, name) for name in ("eta", "kappa", "malformed", "curriculum")}
    return replace(
        settings,
        data=replace(settings.data, limit=options.problems, seed=seed, shard="reinforcement"),
        alternate=replace(settings.alternate, mode=variation.mode, rounds=rounds),
        grpo=replace(settings.grpo, steps=options.steps, seed=seed, **reward),
        decomposer=replace(settings.decomposer, adapter=str(start["decomposer"])),
        allocator=replace(settings.allocator, adapter=str(start["allocator"])),
    )


def trained(variation: Variation, seed: int, options: Options) -> dict[str, Path]:
    """Train a variation; the adapters that came out, by role."""
    start = options.adapters()
    if variation.kind == "start":
        return start
    settings, folder = run_settings(variation, seed, options), options.out / "runs" / f"{variation.name}-{seed}"
    if variation.kind == "corrected":
        from training.embedded.corrected import fit_corrected
        from training.settings import SamplingSettings, SftSettings, read_settings

        sampling = replace(read_settings(options.config, "sampling", SamplingSettings), seed=seed)
        sft = replace(read_settings(options.config, "sft", SftSettings), seed=seed)
        return fit_corrected(settings, sampling, sft, folder, options.cache)
    from training.alternate import opened_run

    with opened_run(settings, folder, options.cache) as run:
        return start | run.run()


def one(variation: Variation, seed: int, options: Options) -> None:
    """Train a variation and run what came out, unless that is done."""
    if records_file(options.out, variation.name, seed).exists():
        return
    adapters = trained(variation, seed, options)
    cache = ExecutionCache(options.cache)
    try:
        record(options.out, variation.name, seed, adapters, options.tests, cache, splits=options.splits)
    finally:
        cache.close()


def fit_start(options: Options) -> None:
    """Fit the adapters that all start from, with the commands and settings of the config."""
    data = ["--config", options.config, "--out", str(options.out / "data")]
    for command in ("sample", "label"):
        _training(command, *data, "--limit", str(options.problems), "--cache", str(options.cache))
    for role in ROLES:
        labels, out = str(options.out / "data"), str(options.out / "start" / role)
        _training("sft", role, "--config", options.config, "--labels", labels, "--out", out)


def _training(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "training", *arguments], check=True)  # noqa: S603 - this interpreter


def everything(variations: Sequence[Variation], seeds: int, options: Options, lanes: int) -> str:
    """All variations in processes of one thread, so many at once; gives the tables."""
    if options.start is None:
        fit_start(options)
    options.adapters()
    # The start is the same for all seeds: it runs once, and the tables let it stand beside every seed.
    parts = [(v, seed) for seed in range(seeds) for v in variations if v.kind != "start" or not seed]
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    given = {name: value for name, value in asdict(options).items() if value is not None and name != "splits"}
    common = [*(f"--{name}={value}" for name, value in given.items()), "--splits", *options.splits]

    def part(work: tuple[Variation, int]) -> None:
        command = [sys.executable, "-m", "training.embedded.ablations", *common]
        alone = ["--only", work[0].name, "--seed", str(work[1])]
        subprocess.run([*command, *alone], check=True, env=environment)  # noqa: S603 - as above

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(part, parts))
    text = tables(variations, seeds, options.out)
    (options.out / "ablations.md").write_text(text, encoding="utf-8")
    return text


def tables(variations: Sequence[Variation], seeds: int, out: Path) -> str:
    """What was varied and how it did on validation, which is best there, then a table per test."""
    lines = ["| variation | what it is | accuracy on validation | USD per million queries |", "|---|---|---:|---:|"]
    means = {}
    for variation in variations:
        ran = range(1 if variation.kind == "start" else seeds)
        chosen = [read_json(out / "homes" / f"{variation.name}-{seed}" / CHOSEN) for seed in ran]
        accuracy, cost = (fmean(row[key] for row in chosen) for key in ("accuracy", "usd_per_query"))
        means[variation.name] = (accuracy, cost)
        lines.append(f"| {variation.name} | {variation.about} | {100 * accuracy:.1f} | {1e6 * cost:.1f} |")
    best = max(accuracy for accuracy, _ in means.values())
    good = {name: cost for name, (accuracy, cost) in means.items() if accuracy >= best - TOLERANCE}
    first = min(good, key=lambda name: good[name])
    said = f"Best on validation, the cheapest within {100 * TOLERANCE:g} points of the most accurate: **{first}**."
    parts = [table(split, stages, START) for split, stages in read_runs(out / "records").items()]
    return "\n\n".join(["\n".join(lines), said, *parts]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("ablation-results"))
    parser.add_argument("--config", default="embedded", help="TOML file, or a name in training/configs")
    parser.add_argument("--start", type=Path, help="folder of adapters to start from, such as train-results/sft/seed-1")
    parser.add_argument(
        "--only", nargs="+", choices=list(BY_NAME), default=list(BY_NAME), metavar="NAME", help=", ".join(BY_NAME)
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, help="only this seed, in this process, without tables")
    parser.add_argument("--lanes", type=int, default=2, help="processes at once")
    parser.add_argument("--splits", nargs="+", choices=TESTS, default=TESTS, help="tests to run")
    for name in ("problems", "steps", "rounds", "tests"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Options, name))
    args = parser.parse_args(arguments)
    shared = {name: getattr(args, name) for name in ("out", "config", "start", "problems", "steps", "rounds", "tests")}
    options = Options(**shared, splits=tuple(args.splits))
    variations = [BY_NAME[name] for name in args.only]
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        if args.seed is None:
            print(everything(variations, args.seeds, options, args.lanes))
            return
        for variation in variations:
            one(variation, args.seed, options)
    except R2Error as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"a part failed; start again to go on from what is finished: {shlex.join(error.cmd)}")


if __name__ == "__main__":
    main()
