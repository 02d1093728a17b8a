"""What ``make demo`` runs: the nine embedded models answer seeded problems, really; nothing shown is prepared.

It routes the problems one after another with one store of records, shows in full the first run with a useful step of
each kind, runs the strongest model step by step on the same problems, and compares the two bills.
"""

import asyncio
import time
from itertools import islice
from typing import Any

from langgraph.store.memory import InMemoryStore
from rich.console import Console

from langchain_r2 import create_r2_graph
from langchain_r2.cli.view import show_run
from langchain_r2.embedded import embedded_router
from langchain_r2.evals.benchmarks.arithmetic import Problem, grade, problems
from langchain_r2.flow import arun
from langchain_r2.ledger import Budget, bill, usd
from langchain_r2.parsing import parse_answer
from langchain_r2.prompts import prompts_for
from langchain_r2.transport import Call

SEED, COUNT = 7, 200
KINDS = {
    "upward": "a step upward: an unsure answer goes to a stronger model",
    "downward": "a step downward: the record on this kind of subtask says that a cheaper model will do",
    "replan": "a replan: a subtask that is too hard is decomposed in turn",
}


def useful(kind: str, state: dict[str, Any]) -> bool:
    """Whether a run that ended right has a step of that kind that did something."""
    for result in state["results"]:
        tries = [a for a in result["attempts"] if a["role"] == "executor"]
        if not result["verdict"]["accepted"] or not tries:
            continue
        if kind == "upward":
            changed = tries[0]["answer"] != result["answer"]
            if changed and tries[-1]["direction"] == "upward" and not result["parts"]:
                return True
        elif (kind == "downward" and tries[-1]["direction"] == "downward") or (kind == "replan" and result["parts"]):
            return True
    return False


def main() -> None:
    """Run the demo."""
    console, router = Console(), embedded_router()
    graph = create_r2_graph(**router, store=InMemoryStore())
    drawn = list(islice(problems("validation", seed=SEED, shard="demo"), COUNT))
    shown: dict[str, tuple[Problem, dict[str, Any]]] = {}
    right, cost, started = 0, 0.0, time.perf_counter()
    with console.status(f"routing {COUNT} problems over {len(router['pool'])} models"):
        for problem in drawn:
            state = graph.invoke({"query": problem.query})
            cost += bill(state["attempts"]).cost_usd or 0.0
            if grade(state["answer"] or "", problem.answer):
                right += 1
                for kind in KINDS:
                    if kind not in shown and useful(kind, state):
                        shown[kind] = problem, state
    seconds = time.perf_counter() - started
    for kind, (problem, state) in shown.items():
        console.rule(KINDS[kind])
        console.print(problem.query, highlight=False)
        show_run(console, state)
    console.rule("the bill, against the strongest model working step by step on the same problems")
    with console.status("running the strongest model"):
        strong_right, strong_cost = asyncio.run(run_strongest(router, drawn))
    name = router["pool"].strongest.name
    console.print(f"routed:     {right}/{COUNT} right, {usd(cost)} USD, {seconds / COUNT * 1000:.0f} ms a problem")
    saved = f"the router saves {1 - cost / strong_cost:.1%}"
    console.print(f"{name} CoT: {strong_right}/{COUNT} right, {usd(strong_cost)} USD ({saved})")
    console.print(
        'Ask your own: langchain-r2 ask "tom buys 12 boxes of 34 pens and loses 5 . how many pens does tom have now ?"'
    )


async def run_strongest(router: Any, drawn: list[Problem]) -> tuple[int, float]:  # noqa: ANN401 - the embedded router
    """How many problems the strongest model gets right step by step, and what that costs in USD."""
    spec, transport = router["pool"].strongest, router["transport"]

    async def one(problem: Problem) -> tuple[bool, float]:
        prompt = prompts_for(spec.prompt_style).cot(problem.query)
        outcome = await arun(transport.call(Call(spec=spec, prompt=prompt, role="executor", budget=Budget(None))))
        answer = parse_answer(outcome.reply.text)[0] if outcome.reply else ""
        return grade(answer, problem.answer), bill(outcome.attempts).cost_usd or 0.0

    rows = await asyncio.gather(*(one(problem) for problem in drawn))
    return sum(right for right, _ in rows), sum(cost for _, cost in rows)


if __name__ == "__main__":
    main()
