"""What a report needs of the records: read one by one, so that prompts and answers are not all held at once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_r2.evals.folder import iter_rows, read_facts
from langchain_r2.evals.metrics import Series
from langchain_r2.ledger import add_costs
from langchain_r2.types import ROUTER_ROLES


@dataclass
class Use:
    """What calls of one model in one role took."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def add(self, other: "Use") -> None:
        """Add further calls."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd = add_costs(self.cost_usd, other.cost_usd)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One item of one method."""

    id: str
    score: float | None
    reason: str
    measures: Mapping[str, float]
    grading_usd: float | None
    cost_usd: float | None
    path_s: float
    failed: bool
    """Whether a call failed and there is no answer."""
    use: Mapping[tuple[str, str], Use]
    """By model and role."""
    moves: Mapping[str, int]
    """Executor calls by direction."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Of all roles."""
        return sum(use.calls for use in self.use.values())

    @property
    def tokens(self) -> int:
        """Read and written."""
        return sum(use.input_tokens + use.output_tokens for use in self.use.values())

    def role_usd(self, roles: Iterable[str]) -> float | None:
        """What calls in some roles cost."""
        total: float | None = 0.0
        for (_, role), use in self.use.items():
            if role in roles:
                total = add_costs(total, use.cost_usd)
        return total


class Method:
    """The rows of a method, in the order of the items."""

    def __init__(self, name: str, rows: list[Row]) -> None:
        """Take them."""
        self.name, self.rows = name, rows
        self._by_id = {row.id: row for row in rows}

    def __len__(self) -> int:
        """How many items."""
        return len(self.rows)

    @property
    def scores(self) -> list[float]:
        """Of what could be graded."""
        return [row.score for row in self.rows if row.score is not None]

    @property
    def accuracy(self) -> float | None:
        """Mean score of what could be graded."""
        return sum(self.scores) / len(self.scores) if self.scores else None

    @property
    def usd(self) -> float | None:
        """Total cost; None where one is unknown."""
        costs = [row.cost_usd for row in self.rows if row.cost_usd is not None]
        return sum(costs) if len(costs) == len(self.rows) else None

    @property
    def usd_each(self) -> float | None:
        """Cost of a query."""
        return None if self.usd is None else self.usd / len(self)

    @property
    def router_usd(self) -> float | None:
        """What decomposing, allocating and evaluating took."""
        total: float | None = 0.0
        for row in self.rows:
            total = add_costs(total, row.role_usd(ROUTER_ROLES))
        return total

    def paired(self, *others: "Method") -> list[Series] | None:
        """Own and others' grades and costs, of the items that all could be graded in; None where costs are unknown."""
        made = [self, *others]
        ids = [i for i in self._by_id if all(i in m._by_id and m._by_id[i].score is not None for m in made)]
        by_method = [[m._by_id[i] for i in ids] for m in made]
        series = [Series([r.score or 0.0 for r in rows], [r.cost_usd or 0.0 for r in rows]) for rows in by_method]
        unknown = any(row.cost_usd is None for rows in by_method for row in rows)
        return None if unknown or not ids else series

    def scores_with(self, other: "Method") -> tuple[list[float], list[float]]:
        """Own and another's grades, of the items that could be graded in both."""
        pairs = [(row.score, other._by_id[row.id].score) for row in self.rows if row.id in other._by_id]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        return [a for a, _ in known], [b for _, b in known]

    def costs_with(self, other: "Method") -> tuple[list[float], list[float]] | None:
        """Own and another's costs, of the items that both ran on; None where one is unknown."""
        pairs = [(row.cost_usd, other._by_id[row.id].cost_usd) for row in self.rows if row.id in other._by_id]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        return ([a for a, _ in known], [b for _, b in known]) if len(known) == len(pairs) and pairs else None

    def get(self, id_: str) -> Row | None:
        """The row of an item."""
        return self._by_id.get(id_)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Method]]:
    """The facts of an evaluation, and its methods by name."""
    facts = read_facts(folder)
    place = {id_: number for number, id_ in enumerate(facts.get("ids", []))}
    found: dict[str, dict[str, Row]] = {name: {} for name in facts["methods"]}
    for record in iter_rows(folder):
        found.setdefault(record["method"], {}).setdefault(record["id"], row_of(record))
    methods = {
        name: Method(name, sorted(rows.values(), key=lambda row: place.get(row.id, 0)))
        for name, rows in found.items()
        if rows
    }
    if "oracle" in methods:
        bare = [_executors_only(row) for row in methods["oracle"].rows]
        methods["oracle, router free"] = Method("oracle, router free", bare)
    return facts, methods


def row_of(record: Mapping[str, Any]) -> Row:
    """What is needed of a record."""
    use: dict[tuple[str, str], Use] = {}
    for a in record["attempts"]:
        one = Use(1, a["input_tokens"], a["output_tokens"], a["cost_usd"])
        use.setdefault((a["model"], a["role"]), Use()).add(one)
    grade = record["grade"]
    return Row(
        id=record["id"],
        score=grade["score"],
        reason=grade.get("reason", ""),
        measures=grade.get("measures", {}),
        grading_usd=grade.get("cost_usd", 0.0),
        cost_usd=record["cost_usd"],
        path_s=record.get("path_s", record["wall_s"]),
        failed=record["answer"] is None and any(a["error_type"] for a in record["attempts"]),
        use=use,
        moves=Counter(a["direction"] for a in record["attempts"] if a["role"] == "executor"),
        facts=record.get("facts", {}),
    )


def _executors_only(row: Row) -> Row:
    """A row as if its routing had cost nothing."""
    use = {key: part for key, part in row.use.items() if key[1] not in ROUTER_ROLES}
    total: float | None = 0.0
    for part in use.values():
        total = add_costs(total, part.cost_usd)
    return Row(**{**vars(row), "use": use, "cost_usd": total})
