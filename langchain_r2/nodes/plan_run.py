"""One run of one plan: from a subtask and the answers it needs to its result, sub-plans included."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_config

from langchain_r2 import records
from langchain_r2.estimate import expected_subtask_usd
from langchain_r2.flow import Flow, Gather, Invoke
from langchain_r2.nodes.base import Dependencies, SubtaskContext, asked_text, told_of_result
from langchain_r2.parsing import ancestors, joined, references, resolve
from langchain_r2.run_record import without_attempts
from langchain_r2.state import Evidence, SubtaskState
from langchain_r2.transport import annotate
from langchain_r2.turns import needs_of
from langchain_r2.types import Allocation, Attempt, Plan, Reason, Subtask, SubtaskResult, Verdict

_SCRATCHPAD: Final = "__pregel_scratchpad"
"""Where LangGraph counts the graphs that a task has run."""


@dataclass(kw_only=True)
class PlanRun:
    """What the subtasks of one plan share while they run."""

    needs: Dependencies
    graph: Runnable[Any, Any]
    """The subtask graph."""
    context: SubtaskContext
    query: str
    plan: Plan
    allocation: Allocation
    depth: int = 0
    prefix: str = ""
    """Goes before the ids of a sub-plan's subtasks in attempts and results."""
    finished: set[str] = field(default_factory=set)
    """Ids of subtasks that have run."""

    def __post_init__(self) -> None:
        """Index the plan, and estimate it."""
        self._by_id = {s["id"]: s for s in self.plan["subtasks"]}
        self._expected_usd = {id_: self._expected(s) for id_, s in self._by_id.items()}

    def subtask(self, id_: str, results: Mapping[str, SubtaskResult]) -> Flow[SubtaskResult]:
        """Run one subtask; ``results`` has those of its ancestors, by the plan's own ids."""
        subtask = self._by_id[id_]
        failed = next((results[d] for d in subtask["depends_on"] if not results[d]["answer"]), None)
        if failed is not None:
            return self._blocked(subtask, failed["verdict"]["reason"])
        state = yield from self._start(subtask, results)
        around: RunnableConfig = get_config()
        inner = part_config(around, state["id"]) if self.depth else around
        shown = {**(around.get("metadata") or {}), "r2_subtask": state["id"], "r2_depth": self.depth}
        config = RunnableConfig(**{**inner, "metadata": shown, "run_name": f"subtask:{state['id']}"})
        final: SubtaskState = yield Invoke(self.graph, state, config, options={"context": self.context})
        result = yield from self._finish(final)
        if not self.depth:  # parts run inside the task of what they are parts of
            annotate(around, told_of_result(result))
        self.finished.add(id_)
        yield from records.write(self.context.store, result)
        return result

    def _start(self, subtask: Subtask, results: Mapping[str, SubtaskResult]) -> Flow[SubtaskState]:
        id_, model = subtask["id"], self.allocation["models"][subtask["id"]]
        answers = {d: results[d]["answer"] for d in subtask["depends_on"]}
        text = resolve(subtask["text"], answers, self.query)
        named = set(references(subtask["text"]))
        inline = {d: a for d, a in answers.items() if d in named}
        kind = self.needs.kind_of(text)
        evidence = yield from self._evidence(id_, kind, model, results)
        limits = self.context.limits
        reason = self.allocation["reasons"].get(id_, "allocated")
        return SubtaskState(
            id=self.prefix + id_,
            text=text,
            query=self.query,
            # What a model wrote is shown as data: also the query of a sub-plan, which has answers in it.
            template=subtask["text"] if inline or self.depth else None,
            inline=inline,
            known={d: a for d, a in answers.items() if d not in named},
            kind=kind,
            model=model,
            direction="replan" if self.depth else "initial",
            reason=reason,
            depth=self.depth,
            tries=0,
            lowered=False,
            attempts=[],
            verdict=None,
            evidence=evidence,
            subplan=None,
            suballocation=None,
            max_attempts=limits.max_attempts,
            upward=limits.reallocate_upward,
            downward=limits.reallocate_downward and reason not in {"chosen", "explored"},
            ask_above_usd=limits.approve_upward_usd,
            verbatim=self._verbatim,
        )

    def _evidence(self, id_: str, kind: str, model: str, results: Mapping[str, SubtaskResult]) -> Flow[Evidence]:
        """What is known before the first try: of this model and the next cheaper one at this kind, and of the money."""
        cheaper = self.needs.pool.down(model, self.needs.floor, needs_of(self.context.turn if self._verbatim else None))
        before = [results[a] for a in ancestors(self.plan["subtasks"], id_)]
        stored = yield from records.read(self.context.store, kind, model)
        stored_cheaper = yield from records.read(self.context.store, kind, cheaper)
        return Evidence(
            cheaper=cheaper,
            record=records.among(before, kind, model, stored),
            cheaper_record=records.among(before, kind, cheaper, stored_cheaper),
            remaining_usd=self._remaining_usd(),
            left_usd=self.context.budget.left_usd,
            stronger=None,
            stronger_usd=float("inf"),
            replan_usd=0.0,
        )

    @property
    def _verbatim(self) -> bool:
        """Whether the plan gives a turn of a conversation to one model, which then sees the conversation as it is."""
        return self.context.turn is not None and not self.depth and len(self.plan["subtasks"]) == 1

    def _finish(self, final: SubtaskState) -> Flow[SubtaskResult]:
        subplan, suballocation = final["subplan"], final["suballocation"]
        if subplan is None or suballocation is None:
            return _result(final)
        inner = replace(
            self,
            query=asked_text(final),
            plan=subplan,
            allocation=suballocation,
            depth=self.depth + 1,
            prefix=final["id"] + ".",
            finished=set(),
        )
        results = yield from inner._levels()
        last = results[subplan["subtasks"][-1]["id"]]
        answer: str | None = last["answer"]
        if self.needs.aggregation == "join":
            answer = joined(results[s["id"]]["answer"] for s in subplan["subtasks"])
        below = [attempt for r in results.values() for attempt in r["attempts"]]
        bad = next((r["verdict"] for r in results.values() if not r["verdict"]["accepted"]), None)
        return SubtaskResult(
            id=final["id"],
            text=final["text"],
            kind=final["kind"],
            answer=answer or "",
            model=last["model"],
            verdict=bad or last["verdict"],
            attempts=[*final["attempts"], *below],
            parts=subplan["subtasks"],
            part_results=[without_attempts(r) for r in results.values()],
            moves=final.get("moves", []),
        )

    def _levels(self) -> Flow[dict[str, SubtaskResult]]:
        """Run a sub-plan; subtasks whose needs are met run at the same time."""
        results: dict[str, SubtaskResult] = {}
        waiting = [s["id"] for s in self.plan["subtasks"]]
        while waiting:
            ready = [i for i in waiting if all(d in results for d in self._by_id[i]["depends_on"])]
            done = yield Gather([self.subtask(i, dict(results)) for i in ready])
            results |= zip(ready, done, strict=True)
            waiting = [i for i in waiting if i not in results]
        return results

    def _remaining_usd(self) -> float:
        """What the subtasks that have not finished are expected to cost as allocated."""
        return sum(cost for id_, cost in self._expected_usd.items() if id_ not in self.finished)

    def _expected(self, subtask: Subtask) -> float:
        spec = self.needs.pool[self.allocation["models"][subtask["id"]]]
        cost = expected_subtask_usd(spec, subtask["text"], self.query)
        return float("inf") if cost is None else cost

    def _blocked(self, subtask: Subtask, reason: Reason) -> SubtaskResult:
        """The result of a subtask that cannot run because one that it needs has no answer."""
        return SubtaskResult(
            id=self.prefix + subtask["id"],
            text=subtask["text"],
            kind="",
            answer="",
            model=self.allocation["models"][subtask["id"]],
            verdict=Verdict(accepted=False, reason=reason),
            attempts=[],
            parts=[],
        )


def part_config(config: RunnableConfig, id_: str) -> RunnableConfig:
    """The config of a sub-plan's part, whose checkpoints are kept under its own id.

    LangGraph numbers the graphs that one task runs by the order in which they start. Parts that start at the same time
    would then, in a run that is resumed, go on from each other's checkpoints.
    """
    configurable = config.get("configurable") or {}
    pad, above = configurable.get(_SCRATCHPAD), configurable.get("checkpoint_ns")
    if pad is None or not above:
        return config
    own = {_SCRATCHPAD: replace(pad, subgraph_counter=lambda: 0), "checkpoint_ns": f"{above}|{_number_of(id_)}"}
    return cast("RunnableConfig", {**config, "configurable": {**configurable, **own}})


def _number_of(id_: str) -> int:
    """A number that no other id has: what LangGraph adds to tell the graphs of a task apart are numbers."""
    return int.from_bytes(id_.encode())


def _result(final: SubtaskState) -> SubtaskResult:
    """The result of a subtask that was not replanned: the accepted answer, else the one most likely right."""
    tries = [a for a in final["attempts"] if a["role"] == "executor" and a["answer"]]
    verdict = final["verdict"] or Verdict(accepted=False, reason="unreachable")
    best: Attempt | None
    if verdict["accepted"]:
        best = tries[-1]
    else:
        best = max(tries, key=lambda a: 0.5 if a["confidence"] is None else a["confidence"], default=None)
        if verdict["reason"] != "budget" and final["evidence"]["stronger"] is None:
            verdict = Verdict(accepted=False, reason="top_of_pool")
        elif verdict["reason"] != "budget" and final["tries"] >= final["max_attempts"]:
            verdict = Verdict(accepted=False, reason="attempts_used")
    return SubtaskResult(
        id=final["id"],
        text=final["text"],
        kind=final["kind"],
        answer=(best["answer"] or "") if best else "",
        model=best["model"] if best else final["model"],
        verdict=verdict,
        attempts=final["attempts"],
        parts=[],
        moves=final.get("moves", []),
    )
