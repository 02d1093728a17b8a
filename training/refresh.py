"""The training data anew with the routers as they are: each query's plan, its run, and labels if they are wanted."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from langchain_r2.flow import arun
from langchain_r2.ledger import Budget
from langchain_r2.prompts import prompts_for, schemas
from langchain_r2.transport import Call
from training.executions import Stored
from training.items import TrainItem
from training.label_search import Search
from training.lines import Lines, read_lines
from training.plan_requests import PlanRequest, asked_as_json
from training.plan_runs import PlanRunner
from training.settings import SearchSettings

UNDER_WAY = 64
"""Queries at a time."""


class Refreshed(NamedTuple):
    """What the routers make of a query."""

    reply: Stored
    subtasks: list[Any]
    """Empty where the reply is no plan."""
    status: str
    cost_usd: float | None
    label: Mapping[str, str]
    """The cheapest allocation of the plan that was verified right; empty where none was searched or found."""

    @property
    def difficulty(self) -> float:
        """For the curriculum: what goes wrong is hard, then what takes many subtasks."""
        return (0.0 if self.status == "right" else 1000.0) + len(self.subtasks)


async def refresh(
    runner: PlanRunner,
    items: Sequence[TrainItem],
    path: Path,
    provenance: Mapping[str, Any],
    search: SearchSettings | None,
) -> dict[str, Refreshed]:
    """Decompose, allocate and run every query once; a run that was stopped goes on.

    Args:
        runner: Has both routers.
        items: The queries.
        path: The file of the results.
        provenance: What they follow from.
        search: How labels are searched; None: they are not.
    """
    turns = asyncio.Semaphore(UNDER_WAY)
    with Lines(path, provenance) as lines:
        waiting = [item for item in items if item.id not in lines.done]

        async def one(item: TrainItem, bar: Any) -> None:  # noqa: ANN401 - tqdm
            async with turns:
                lines.add(item.id, await _row(runner, item, search))
            bar.update()

        with tqdm(total=len(items), initial=len(items) - len(waiting), desc=path.stem, unit="query") as bar:
            await asyncio.gather(*(one(item, bar) for item in waiting))
    return read_refreshed(path)


def read_refreshed(path: Path) -> dict[str, Refreshed]:
    """Such a file, by item id."""
    found = {}
    for row in read_lines(path):
        reply = Stored(**row["reply"])
        found[row["id"]] = Refreshed(reply, row["subtasks"], row["status"], row["cost_usd"], row["label"])
    return found


async def _row(runner: PlanRunner, item: TrainItem, search: SearchSettings | None) -> dict[str, Any]:
    reply = await _asked(runner, item.query)
    if reply is None:
        empty = Stored("")._asdict()
        return {"reply": _usage(empty), "subtasks": [], "status": "failed", "cost_usd": None, "label": {}}
    run = await runner.run(PlanRequest(item=item, plan=reply))
    label = await _label(runner, item, reply, search) if search and run.plan else {}
    return {
        "reply": _usage(reply._asdict()),
        "subtasks": run.plan,
        "status": run.status,
        "cost_usd": run.cost_usd,
        "allocation": dict(run.allocation),
        "label": label,
    }


def _usage(reply: Mapping[str, Any]) -> dict[str, Any]:
    return {k: reply[k] for k in ("text", "input_tokens", "output_tokens", "cached_input_tokens")}


async def _asked(runner: PlanRunner, query: str) -> Stored | None:
    """The decomposer's greedy plan, with what it read and wrote."""
    spec = runner.decomposer
    structured = asked_as_json(spec)
    prompt = prompts_for(spec.prompt_style).decompose(query, max_subtasks=runner.max_subtasks, structured=structured)
    schema = schemas.PLAN if structured else None
    call = Call(spec=spec, prompt=prompt, role="decomposer", budget=Budget(), temperature=0.0, schema=schema)
    outcome = await arun(runner.transport.call(call))
    if outcome.reply is None:
        return None
    row = outcome.attempts[-1]
    return Stored(outcome.reply.text, row["input_tokens"], row["output_tokens"], row["cached_input_tokens"])


async def _label(runner: PlanRunner, item: TrainItem, reply: Stored, search: SearchSettings) -> dict[str, str]:
    """The cheapest allocation of a plan that is verified right, found as ``label`` does."""
    strongest = runner.pool.strongest.name
    run = await runner.run(PlanRequest(item=item, plan=reply))
    reference = {s["id"]: strongest for s in run.plan}
    base = await runner.run(PlanRequest(item=item, plan=reply, allocation=reference))
    if base.status not in {"right", "wrong"}:
        return {}
    sure = {a["subtask_id"]: a["confidence"] for a in base.attempts if a["role"] == "executor" and a["subtask_id"]}
    found = await Search(
        runner=runner,
        settings=search,
        item=item,
        plan=reply,
        subtasks=base.plan,
        reference=reference,
        confidences={id_: value for id_, value in sure.items() if id_},
        known_right=base.status == "right",
    ).run()
    return dict(found.models) if found.status == "labelled" else {}
