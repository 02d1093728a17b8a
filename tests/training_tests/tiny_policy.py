"""A policy that is made in seconds, and knows two plans of every query: one is right, one is wrong."""

from itertools import cycle
from pathlib import Path

from langchain_r2.embedded.bundle import HOME
from langchain_r2.prompts import bare
from training.embedded.models import encoder, new_model, save_model
from training.embedded.sizes import Size
from training.embedded.tokenizer import build_tokenizer
from training.example import Example as Text
from training.fit import FitSettings, fit
from training.grpo_settings import RoleSettings
from training.items import TrainItem

SIZE = Size("tiny", 2, 32, 2, False, 0, 0.0, 0.0, "")
NUMBERS = [(2, 3), (4, 5), (6, 2), (7, 1)]
ITEMS = [TrainItem(f"i{a}{b}", f"{a} plus {b}", str(a + b), "train") for a, b in NUMBERS]
RIGHT = "1 : #query"
WRONG = "1 : 3 times 3"


def make_base(folder: Path) -> RoleSettings:
    """Fit a decomposer that writes either plan, evenly."""
    tokenizer = build_tokenizer()
    model = new_model(SIZE, tokenizer.get_vocab_size())
    texts = [Text(bare.decompose(item.query).user, plan) for item in ITEMS for plan in (RIGHT, WRONG)]
    settings = FitSettings(tokens=60_000, batch_tokens=200, muon_lr=2e-2, warmup_steps=20)
    fit(model, cycle(texts), encoder(tokenizer), settings, "tiny decomposer")
    save_model(model, folder)
    return RoleSettings(base=str(folder), tokenizer=str(HOME / "tokenizer"), rank=4, engine="local")


def adds(prompt: str) -> str:
    """A pool model that does sums, and says 0 to anything else."""
    words = prompt.split()
    sums = {item.query: item.answer for item in ITEMS}
    return f"answer : {sums.get(' '.join(words[2:]), '0')}"
