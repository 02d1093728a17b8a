"""The numpy engine against transformers and peft, on the same weights."""

import asyncio
import json
import pickle
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoTokenizer

from langchain_r2.embedded.chat import EmbeddedChatModel, encode_chat, load_tokenizer, token_id
from langchain_r2.embedded.engine import Llama
from langchain_r2.errors import BadValueError, RejectedError
from langchain_r2.in_process import Request, Written
from langchain_r2.routers.local import LocalChatModel
from training.embedded.models import load_for_training

PROMPTS = ["solve : 33 times 50", "plan : tom has 5 cards and gets 3 more . how many ?", "solve : 2 plus 2"]


def engine(home: Path) -> Llama:
    return Llama.load(home / "m", token_id(load_tokenizer(home / "tokenizer" / "tokenizer.json"), "</s>"))


def ids(home: Path, prompt: str) -> list[int]:
    return encode_chat(load_tokenizer(home / "tokenizer" / "tokenizer.json"), [prompt])


def test_logits_equal_those_of_transformers(home: Path) -> None:
    model = load_for_training(home / "m")
    model.eval()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    for prompt in PROMPTS:
        with torch.no_grad():
            expected = model(input_ids=torch.tensor([ids(home, prompt)])).logits.numpy()
        assert np.allclose(engine(home).logits(np.array([ids(home, prompt)])), expected, atol=2e-4)


def test_logits_with_an_adapter_equal_those_of_peft(home: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = get_peft_model(
        load_for_training(home / "m"), LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    )
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    made.save_pretrained(str(tmp_path))
    adapted = PeftModel.from_pretrained(load_for_training(home / "m"), str(tmp_path)).eval()
    prompt = np.array([ids(home, PROMPTS[0])])
    with torch.no_grad():
        expected = adapted(input_ids=torch.tensor(prompt)).logits.numpy()
    merged = Llama.load(home / "m", 2, tmp_path).logits(prompt)
    assert np.allclose(merged, expected, atol=1e-3)
    assert not np.allclose(engine(home).logits(prompt), expected, atol=1e-3)


def test_a_batch_says_what_each_text_says_alone(home: Path) -> None:
    requests = [Request(ids(home, p), n) for p, n in zip(PROMPTS, (5, 9, 1), strict=True)]
    together = engine(home).generate(requests)
    for request, written in zip(requests, together, strict=True):
        [alone] = engine(home).generate([request])
        assert alone.ids == written.ids
        assert np.allclose(alone.logprobs, written.logprobs, atol=1e-4)
        assert len(written.ids) <= request.max_new_tokens


@pytest.mark.parametrize("length", [6, 80])
def test_log_probabilities_are_those_of_the_written_tokens(home: Path, length: int) -> None:
    """The longer text outgrows the cache twice."""
    request = Request(ids(home, PROMPTS[0]), length, top=3)
    [written] = engine(home).generate([request])
    assert len(written.ids) == length
    logits = engine(home).logits(np.array([[*request.prompt, *written.ids]]))[0].astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    for i, (token, logprob) in enumerate(zip(written.ids, written.logprobs, strict=False)):
        row = logprobs[len(request.prompt) - 1 + i]
        assert abs(row[token] - logprob) < 1e-3
        assert token == row.argmax()
        assert list(written.alternatives[i]) == np.argsort(-row)[:3].tolist()


def test_alternatives_are_kept_only_for_who_asks(home: Path) -> None:
    asks, does_not = (Request(ids(home, PROMPTS[0]), 4, top=top) for top in (5, 0))
    assert engine(home).generate([does_not])[0].alternatives == []
    [first, _] = engine(home).generate([asks, does_not])
    assert [len(near) for near in first.alternatives] == [5] * 4


def test_sampling_follows_its_seed(home: Path) -> None:
    def draw(seed: int) -> list[int]:
        return engine(home).generate([Request(ids(home, PROMPTS[0]), 12, temperature=1.5, seed=seed)])[0].ids

    assert draw(1) == draw(1)
    assert any(draw(1) != draw(seed) for seed in range(2, 8))


def test_the_chat_template_encodes_as_the_engine_does(home: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(home / "tokenizer"))
    for prompt in PROMPTS:
        chat = [{"role": "user", "content": prompt}]
        assert tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False) == ids(home, prompt)


@pytest.mark.parametrize("text", ["1 : 33 times 50\n2 : #1 plus 7", "answer : 1650", "tom has 5 cards ."])
def test_decoding_gives_the_text_back(home: Path, text: str) -> None:
    tokenizer = load_tokenizer(home / "tokenizer" / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def chat_models(home: Path) -> tuple[EmbeddedChatModel, LocalChatModel]:
    folder, tokenizer = home / "m", home / "tokenizer"
    return (
        EmbeddedChatModel(folder=folder, tokenizer_file=tokenizer / "tokenizer.json", max_tokens=8),
        LocalChatModel(path=str(folder), tokenizer_path=str(tokenizer), max_tokens=8, dtype="float32"),
    )


async def test_numpy_and_transformers_chat_models_say_the_same(home: Path) -> None:
    embedded, local = chat_models(home)
    for prompt in PROMPTS:
        a, b = embedded.invoke([HumanMessage(prompt)]), local.invoke([HumanMessage(prompt)])
        c = await local.ainvoke([HumanMessage(prompt)])
        assert a.text == b.text == c.text
        assert a.usage_metadata == b.usage_metadata
        assert a.response_metadata["finish_reason"] == b.response_metadata["finish_reason"]
        for x, y in zip(
            a.response_metadata["logprobs"]["content"], b.response_metadata["logprobs"]["content"], strict=True
        ):
            assert abs(x["logprob"] - y["logprob"]) < 1e-3
            assert x["token"] == y["token"]


async def test_concurrent_calls_share_a_batch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = chat_models(home)
    sizes: list[int] = []
    inner = model.engine.generate

    def counted(requests: Sequence[Request]) -> list[Written]:
        sizes.append(len(requests))
        return inner(requests)

    monkeypatch.setattr(model.engine, "generate", counted)
    replies = await asyncio.gather(*(model.ainvoke(p) for p in PROMPTS * 8))
    assert [r.text for r in replies] == [model.invoke(p).text for p in PROMPTS] * 8
    assert max(sizes) > 1


async def test_models_compute_one_after_the_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = [0], [0]
    generate, lock, pause = Llama.generate, threading.Lock(), threading.Event()

    def watched(self: Llama, requests: Sequence[Request]) -> list[Written]:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        pause.wait(0.02)
        written = generate(self, requests)
        with lock:
            under_way[0] -= 1
        return written

    monkeypatch.setattr(Llama, "generate", watched)
    file = home / "tokenizer" / "tokenizer.json"
    models = [EmbeddedChatModel(folder=home / "m", tokenizer_file=file, max_tokens=8) for _ in range(3)]
    await asyncio.gather(*(model.ainvoke(prompt) for model in models for prompt in PROMPTS))
    assert most == [1]


def test_a_prompt_that_is_too_long_is_an_error_of_its_own_call_only(home: Path) -> None:
    model, _ = chat_models(home)
    with pytest.raises(RejectedError, match="at most 1023"):
        model.invoke("tom " * 2000)
    assert model.invoke(PROMPTS[0]).usage_metadata


def test_stop_words_cut_the_reply(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = chat_models(home)
    monkeypatch.setattr(model.engine, "decode", lambda ids: "one two three")
    assert model.invoke(PROMPTS[0], stop=["two"]).text == "one "


def test_a_path_without_a_model_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match=r"config\.json"):
        LocalChatModel(path=str(tmp_path / "none")).load()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_weights_that_are_a_pickle_are_refused(tmp_path: Path, home: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps([1]))
    model = EmbeddedChatModel(folder=tmp_path, tokenizer_file=home / "tokenizer" / "tokenizer.json")
    with pytest.raises(BadValueError, match="safetensors"):
        model.load()


def test_an_adapter_that_is_a_pickle_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(pickle.dumps([1]))
    embedded, local = chat_models(home)
    with pytest.raises(BadValueError, match=r"adapter_model\.bin can run code"):
        embedded.model_copy(update={"adapter": tmp_path}).load()
    with pytest.raises(BadValueError, match=r"adapter_model\.bin can run code"):
        local.model_copy(update={"adapter": str(tmp_path)}).load()


def test_saved_files_name_no_folder_of_this_machine(home: Path) -> None:
    assert "_name_or_path" not in json.loads((home / "m" / "config.json").read_text())
