"""Training texts from verified labels: prompts as they are when the router runs, replies that were verified right.

The decomposer learns *all* verified plans of a problem: direct, coarse and fine ones. Which of them is worth its cost
is for reinforcement to find; the best by ``J`` and by cost are marked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

from langchain_core.messages import BaseMessage

from langchain_r2.errors import BadValueError
from langchain_r2.parsing import renumbered
from langchain_r2.prompts import plan_lines, prompts_for
from langchain_r2.routers.prompted import PromptedAllocator
from training.settings import SftSettings

Role = Literal["decomposer", "allocator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

STYLES = ("direct", "coarse", "fine", "replan")


class Text(NamedTuple):
    """One training text."""

    messages: list[BaseMessage]
    reply: str
    style: str
    best_by_j: bool = False
    best_by_cost: bool = False
    unknown: tuple[int, ...] = ()
    """Lines of the reply, from 0, whose models are not learned: nobody knows whether a cheaper one would have done."""


def texts_for(
    role: Role,
    rows: Sequence[Mapping[str, Any]],
    settings: SftSettings,
    *,
    max_subtasks: int,
    allocator: PromptedAllocator | None = None,
) -> list[Text]:
    """The texts of a role.

    Args:
        role: Who learns.
        rows: Of ``label``.
        settings: Style of the prompts, and which plans.
        max_subtasks: What a general decomposer is told.
        allocator: Shows the models to the allocator; not needed for the decomposer.

    Raises:
        BadValueError: There is none.
    """
    unknown = [style for style in settings.styles if style not in STYLES]
    if unknown:
        raise BadValueError("styles", unknown[0], STYLES)
    if role == "decomposer":
        made = list(_plans(rows, settings, max_subtasks))
    else:
        if allocator is None:
            raise BadValueError("allocator", None, "the one that shows the models")
        made = list(_allocations(rows, allocator))
    if not made:
        hint = "No plan was verified right: look at the report of `label`."
        raise BadValueError(f"labels for the {role}", 0, "at least one", hint)
    return made


def verified(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Problems with each of their right plans; of recorded runs not all subtasks have a label (``censored``)."""
    for row in rows:
        for plan in row["plans"]:
            if plan["label"]["status"] in {"labelled", "censored"}:
                yield row, plan


def _plans(rows: Sequence[Mapping[str, Any]], settings: SftSettings, max_subtasks: int) -> Iterator[Text]:
    prompts = prompts_for(settings.prompt_style)

    def asked(query: str) -> list[BaseMessage]:
        return prompts.decompose(query, max_subtasks=max_subtasks).messages()

    for row, plan in verified(rows):
        if plan["style"] in settings.styles:
            reply = plan_lines(renumbered(plan["subtasks"]))
            yield Text(asked(row["query"]), reply, plan["style"], plan["best_by_j"], plan["best_by_cost"])
    if "replan" not in settings.styles:
        return
    known: dict[str, list[str]] = {}
    for row in rows:
        for replan in row["replans"]:
            known.setdefault(replan["text"], replan["parts"])
    for text, parts in known.items():
        yield Text(asked(text), plan_lines(parts), "replan")


def _allocations(rows: Sequence[Mapping[str, Any]], allocator: PromptedAllocator) -> Iterator[Text]:
    prompts = prompts_for(allocator.spec.prompt_style)
    for row, plan in verified(rows):
        models, known = plan["label"]["models"], plan["label"].get("known", {})
        ids = [s["id"] for s in plan["subtasks"]]
        unknown = tuple(i for i, id_ in enumerate(ids) if known.get(id_) == "censored")
        if len(unknown) == len(ids) or not all(id_ in models for id_ in ids):
            continue
        cards = allocator.cards(row["query"])
        alias = {allocator.members[card.rank - 1].name: card.alias for card in cards}
        prompt = prompts.allocate(row["query"], plan_lines(renumbered(plan["subtasks"])), cards=cards)
        reply = plan_lines([alias[models[id_]] for id_ in ids])
        yield Text(prompt.messages(), reply, plan["style"], plan["best_by_j"], plan["best_by_cost"], unknown)
