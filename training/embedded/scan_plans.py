"""Chooses which plans SCAN's decomposer is taught: how fine, and for which commands.

A command longer than all of the training has to be taken apart into pieces that were in it. Whether a decomposer does
that can be seen without any test: it is fitted to the shorter commands of the training, and asked for plans of the
longer ones. Not cut higher than at 12 actions: no phrase (a command without ``and`` or ``after``) has 17 to 22, and to
take apart a phrase that was never seen is what the plans are for.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tokenizers import Tokenizer

from langchain_r2.embedded.engine import Llama
from langchain_r2.evals.benchmarks.scan_commands import commands_of
from langchain_r2.prompts import bare
from training.embedded.domain import Router
from training.embedded.models import ask, load_engine, write_json
from training.embedded.router import train_adapter, train_base
from training.embedded.scan import plan_is_right
from training.example import Example
from training.scan_data import Fineness, Plans, drawn, plan_example

CUT: Final = 12
"""Most actions of the commands that are trained on; the longer ones of the training split validate."""
FINENESSES: Final[tuple[Fineness, ...]] = ("conjuncts", "repeats", "turns")
"""Coarsest first."""
SHARES: Final = (0.85, 0.75, 0.5)
"""Of the longest command trained on: those up to this are not taken apart. The largest, and cheapest, first."""
ASKED: Final = 300
"""Longer commands that each is tried on."""
TOLERANCE: Final = 0.02
"""How much less often right than the best the coarsest may be."""
BASE_TOKENS: Final = 1_000_000
ADAPTER_TOKENS: Final = 300_000
RANK: Final = 8
ADAPTER_LR: Final = 5e-3
"""Less than what is shipped gets: these are only compared."""

Tried = dict[Any, float]
"""Share of right plans for longer commands, by what was tried."""


def choose_plans(router: Router, tokenizer: Tokenizer, file: Path) -> None:
    """Choose how fine, with everything taken apart; then from which length on. Writes what was chosen and tried."""
    size = router.size._replace(tokens=BASE_TOKENS)
    router = router._replace(size=size, adapter_tokens=ADAPTER_TOKENS, rank=RANK, adapter_lr=ADAPTER_LR)
    with TemporaryDirectory() as name:
        trial = _Trial(router, tokenizer, Path(name))
        finenesses: Tried = {fineness: trial.base(fineness) for fineness in FINENESSES}
        fineness: Fineness = _first_of_the_best(finenesses)
        shares: Tried = {share: trial.gated(fineness, share) for share in SHARES}
    chosen = {"fineness": fineness, "share": _first_of_the_best(shares)}
    write_json(file, {**chosen, "cut": CUT, "right_by_fineness": finenesses, "right_by_share": shares})


def _first_of_the_best(tried: Tried) -> Any:  # noqa: ANN401 - a key
    best = max(tried.values())
    return next(key for key, right in tried.items() if right >= best - TOLERANCE)


class _Trial:
    """Decomposers that are fitted to shorter commands and asked for plans of longer ones."""

    def __init__(self, router: Router, tokenizer: Tokenizer, folder: Path) -> None:
        self.router, self.tokenizer, self.folder = router, tokenizer, folder
        commands = list(commands_of("train"))
        self.shorter = [c for c in commands if len(c.actions) <= CUT]
        self.longer = random.Random(CUT).sample([c for c in commands if len(c.actions) > CUT], ASKED)

    def base(self, fineness: Fineness) -> float:
        """All commands taken apart."""
        base = self.folder / fineness
        train_base(f"{fineness},", self._texts(fineness, 0), self.tokenizer, base, self.router)
        return self._right(load_engine(base, self.tokenizer))

    def gated(self, fineness: Fineness, share: float) -> float:
        """Only those above a share of the longest."""
        base, adapter = self.folder / fineness, self.folder / f"{fineness}-{share}"
        texts = self._texts(fineness, int(share * CUT))
        train_adapter(f"gate {share}", texts, self.tokenizer, base, adapter, self.router)
        return self._right(load_engine(base, self.tokenizer, adapter))

    def _texts(self, fineness: Fineness, gate: int) -> Iterator[Example]:
        return (plan_example(c, Plans(fineness, gate)) for c in drawn(self.shorter, random.Random(gate)))

    def _right(self, engine: Llama) -> float:
        """Share of the longer commands whose plan is right, and has no piece longer than what was trained on."""
        replies = ask(engine, self.tokenizer, [bare.decompose(c.text).user for c in self.longer], 192)
        right = [plan_is_right(reply.text, c, CUT) for reply, c in zip(replies, self.longer, strict=True)]
        return round(sum(right) / ASKED, 4)
