"""How long a run's calls take one after another: its longest path.

Records are made many at a time and from kept calls, so their wall time says little. Every call has its own seconds, as
when it was really made; here they are added along the plan, subtasks that wait for nothing being side by side.
"""

from collections.abc import Sequence

from langchain_r2.types import Attempt, Subtask


def path_s(plan: Sequence[Subtask], attempts: Sequence[Attempt]) -> float:
    """Seconds of the calls on the longest path; the parts of a replanned subtask count one after another."""
    own: dict[str, float] = {}
    before = 0.0
    for row in attempts:
        subtask = None if row["subtask_id"] is None else row["subtask_id"].split(".")[0]
        if subtask is None:
            before += row["wall_s"]
        else:
            own[subtask] = own.get(subtask, 0.0) + row["wall_s"]
    ends: dict[str, float] = {}
    for part in plan:
        waits = max((ends.get(d, 0.0) for d in part["depends_on"]), default=0.0)
        ends[part["id"]] = waits + own.pop(part["id"], 0.0)
    return before + max(ends.values(), default=0.0) + sum(own.values())
