"""Finer plans: subtasks of a plan replaced by what a decomposer made of them.

The decomposer is asked about a subtask whose references are filled in, as in a replan. To be a plan of the *query*,
its parts must name the earlier subtask again, not its answer. A part is taken only if every answer that was filled in
can be found in it as a whole word and turned back; what merely contains numbers worked out from an answer is not.
"""

import re
from collections.abc import Mapping, Sequence

from langchain_r2.parsing import QUERY_REFERENCE, references, renumbered
from langchain_r2.types import Subtask


def finer_texts(
    plan: Sequence[Subtask], parts: Mapping[str, Sequence[Subtask]], answers: Mapping[str, str], *, most: int
) -> list[list[str]]:
    """Texts of finer plans: first with all parts in place, then with each alone.

    Args:
        plan: The plan.
        parts: By subtask id, what it was decomposed into, with its references filled in.
        answers: By subtask id, what was filled in.
        most: Most plans.
    """
    given = {id_: made for id_, made in ((s["id"], _given_back(s, parts, answers)) for s in plan) if made}
    choices = [set(given)] if len(given) > 1 else []
    choices += [{id_} for id_ in given]
    return [_spliced(plan, {id_: given[id_] for id_ in chosen}) for chosen in choices[:most]]


def _given_back(
    subtask: Subtask, parts: Mapping[str, Sequence[Subtask]], answers: Mapping[str, str]
) -> list[Subtask] | None:
    """The parts of a subtask, with references where its answers stand; None where that cannot be told."""
    own = parts.get(subtask["id"])
    if not own or any(QUERY_REFERENCE in part["text"] for part in own):
        return None
    needed = [d for d in dict.fromkeys(references(subtask["text"])) if d in subtask["depends_on"]]
    if len(needed) < len(subtask["depends_on"]):
        return None  # an answer that it needs, but does not name
    made = [Subtask(id=f"{subtask['id']}.{p['id']}", text=_prefixed(p, own, subtask["id"]), depends_on=[]) for p in own]
    for needs, answer in ((d, answers[d].strip()) for d in needed):
        word = re.compile(rf"(?<![\w#.]){re.escape(answer)}(?![\w.])")
        if not answer or word.search(subtask["text"]):
            return None  # it stands there by itself too: which is which?
        if not any(word.search(part["text"]) for part in made):
            return None
        made = [Subtask(id=p["id"], text=word.sub(f"#{needs}", p["text"]), depends_on=p["depends_on"]) for p in made]
    return made


def _prefixed(part: Subtask, own: Sequence[Subtask], prefix: str) -> str:
    """A part's text, with references to its siblings by their new ids."""
    ids = {p["id"] for p in own}
    return re.sub(r"#\s?(\w+)", lambda m: f"#{prefix}.{m[1]}" if m[1] in ids else m[0], part["text"])


def _spliced(plan: Sequence[Subtask], given: Mapping[str, Sequence[Subtask]]) -> list[str]:
    """A plan's texts with parts in place; a reference to a subtask that has parts names the last of them."""
    last = {id_: made[-1]["id"] for id_, made in given.items()}
    rows = [part for s in plan for part in given.get(s["id"], [s])]

    def renamed(match: re.Match[str]) -> str:
        return f"#{last[match[1]]}" if match[1] in last else match[0]

    pointed = [
        Subtask(
            id=row["id"],
            text=re.sub(r"#\s?(\w+(?:\.\w+)*)", renamed, row["text"]),
            depends_on=[last.get(d, d) for d in row["depends_on"]],
        )
        for row in rows
    ]
    return renumbered(pointed)
