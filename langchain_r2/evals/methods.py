"""The methods that a run compares: the router, its parts switched off, and every pool model alone.

All share the pool, the prompts, the transport and the ledger. ``fixed`` runs our decomposer's plans with one model for
all subtasks and no reallocation; ``cot`` is a model working step by step, ``direct`` one answering at once.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from langgraph.store.memory import InMemoryStore

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.evals.items import Item
from langchain_r2.flow import arun
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import Budget
from langchain_r2.model_spec import ModelSpec
from langchain_r2.parsing import parse_answer
from langchain_r2.prompts import prompts_for
from langchain_r2.routers.baselines import FixedAllocator
from langchain_r2.run_record import Traced, traced
from langchain_r2.transport import Call, Transport
from langchain_r2.types import Attempt, Status, Subtask

GROUPS: Final = ("r2", "ablations", "direct", "cot", "fixed")
"""What ``--methods`` takes; all but ``r2`` stand for several methods."""


Router: TypeAlias = Mapping[str, Any]
"""Arguments of ``create_r2_graph``; a ``pool`` at least. ``embedded_router()`` gives one."""


class Run(NamedTuple):
    """What a method did with one item."""

    answer: str | None
    status: Status
    error: str | None
    plan: list[Subtask]
    attempts: list[Attempt]
    wall_s: float
    traced: Traced | None = None
    """What its page shows beside; None where no graph ran."""


class Method(NamedTuple):
    """A named way to answer a query."""

    name: str
    answer: Callable[[Item], Awaitable[Run]]


def methods_for(groups: list[str], router: Router) -> list[Method]:
    """The methods of some groups.

    Raises:
        BadValueError: There is no such group.
    """
    made: list[Method] = []
    for group in groups:
        if group not in GROUPS:
            raise BadValueError("methods", group, GROUPS)
        if group == "r2":
            made.append(_graph_method("r2", router, R2Context()))
        elif group == "ablations":
            made += [
                _graph_method("r2 no upward", router, R2Context(reallocate_upward=False)),
                _graph_method("r2 no downward", router, R2Context(reallocate_downward=False)),
                _graph_method("r2 no replan", router, R2Context(max_replans=0)),
            ]
        else:
            make = _fixed if group == "fixed" else _alone
            made += [make(group, spec, router) for spec in router["pool"]]
    return made


def _graph_method(name: str, router: Router, context: R2Context) -> Method:
    graph = create_r2_graph(**router, store=InMemoryStore())

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        out = await graph.ainvoke({"query": item.query}, context=context)
        wall_s = time.perf_counter() - started
        ended = out["answer"], out["status"], out["error"], out["plan"]["subtasks"], out["attempts"], wall_s
        return Run(*ended, traced(out, wall_s))

    return Method(name, answer)


def _fixed(group: str, spec: ModelSpec, router: Router) -> Method:
    held = {**router, "allocator": FixedAllocator(router["pool"], spec.name)}
    context = R2Context(reallocate_upward=False, reallocate_downward=False, max_replans=0)
    return Method(f"{group} {spec.name}", _graph_method(group, held, context).answer)


def _alone(group: str, spec: ModelSpec, router: Router) -> Method:
    transport: Transport = router.get("transport") or Transport()
    prompts = prompts_for(spec.prompt_style)
    prompt = prompts.cot if group == "cot" else prompts.direct

    async def answer(item: Item) -> Run:
        started = time.perf_counter()
        call = Call(spec=spec, prompt=prompt(item.query), role="executor", budget=Budget(None))
        outcome = await arun(transport.call(call))
        text = parse_answer(outcome.reply.text)[0] if outcome.reply else None
        outcome.attempts[-1]["answer"] = text
        error = str(outcome.error) if outcome.error else None
        wall_s = time.perf_counter() - started
        return Run(text or None, "ok" if text else "error", error, [], outcome.attempts, wall_s)

    return Method(f"{group} {spec.name}", answer)
