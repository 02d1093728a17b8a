"""One subtask on one model, asked exactly as a runner's graph asks it: a plan's run then finds the execution kept."""

from collections.abc import Mapping

from langchain_r2.evals import executing
from langchain_r2.evals.executing import Execution
from langchain_r2.types import Subtask
from training.plan_runs import PlanRunner


async def execute(
    runner: PlanRunner, query: str, subtask: Subtask, answers: Mapping[str, str], model: str
) -> Execution:
    """Have a model do a subtask, given the answers that it needs."""
    return await executing.execute(
        runner.transport,
        runner.pool[model],
        query,
        subtask,
        answers,
        top_logprobs=runner.confidence.top_logprobs,
        deadline_s=runner.context.deadline_s,
    )
