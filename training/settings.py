"""Settings of training, read from TOML files: a table per stage, checked before anything is spent."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from langchain_r2.errors import BadValueError

T = TypeVar("T")

CONFIGS: Final = Path(__file__).parent / "configs"
"""The files that are here; one is named without its folder and ``.toml``."""


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """Which models, and which router, training works with."""

    source: str = "embedded"
    """``embedded``, or a pool file."""
    decomposer: str = "embedded"
    """Draws plans: ``embedded`` (the embedded one, before it was reinforced), ``pool:NAME`` for a pool model, or the
    folder or Hugging Face id of a model."""
    decomposer_adapter: str | None = None
    """LoRA adapter of a decomposer that is a folder or an id."""
    allocator: str = "embedded"
    """As ``decomposer``, for the allocator that stages with a frozen one ask."""
    allocator_adapter: str | None = None
    tokenizer: str | None = None
    """Where the tokenizer of such a folder is, if not with it."""
    price_input: float | None = None
    """Of a router that is a folder or an id, USD per million tokens; None: that of the pool's cheapest model."""
    price_output: float | None = None
    max_output_tokens: int = 192
    """Longest plan or allocation."""
    max_subtasks: int = 16
    concurrency: int = 64
    """Plans under way at a time."""
    timeout_s: float = 300.0
    """Of one plan."""


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which problems."""

    source: str = "arithmetic"
    """``arithmetic``, or a file with a line ``{"id", "query", "answer"}`` each."""
    split: str = "train"
    test_split: str = "test"
    """Its problems must not be among those trained on."""
    limit: int = 300
    """Most problems."""
    seed: int = 0
    shard: str = "training"
    grader: str = "arithmetic"
    """``arithmetic``, or any that ``langchain-r2 eval --grader`` takes."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How plans are drawn and scored (METHOD 2.2, 2.4)."""

    samples: int = 4
    """Plans drawn per problem; equal ones count once. The first is greedy."""
    temperature: float = 1.0
    """Of the others."""
    trivial: bool = True
    """Whether the plan that does not decompose is tried."""
    finer: int = 3
    """Most finer plans, made by decomposing a subtask of a right plan in turn."""
    evaluator: str = "strongest"
    """``M_eval``: the pool model that solves the subtasks of every plan."""
    coherence: str = "overlap"
    """``overlap`` of words, ``judge:NAME`` for a pool model, ``embeddings:PROVIDER:MODEL``."""
    weight_conciseness: float = 1 / 3
    weight_practicality: float = 1 / 3
    weight_coherence: float = 1 / 3
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How labels are searched (METHOD 3.3)."""

    tau_easy: float = 0.99
    """Confidence of ``M_eval`` in its answer from which a subtask is easy: the search starts in the SLM group."""
    tau_medium: float = 0.95
    """From which it is medium; else hard."""
    changed: Literal["freeze", "rerun"] = "freeze"
    """What happens where a cheaper model's answer differs from the verified one: it is put back, or the plan is run
    again with it (for answers in free text, which never agree)."""
    patience: int = 1
    """After how many models in a row that did not do a subtask is frozen, less one."""
    max_plan_runs: int = 8
    """Of one label."""
    repeats: int = 1
    """Runs that verify a label (s of METHOD 3.3); more than 1 for models that sample."""
    right_repeats: int = 1
    """How many of them have to be right (r)."""
    plans: int = 4
    """Most right plans of a problem that get labels, in the order of their rank."""
    optimum_items: int = 60
    """Problems whose true optimum is enumerated, for the report."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SftSettings:
    """How an adapter is fitted (METHOD 4.1)."""

    base: str
    """Folder or Hugging Face id of any causal language model; ``embedded``: the embedded router's own for the role."""
    tokenizer: str | None = None
    """Where its tokenizer is, if not with it."""
    adapter: str | None = None
    """Adapter to go on from; None: a new one; ``embedded``: the embedded router's, before it was reinforced."""
    prompt_style: Literal["bare", "instruct"] = "bare"
    styles: tuple[str, ...] = ("direct", "coarse", "fine", "replan")
    """Which verified plans the decomposer learns; ``replan``: those of single subtasks."""
    rank: int = 16
    learning_rate: float = 2e-3
    epochs: float = 3.0
    max_steps: int = -1
    """In place of epochs, where it is above 0."""
    batch_size: int = 32
    gradient_accumulation: int = 1
    warmup_steps: int = 10
    max_length: int = 768
    save_steps: int = 50
    """Steps between checkpoints."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    shuffle_aliases: bool = True
    """Whether the allocator sees models under names and in an order that change from problem to problem."""
    gradient_checkpointing: bool = False
    seed: int = 0


def read_settings(config: str | Path, table: str, kind: type[T]) -> T:
    """One table of a file of settings.

    Args:
        config: A path, or the name of a file in ``training/configs``.
        table: Such as ``sampling``; one that the file does not have gives the defaults.
        kind: The dataclass.

    Raises:
        BadValueError: The file cannot be read, or has a setting that there is not, or of a wrong type.
    """
    path = Path(config)
    if not path.suffix:
        path = CONFIGS / f"{config}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        names = sorted(file.stem for file in CONFIGS.glob("*.toml"))
        raise BadValueError("config", str(config), f"a TOML file, or one of {', '.join(names)}", str(error)) from error
    values = tables.get(table, {})
    if not isinstance(values, Mapping):
        raise BadValueError(f"{table} in {path.name}", values, "a table")
    return from_table(values, kind, f"[{table}] of {path.name}")


def from_table(values: Mapping[str, Any], kind: type[T], where: str) -> T:
    """Settings from a table.

    Raises:
        BadValueError: A name that there is not, one that is missing, or a value of a wrong type.
    """
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    for name in values:
        if name not in known:
            raise BadValueError(f"setting in {where}", name, known)
    made = {name: _checked(value, hints[name], f"{name} in {where}") for name, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise BadValueError(where, dict(values), "all settings that have no default", str(error)) from error


def _checked(value: Any, hint: Any, name: str) -> Any:  # noqa: ANN401 - any type of a setting
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in arguments:
            raise BadValueError(name, value, arguments)
        return value
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(part, arguments[0]) for part in value):
            raise BadValueError(name, value, f"a list of {arguments[0].__name__}")
        return tuple(value)
    kinds = [k for k in (arguments if origin is Union or arguments else (hint,)) if k is not type(None)]
    fits = any(isinstance(value, k) and not (isinstance(value, bool) and k is not bool) for k in kinds)
    if not fits and float in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not fits:
        raise BadValueError(name, value, " or ".join(k.__name__ for k in kinds))
    return value
