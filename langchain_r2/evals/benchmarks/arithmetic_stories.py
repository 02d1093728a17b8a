"""The words of the worded-arithmetic benchmark: names, things, clause wordings and problem templates.

Data only; :mod:`langchain_r2.evals.benchmarks.arithmetic` turns it into problems. A *clause* tells how one person
comes to a quantity, a *finale* what is asked about the quantities, a *template* is a tuple of clauses and finales.
The last wording of every clause and finale is held out: it occurs in the ``wordings`` split only.
"""

from typing import Final, NamedTuple

NAMES: Final = (
    "tom mia ben eva sam lily max anna leo zoe dan kate jack rosa paul nina omar ida hugo vera finn lucy noah ella"
).split()
ITEMS: Final = (
    "cards apples coins books stamps shells pens beads cakes eggs nuts seeds toys tickets bricks candles flowers "
    "marbles buttons stickers photos pears plums cups"
).split()
BOXES: Final = "boxes bags crates baskets shelves trays jars carts".split()

DISTRACTORS: Final = (
    "{p} is {n} years old .",
    "the shop opened {n} years ago .",
    "the bus to town has {n} seats .",
    "it takes {n} minutes to walk there .",
    "{p} lives at number {n} .",
)
"""Sentences with a number that has nothing to do with the answer."""


class Clause(NamedTuple):
    """One way in which a person comes to a quantity."""

    steps: tuple[str, ...]
    """Steps over the clause's own numbers ``a b c d``; ``@`` is the result of the step before, ``@1`` of the first."""
    wordings: tuple[str, ...]
    """Sentences without the full stop; the last one is held out for the ``wordings`` split."""


CLAUSES: Final[dict[str, Clause]] = {
    "own": Clause(
        (),
        (
            "{p} has {a} {x}",
            "{p} owns {a} {x}",
            "{p} keeps {a} {x} at home",
            "at home {p} has {a} {x}",
        ),
    ),
    "pack": Clause(
        ("a times b",),
        (
            "{p} fills {a} {y} with {b} {x} each",
            "{p} buys {a} {y} of {b} {x}",
            "{p} puts {b} {x} into each of {a} {y}",
            "{p} has {a} {y} and each holds {b} {x}",
            "each of {a} {y} of {p} holds {b} {x}",
        ),
    ),
    "daily": Clause(
        ("a times b",),
        (
            "{p} makes {a} {x} a day for {b} days",
            "for {b} days {p} makes {a} {x} every day",
            "{p} finds {a} {x} on each of {b} days",
            "on each of {b} days {p} makes {a} {x}",
        ),
    ),
    "gain": Clause(
        ("a plus b",),
        (
            "{p} has {a} {x} and gets {b} more",
            "{p} owns {a} {x} and buys {b} more",
            "{p} finds {b} {x} and had {a} before",
            "{p} had {a} {x} before and finds {b} more",
        ),
    ),
    "loss": Clause(
        ("a minus b",),
        (
            "{p} has {a} {x} and loses {b} of them",
            "{p} had {a} {x} but gives away {b}",
            "{p} loses {b} of {a} {x}",
            "{p} gives away {b} of {a} {x}",
        ),
    ),
    "share": Clause(
        ("a divided by b",),
        (
            "{p} splits {a} {x} evenly into {b} {y} and keeps one of them",
            "{p} shares {a} {x} evenly with friends so that each of the {b} gets the same and keeps one share",
            "{p} gets one of {b} equal shares of {a} {x}",
            "{a} {x} are split evenly into {b} {y} and {p} gets one of them",
        ),
    ),
    "pack_gain": Clause(
        ("a times b", "@ plus c"),
        (
            "{p} fills {a} {y} with {b} {x} each and finds {c} more",
            "{p} buys {a} {y} of {b} {x} and gets {c} more",
            "{p} had {c} {x} and buys {a} {y} of {b} {x}",
            "{p} had {c} {x} before and fills {a} {y} with {b} {x} each",
        ),
    ),
    "pack_loss": Clause(
        ("a times b", "@ minus c"),
        (
            "{p} fills {a} {y} with {b} {x} each and gives away {c} {x}",
            "{p} buys {a} {y} of {b} {x} but loses {c} of them",
            "{p} makes {a} {x} a day for {b} days and loses {c} of them",
            "{p} puts {b} {x} into each of {a} {y} but gives away {c} of them",
        ),
    ),
    "gain_loss": Clause(
        ("a plus b", "@ minus c"),
        (
            "{p} has {a} {x} and gets {b} more but loses {c} of them",
            "{p} had {a} {x} before , finds {b} more and gives away {c}",
            "{p} owns {a} {x} , buys {b} more and loses {c}",
            "{p} had {a} {x} and buys {b} more but gives away {c} of them",
        ),
    ),
    "two_packs": Clause(
        ("a times b", "c times d", "@1 plus @"),
        (
            "{p} buys {a} {y} of {b} {x} and {c} {y} of {d} {x}",
            "{p} fills {a} {y} with {b} {x} each and {c} {y} with {d} {x} each",
            "{p} makes {a} {x} a day for {b} days and then {c} {x} a day for {d} days",
            "{p} puts {b} {x} into each of {a} {y} and {d} {x} into each of {c} {y}",
        ),
    ),
    "share_gain": Clause(
        ("a divided by b", "@ plus c"),
        (
            "{p} gets one of {b} equal shares of {a} {x} and finds {c} more",
            "{p} splits {a} {x} evenly into {b} {y} , keeps one of them and buys {c} more",
            "{p} had {c} {x} and gets one of {b} equal shares of {a} {x}",
            "{a} {x} are split evenly into {b} {y} , {p} gets one of them and buys {c} more",
        ),
    ),
}


class Finale(NamedTuple):
    """What is asked about the quantities of one, two or three persons."""

    persons: int
    steps: tuple[str, ...]
    """Steps over the persons' quantities ``p q s`` and the finale's own number ``k``; ``@`` is the step before."""
    wordings: tuple[str, ...]


FINALES: Final[dict[str, Finale]] = {
    "ask": Finale(
        1,
        (),
        (
            "how many {x} does {p} have now ?",
            "how many {x} is that for {p} ?",
            "how many {x} are there now ?",
            "so how many {x} does {p} have ?",
        ),
    ),
    "sell": Finale(
        1,
        ("p times k",),
        (
            "{p} sells each of them for {k} coins . how many coins is that ?",
            "every one of them costs {k} coins . how many coins does {p} get for all ?",
            "{p} gets {k} coins for each . how many coins is that ?",
            "for each of them {p} gets {k} coins . how many coins does {p} get for all ?",
        ),
    ),
    "spread": Finale(
        1,
        ("p divided by k",),
        (
            (
                "{p} shares all of them evenly with friends so that each of the {k} gets the same . "
                "how many is one share ?"
            ),
            "{p} splits all of them evenly into {k} {y} . how many {x} does each hold ?",
            "all are split evenly into {k} shares . how many {x} is one share ?",
            "{p} splits all of them into {k} equal shares . how many {x} is one share ?",
        ),
    ),
    "both": Finale(
        2,
        ("p plus q",),
        (
            "how many {x} do they have together ?",
            "how many {x} do {p} and {q} have in all ?",
            "how many {x} are there in all ?",
            "how many {x} do {p} and {q} have together now ?",
        ),
    ),
    "more": Finale(
        2,
        ("p minus q",),
        (
            "how many more {x} does {p} have than {q} ?",
            "{p} has more than {q} . how many more {x} is that ?",
            "how many {x} does {q} need to have as many as {p} ?",
            "how many more {x} does {q} need to have as many as {p} ?",
        ),
    ),
    "both_give": Finale(
        2,
        ("p plus q", "@ minus k"),
        (
            "together they give away {k} {x} . how many {x} are left ?",
            "{p} and {q} give {k} {x} to the school . how many {x} do they have together now ?",
            "they lose {k} of all the {x} . how many are left ?",
            "together {p} and {q} lose {k} {x} . how many {x} do they have now ?",
        ),
    ),
    "both_sell": Finale(
        2,
        ("p plus q", "@ times k"),
        (
            "they sell all the {x} for {k} coins each . how many coins do they get together ?",
            "together {p} and {q} get {k} coins for each of the {x} . how many coins is that ?",
            "every one of all the {x} costs {k} coins . how many coins is that in all ?",
            "{p} and {q} sell all the {x} and get {k} coins for each . how many coins do they have together ?",
        ),
    ),
    "all": Finale(
        3,
        ("p plus q", "@ plus s"),
        (
            "how many {x} do they have together ?",
            "how many {x} do {p} , {q} and {s} have in all ?",
            "how many {x} are there in all ?",
            "how many {x} do {p} , {q} and {s} have together now ?",
        ),
    ),
    "all_give": Finale(
        3,
        ("p plus q", "@ plus s", "@ minus k"),
        (
            "together they give away {k} {x} . how many {x} are left ?",
            "{p} , {q} and {s} give {k} {x} to the school . how many {x} do they have together now ?",
            "they lose {k} of all the {x} . how many are left ?",
            "together {p} , {q} and {s} lose {k} {x} . how many {x} do they have now ?",
        ),
    ),
}


class Template(NamedTuple):
    """A problem's skeleton: one clause per person, then the finale."""

    clauses: tuple[str, ...]
    finale: str

    @property
    def steps(self) -> int:
        """How many steps the reference plan has."""
        return sum(len(CLAUSES[c].steps) for c in self.clauses) + len(FINALES[self.finale].steps)


def _templates(*rows: str) -> tuple[Template, ...]:
    return tuple(Template(tuple(row.split()[:-1]), row.split()[-1]) for row in rows)


TEMPLATES: Final = _templates(
    # 1 step
    "pack ask", "daily ask", "gain ask", "loss ask", "share ask", "own own both", "own own more",
    # 2 steps
    "pack_gain ask", "pack_loss ask", "gain_loss ask", "share_gain ask", "own pack both", "daily own both",
    "gain own more", "pack own more", "own own both_give", "gain sell", "gain spread", "pack spread", "loss sell",
    # 3 steps
    "two_packs ask", "pack pack both", "pack daily more", "gain pack both", "pack loss more", "pack_gain sell",
    "pack own both_give", "own pack both_sell", "pack_loss spread", "share pack both", "own own own all_give",
    # 4 steps
    "two_packs spread", "pack_gain pack both", "pack_loss daily both", "pack pack both_give", "gain_loss pack both",
    "pack_gain own both_give", "own pack pack all", "share_gain pack both",
    # 5 steps
    "pack_gain pack_loss both", "two_packs pack both", "pack daily pack all", "pack_gain pack both_give",
    "pack_loss gain_loss more", "pack pack own all_give",
    # 6 steps
    "two_packs pack_gain both", "pack_gain pack_loss both_give", "pack pack daily all_give", "two_packs pack both_give",
    "pack_gain pack pack all",
)  # fmt: skip
"""Templates of 1 to 6 steps, for every split but ``longer``."""

LONGER_TEMPLATES: Final = _templates(
    "two_packs two_packs both", "pack_gain pack_loss pack all", "two_packs pack_loss both_give",
    "pack_gain pack_loss gain_loss all", "two_packs pack_gain pack all", "pack_gain pack_loss daily all_give",
    "pack_gain pack_loss pack_gain all_give", "two_packs two_packs both_give", "two_packs pack_loss pack_gain all",
)  # fmt: skip
"""Templates of 7 to 9 steps, longer than any in training: the ``longer`` split."""
