"""The fitting loop and its optimiser, on models made here."""

import random
from itertools import cycle
from pathlib import Path

import pytest
import torch

from langchain_r2.embedded.chat import token_id
from langchain_r2.embedded.engine import Llama
from training.embedded.domain import Router
from training.embedded.models import ask, encoder, load_for_training, new_model, save_model
from training.embedded.router import train_adapter
from training.embedded.sizes import Size
from training.embedded.tokenizer import build_tokenizer
from training.example import Example
from training.fit import FitSettings, batches, fit, tensors
from training.muon import orthogonalise

TINY = Size("tiny", 2, 32, 2, False, 0, 0.0, 0.0, "")
TEXTS = [Example(f"solve : {a} plus {b}", f"answer : {a + b}") for a in range(2) for b in range(2)]


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 12, 12)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.5
    assert values.max() < 1.35


def test_only_the_reply_is_learned() -> None:
    inputs, labels = tensors([([1, 4, 5], [7, 2]), ([1], [9, 9, 9, 2])])
    assert inputs.tolist() == [[1, 4, 5, 7, 2], [1, 9, 9, 9, 2]]
    assert labels.tolist() == [[-100, -100, -100, 7, 2], [-100, 9, 9, 9, 2]]


def test_batches_hold_every_text_once() -> None:
    encode = encoder(build_tokenizer())
    rng = random.Random(0)
    texts = [Example("solve : " + "1" * rng.randint(1, 9), "answer : 2") for _ in range(50)]
    settings = FitSettings(tokens=1, batch_tokens=60, window=20)
    seen = [row for batch in batches(iter(texts), encode, settings) for row in batch]
    assert sorted(seen) == sorted(encode(t) for t in texts)


def test_a_model_learns_saves_and_answers(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    model = new_model(TINY, tokenizer.get_vocab_size())
    report = fit(
        model, cycle(TEXTS), encoder(tokenizer), FitSettings(tokens=120_000, batch_tokens=400, muon_lr=2e-2), "test"
    )
    assert report.loss < 0.3
    save_model(model, tmp_path / "m")
    assert str(tmp_path) not in (tmp_path / "m" / "config.json").read_text()
    engine = Llama.load(tmp_path / "m", token_id(tokenizer, "</s>"))
    answers = ask(engine, tokenizer, [t.prompt for t in TEXTS], 8)
    assert [f"answer : {a.text}" for a in answers] == [t.reply for t in TEXTS]
    again = load_for_training(tmp_path / "m")
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, again.state_dict()[name], atol=2e-3)


def test_an_adapter_changes_what_the_engine_says_and_leaves_the_base(tmp_path: Path) -> None:
    router = Router(TINY, adapter_tokens=20_000, rank=16)
    tokenizer = build_tokenizer()
    save_model(new_model(TINY, tokenizer.get_vocab_size()), tmp_path / "base")
    before = (tmp_path / "base" / "model.safetensors").read_bytes()
    train_adapter("decomposer", cycle(TEXTS), tokenizer, tmp_path / "base", tmp_path / "adapter", router)
    end = token_id(tokenizer, "</s>")
    plain, adapted = Llama.load(tmp_path / "base", end), Llama.load(tmp_path / "base", end, tmp_path / "adapter")
    assert (tmp_path / "base" / "model.safetensors").read_bytes() == before
    assert str(tmp_path) not in (tmp_path / "adapter" / "adapter_config.json").read_text()
    prompt = [TEXTS[3].prompt]
    assert ask(plain, tokenizer, prompt, 8)[0] != ask(adapted, tokenizer, prompt, 8)[0]
