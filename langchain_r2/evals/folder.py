"""The folder of an evaluation: its facts, and its records, appended one by one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from langchain_r2.errors import BadValueError
from langchain_r2.evals.config import config_hash
from langchain_r2.run_record import iter_records, open_records, to_json
from langchain_r2.types import RunRecord

FACTS: Final = "pool.json"
RECORDS: Final = "records.jsonl"
CALLS: Final = "calls.sqlite"

_OTHER: Final = "Take another --out, or --restart to replace what is there."


class Seen(NamedTuple):
    """What a run has to remember of a record."""

    score: float | None
    cost_usd: float | None


def _seen(row: dict[str, Any]) -> Seen:
    return Seen(row["grade"]["score"], row["cost_usd"])


class Folder:
    """Opened for one run; what it has is kept and gone on with, if it is of the same configuration."""

    def __init__(self, path: Path, config: Mapping[str, Any], *, restart: bool = False) -> None:
        """Open the folder, or make it.

        Raises:
            BadValueError: It holds an evaluation of another configuration.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        if restart:
            for name in (FACTS, RECORDS):
                (path / name).unlink(missing_ok=True)
        digest = config_hash(config)
        before = read_facts(path) if (path / FACTS).exists() else None
        if before is None and (path / RECORDS).exists():
            raise BadValueError("folder", str(path), f"one without {RECORDS}, or with its {FACTS}", _OTHER)
        if before is not None and before.get("config_sha256") != digest:
            raise BadValueError(
                "folder", str(path), "an evaluation with the same configuration", _changed(before, config)
            )
        new = {"config": dict(config), "config_sha256": digest, "methods": [], "settings": {}, "not_applicable": {}}
        self.facts: dict[str, Any] = before or new
        self._file: BinaryIO = open_records(path / RECORDS)
        self.seen: dict[str, dict[str, Seen]] = {}
        """What there is, by method and id."""
        for row in iter_rows(path):
            self.seen.setdefault(row["method"], {}).setdefault(row["id"], _seen(row))

    def save(self, **facts: Any) -> None:
        """Add to the facts and write them."""
        self.facts |= facts
        file = self.path / f"{FACTS}.new"
        file.write_text(json.dumps(self.facts, indent=1) + "\n", encoding="utf-8")
        file.replace(self.path / FACTS)

    def append(self, row: dict[str, Any]) -> None:
        """Write a record as it comes. A killed process loses none; nothing waits for the disk, so a power cut may."""
        self._file.write(to_json(cast("RunRecord", row)).encode() + b"\n")
        self._file.flush()
        self.seen.setdefault(row["method"], {})[row["id"]] = _seen(row)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _changed(before: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    old = before.get("config", {})
    names = [name for name in (*config, *old) if old.get(name) != config.get(name)]
    return f"Changed: {', '.join(dict.fromkeys(names))}. {_OTHER}"


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of an evaluation.

    Raises:
        BadValueError: There are none.
    """
    try:
        facts: dict[str, Any] = json.loads((path / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        allowed = "a folder that `langchain-r2 eval` wrote"
        raise BadValueError("folder", str(path), allowed, f"{FACTS}: {error}") from error
    return facts


def iter_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a folder, one by one, a torn last line left out."""
    file = path / RECORDS
    for row in iter_records(file) if file.exists() else ():
        yield cast("dict[str, Any]", row)
