"""The methods that a run compares: the router, its parts switched off, every pool model alone, and the baselines.

All share the pool, the prompts of the steps that they share, the transport, its cache and the ledger. A module each;
each says where it comes from, and how it differs from there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from langchain_r2.config import R2Context
from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import Grader
from langchain_r2.evals.methods.alone import alone
from langchain_r2.evals.methods.automix import automix
from langchain_r2.evals.methods.base import Method, NotApplicable, Router, Run, Tuned
from langchain_r2.evals.methods.best_fixed import best_fixed
from langchain_r2.evals.methods.datashunt import datashunt
from langchain_r2.evals.methods.dot import dot
from langchain_r2.evals.methods.frugal import frugal
from langchain_r2.evals.methods.oracle import oracle
from langchain_r2.evals.methods.query_router import query_router
from langchain_r2.evals.methods.routed import ablations, fixed, random_method, routed
from langchain_r2.evals.methods.tot import tot
from langchain_r2.evals.methods.validation import Validation

_TUNED: Final = {
    "best-fixed": ("best fixed", best_fixed),
    "datashunt": ("datashunt", datashunt),
    "query-router": ("query router", query_router),
    "frugalgpt": ("frugalgpt", frugal),
    "automix": ("automix", automix),
    "dot": ("dot", dot),
}
ON_COT: Final = frozenset({"datashunt", "query-router", "frugalgpt", "automix", "dot"})
"""Groups that are tuned on every model working step by step on the validation items."""
ON_FIXED: Final = frozenset({"best-fixed", "dot"})
"""Groups that are tuned on every model doing our plans there."""
BASELINES: Final = ("random", "tot", *_TUNED, "oracle")
GROUPS: Final = ("r2", "ablations", "direct", "cot", "fixed", *BASELINES)
"""What ``--methods`` takes beside ``baselines`` and ``all``; some stand for several methods."""
NAMED: Final = {"baselines": BASELINES, "all": GROUPS}


def groups_of(asked: Sequence[str]) -> list[str]:
    """The groups that are asked for, ``baselines`` and ``all`` in full, each once.

    Raises:
        BadValueError: There is no such group.
    """
    groups = [group for name in asked for group in NAMED.get(name, (name,))]
    for group in groups:
        if group not in GROUPS:
            raise BadValueError("methods", group, (*GROUPS, *NAMED))
    return list(dict.fromkeys(groups))


def methods_for(asked: Sequence[str], router: Router, grader: Grader, *, seed: int = 0) -> list[Method | Tuned]:
    """The methods of some groups.

    Raises:
        BadValueError: There is no such group.
    """
    made: list[Method | Tuned] = []
    for group in groups_of(asked):
        if group == "r2":
            made.append(routed("r2", router, R2Context()))
        elif group == "ablations":
            made += ablations(router)
        elif group in {"direct", "cot"}:
            made += [alone(group, spec, router) for spec in router["pool"]]
        elif group == "fixed":
            made += [fixed(spec, router) for spec in router["pool"]]
        elif group == "random":
            made.append(random_method(router, seed))
        elif group in _TUNED:
            made.append(Tuned(*_TUNED[group]))
        else:
            make = partial(tot, router) if group == "tot" else partial(oracle, router, grader)
            made.append(_checked(group, make))
    return made


def _checked(name: str, make: Callable[[], Method]) -> Method | Tuned:
    """A method whose maker may say that the pool cannot do it; it is asked when its turn comes."""

    async def later(_: Validation) -> Method:
        return make()

    return Tuned(name, later)


__all__ = [
    "BASELINES",
    "GROUPS",
    "ON_COT",
    "ON_FIXED",
    "Method",
    "NotApplicable",
    "Router",
    "Run",
    "Tuned",
    "Validation",
    "groups_of",
    "methods_for",
]
