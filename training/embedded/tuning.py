"""The supervised fit, tuned on validation: what reinforcement has to beat, and what it starts from.

One role after the other: each is fitted in every way of ``TRIES`` beside the other role as it is by then, the router is
settled on validation, and the cheapest of the most accurate is kept. What was tried stays in OUT/tuning, with the
processor time that it took, so that it can be held against that of reinforcement.
"""

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError
from training.commands_sft import sft_texts
from training.costs import stage
from training.embedded.calibrate import cheapest_of_the_best
from training.embedded.homes import new_home, settle
from training.embedded.models import write_json
from training.embedded.supervised import SUPERVISED
from training.executions import ExecutionCache
from training.settings import SftSettings, read_settings
from training.sft_data import ROLES, Role

CONFIG: Final = "embedded"
TRIED: Final = "tried.json"
"""In the folder of a try: how the router did on validation, and what that took."""


@dataclass(frozen=True, kw_only=True)
class Try:
    """One way to fit a role; without epochs the adapter of ``make embedded`` stays as it is."""

    role: Role
    rate: float
    epochs: float

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.role}-{self.rate:g}-{self.epochs:g}"


TRIES: Final = (
    *(Try(role="decomposer", rate=rate, epochs=epochs) for rate, epochs in ((0, 0), (1e-4, 1), (1e-4, 3))),
    *(Try(role="allocator", rate=rate, epochs=epochs) for rate, epochs in ((0, 0), (1e-4, 1), (3e-4, 3))),
    *(Try(role="allocator", rate=rate, epochs=epochs) for rate, epochs in ((1e-3, 3), (3e-4, 10))),
)
BY_NAME: Final = {attempt.name: attempt for attempt in TRIES}


def tries_of(role: Role) -> list[Try]:
    """All ways to fit a role."""
    return [attempt for attempt in TRIES if attempt.role == role]


def fit(out: Path, attempt: Try, seed: int, folder: Path) -> Path:
    """Fit a role to the labels in OUT/data, or go on with it; returns the folder of the adapter."""
    from training.sft import fit_adapter

    if not attempt.epochs:
        shutil.copytree(SUPERVISED / attempt.role, folder, dirs_exist_ok=True)
        return folder
    given = read_settings(CONFIG, "sft", SftSettings)
    settings = replace(given, learning_rate=attempt.rate, epochs=float(attempt.epochs), seed=seed)
    texts, provenance = sft_texts(attempt.role, CONFIG, settings, out / "data")
    with stage(f"sft-{attempt.role}", out / "data" / "ledger.jsonl") as facts:
        report = fit_adapter(attempt.role, texts, settings, folder, provenance)
        facts |= {"tokens": report.tokens, "steps": report.steps, "texts": report.texts}
    return folder


def carry_out(out: Path, attempt: Try, cache: ExecutionCache) -> None:
    """Fit in one way and run on validation what it gives, unless that is done."""
    folder = out / "tuning" / attempt.name
    if (folder / TRIED).exists():
        return
    began, spent = time.process_time(), dict[str, float]()
    adapters = {"decomposer": decomposer_to_go_with(out, attempt), "allocator": SUPERVISED / "allocator"}
    adapters[attempt.role] = fit(out, attempt, 0, folder / attempt.role)
    spent["fit_cpu_s"] = time.process_time() - began
    row = settle(new_home(folder / "home", **adapters), cache)
    spent["cpu_s"] = time.process_time() - began
    write_json(folder / TRIED, {**asdict(attempt), **spent, **row})


def decomposer_to_go_with(out: Path, attempt: Try) -> Path:
    """The decomposer beside a fit: for an allocator the one that was chosen before."""
    if attempt.role == "decomposer":
        return SUPERVISED / "decomposer"
    return out / "tuning" / chosen(out, "decomposer").name / "decomposer"


def tried(out: Path) -> list[dict[str, Any]]:
    """What was tried so far."""
    files = [out / "tuning" / attempt.name / TRIED for attempt in TRIES]
    return [read_json(file) for file in files if file.exists()]


def chosen(out: Path, role: Role) -> Try:
    """Of the fits of a role the one whose router is best on validation.

    Raises:
        BadValueError: Not all were tried.
    """
    rows = [row for row in tried(out) if row["role"] == role]
    if len(rows) != len(tries_of(role)):
        hint = "Start `python -m training.embedded.result` again: it does what is left."
        raise BadValueError(f"fits of the {role} that were tried", len(rows), len(tries_of(role)), hint)
    best = cheapest_of_the_best(rows)
    return Try(role=role, rate=best["rate"], epochs=best["epochs"])


def tuned(out: Path, seed: int) -> dict[str, Path]:
    """Both roles fitted with a seed as it was best on validation, by role."""
    made: dict[str, Path] = {}
    for role in ROLES:
        attempt, folder = chosen(out, role), out / "sft" / f"seed-{seed}" / role
        if not seed and not folder.exists():  # the seed that the settings were chosen with
            shutil.copytree(out / "tuning" / attempt.name / role, folder)
        made[role] = folder if not seed else fit(out, attempt, seed, folder)
    return made


def is_fitted(out: Path) -> bool:
    """Whether a fit was chosen for a role: if not, all seeds begin with the same adapters."""
    return any(chosen(out, role).epochs for role in ROLES)


def table(out: Path) -> str:
    """What was tried in Markdown, and the processor time of all."""
    rows = tried(out)
    lines = [
        "| role | rate | epochs | accuracy on validation | USD per million queries | s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        figures = f"{100 * row['accuracy']:.1f} | {1e6 * row['usd_per_query']:.1f} | {row['cpu_s']:.0f}"
        lines.append(f"| {row['role']} | {row['rate']:g} | {row['epochs']:g} | {figures} |")
    total, fits = (sum(row[name] for row in rows) for name in ("cpu_s", "fit_cpu_s"))
    best = ", ".join(chosen(out, role).name for role in ROLES)
    lines += ["", f"Chosen: {best}. Processor time: {total:.0f} s, of it {fits:.0f} s fitting."]
    return "\n".join(lines)
