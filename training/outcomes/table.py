"""Tables of outcomes: which model was how right on which prompt, one JSON object a line, gzipped or not.

Fields of a line: ``prompt``, ``models`` (names), ``q`` (quality 0 to 1, per model), ``split`` (train or test), and
optionally ``c`` (USD per model) and ``task``.

Shapes: ``_N`` prompts, ``_M`` models.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_r2.errors import BadValueError

Floats = npt.NDArray[np.float64]
SPLITS = ("train", "test")


class Outcomes(NamedTuple):
    """One split of a table; models stand in the order of their cost, cheapest first."""

    models: list[str]
    prompts: list[str]
    quality_NM: Floats
    cost_M: Floats
    """Of one call, the dearest being 1; from ``c``, else from the sizes in the models' names, else from their order."""
    cost_from: str


def read_outcomes(path: Path) -> dict[str, Outcomes]:
    """Read both splits of a table.

    Raises:
        BadValueError: The file or a line of it is not as described, or a prompt is in both splits.
    """
    rows = list(_rows(path))
    models: list[str] = rows[0][1]["models"]
    for line, row in rows:
        if row["models"] != models:
            raise BadValueError(f"models in {path.name}:{line}", row["models"], f"those of the first line: {models}")
    cost_M, cost_from = _costs([row for _, row in rows], models)
    order = np.argsort(cost_M, kind="stable")
    split = {name: [row for _, row in rows if row["split"] == name] for name in SPLITS}
    for name, part in split.items():
        if not part:
            raise BadValueError(f"lines of {path.name} with split {name!r}", 0, "at least one")
    shared = {row["prompt"] for row in split["train"]} & {row["prompt"] for row in split["test"]}
    split["train"] = [row for row in split["train"] if row["prompt"] not in shared]  # what is tested is not learned
    return {
        name: Outcomes(
            models=[models[i] for i in order],
            prompts=[row["prompt"] for row in part],
            quality_NM=np.array([row["q"] for row in part], float)[:, order],
            cost_M=cost_M[order],
            cost_from=cost_from,
        )
        for name, part in split.items()
    }


def _rows(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadValueError("table of outcomes", str(path), "a JSONL file, gzipped or not", f"({error})") from error
    lines = text.removesuffix("\n").split("\n") if text else []  # prompts hold line ends that `splitlines` cuts at
    for number, line in enumerate(lines, 1):
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadValueError(where, line[:80], "a JSON object", f"({error})") from error
        if not isinstance(row, dict) or row.get("split") not in SPLITS or not isinstance(row.get("prompt"), str):
            raise BadValueError(where, line[:80], f"an object with prompt, models, q, and split one of {SPLITS}")
        models, quality = row.get("models"), row.get("q")
        if not isinstance(models, list) or not isinstance(quality, list) or len(models) != len(quality) or not models:
            raise BadValueError(f"models and q in {where}", (models, quality), "two lists of one length")
        if not all(isinstance(q, (int, float)) and 0 <= q <= 1 for q in quality):
            raise BadValueError(f"q in {where}", quality, "numbers from 0 to 1")
        yield number, row
    if not lines:
        raise BadValueError("table of outcomes", str(path), "a file with lines")


def _costs(rows: list[dict[str, Any]], models: list[str]) -> tuple[Floats, str]:
    """Cost per model, the dearest being 1, and where it is from."""
    stated = [row["c"] for row in rows if row.get("c")]
    if stated:
        mean_M = np.array(stated, float).mean(0)
        return mean_M / mean_M.max(), "mean USD per call in the table"
    sizes = [re.search(r"(\d+(?:\.\d+)?)b(?![a-z])", model.lower()) for model in models]
    if all(sizes) and not any("x" in model.lower().split("-")[-1] for model in models):
        size_M = np.array([float(size[1]) for size in sizes if size], float)
        return size_M / size_M.max(), "parameters in the models' names (a proxy)"
    # Only which is dearer is known: share of calls to the last model where there are two.
    return np.linspace(0, 1, len(models)), "the models' order (share of calls to the dearer, of two)"
