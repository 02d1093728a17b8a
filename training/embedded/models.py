"""Makes, fits, saves and runs one embedded model."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from langchain_r2.embedded.chat import encode_chat, token_id
from langchain_r2.embedded.engine import Llama
from langchain_r2.in_process import MAX_BATCH, Request
from langchain_r2.parsing import parse_answer
from training.embedded.arithmetic import Arithmetic
from training.embedded.domain import Domain
from training.embedded.sizes import SEED, Size, intermediate
from training.example import Example
from training.fit import Encode, FitReport, FitSettings, fit

POSITIONS: Final = 1024


class Answer(NamedTuple):
    """What a model said, and how probable its whole text was."""

    text: str
    signal: float
    """Log-probability of the reply."""
    tokens: int


def new_model(size: Size, vocabulary: int) -> LlamaForCausalLM:
    """A model with random weights."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=size.width,
        intermediate_size=intermediate(size.width),
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def encoder(tokenizer: Tokenizer) -> Encode:
    """From a text to ids: the chat template around the prompt, the end token after the reply."""
    end = token_id(tokenizer, "</s>")

    def encode(example: Example) -> tuple[list[int], list[int]]:
        return encode_chat(tokenizer, [example.prompt]), [*tokenizer.encode(example.reply).ids, end]

    return encode


def train_pool_model(size: Size, tokenizer: Tokenizer, folder: Path, *, domain: Domain | None = None) -> FitReport:
    """Train one pool model on its domain's texts (None: arithmetic's) and save it."""
    domain = domain or Arithmetic()
    model = new_model(size, tokenizer.get_vocab_size())
    settings = FitSettings(
        tokens=size.tokens, muon_lr=domain.muon_lr(size), batch_tokens=domain.batch_tokens, seed=SEED
    )
    report = fit(model, domain.pool_texts(size), encoder(tokenizer), settings, size.name)
    save_model(model, folder)
    (folder / "fit.json").write_text(json.dumps(report.__dict__, indent=1))
    return report


def save_model(model: LlamaForCausalLM, folder: Path) -> None:
    """Save weights in float16 and the configuration, nothing of this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.to(torch.float16).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_diff_dict()
    config.pop("_name_or_path", None)
    config |= {"architectures": ["LlamaForCausalLM"], "dtype": "float16"}
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True))


def load_for_training(folder: Path) -> LlamaForCausalLM:
    """Load a saved model in float32."""
    model = LlamaForCausalLM(LlamaConfig.from_dict(json.loads((folder / "config.json").read_text())))
    weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"weights of {folder.name} do not fit: missing {missing}, unexpected {unexpected}")
    model.tie_weights()
    return model


def parameters(folder: Path) -> int:
    """How many parameters a saved model has."""
    return sum(int(w.numel()) for w in load_file(folder / "model.safetensors").values())


def ask(engine: Llama, tokenizer: Tokenizer, prompts: list[str], max_new_tokens: int) -> list[Answer]:
    """Answers of a model, in the order of the prompts."""
    requests = [Request(encode_chat(tokenizer, [p]), max_new_tokens) for p in prompts]
    by_length = sorted(range(len(prompts)), key=lambda i: len(requests[i].prompt))
    answers: dict[int, Answer] = {}
    for start in range(0, len(by_length), MAX_BATCH):
        chunk = by_length[start : start + MAX_BATCH]
        for i, written in zip(chunk, engine.generate([requests[i] for i in chunk]), strict=True):
            text = tokenizer.decode(written.ids)
            answers[i] = Answer(parse_answer(text)[0], sum(written.logprobs), len(written.logprobs))
    return [answers[i] for i in range(len(prompts))]


def load_engine(folder: Path, tokenizer: Tokenizer, adapter: Path | None = None) -> Llama:
    """The saved model as the library runs it."""
    return Llama.load(folder, token_id(tokenizer, "</s>"), adapter)


def write_json(file: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value, indent=1) + "\n")
