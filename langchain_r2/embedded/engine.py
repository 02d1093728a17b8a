"""Runs the embedded models: Llama-architecture inference in numpy, batched, with the probabilities of what it writes.

Why not transformers: its import alone takes seconds and hundreds of megabytes, and a fresh install gigabytes, for
models of at most a million parameters. A test holds this against transformers' own logits on the same weights.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from langchain_r2.in_process import Request, Written

Floats = npt.NDArray[np.floating[Any]]
"""In fact float32: numpy's types lose the width in arithmetic."""
Ints = npt.NDArray[np.int64]
_Random = np.random.Generator | None
"""Of a text that is sampled."""

_GROWTH: Final = 32
"""Places by which the cache of keys and values grows: most texts end long before their limit."""
_CROWDED: Final = 0.75
"""Ended texts leave the batch when no more than this share of it still runs: taking rows out copies the cache."""


class _Layer(NamedTuple):
    """Weights of one layer, transposed so that rows of activations multiply from the left."""

    norm_in: Floats
    qkv: Floats
    out: Floats
    norm_post: Floats
    gate_up: Floats
    down: Floats


class Llama:
    """A Llama-architecture model: multi-head attention with rotary positions, gated MLP, tied embeddings."""

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]], config: Mapping[str, Any], eos: int) -> None:
        """Take weights under transformers' names; any float type."""
        self.heads = int(config["num_attention_heads"])
        self.eos = eos
        self.embedding = _f32(weights["model.embed_tokens.weight"])
        self.width = self.embedding.shape[1]
        self.head_width = self.width // self.heads
        self.epsilon = np.float32(config["rms_norm_eps"])
        self.norm = _f32(weights["model.norm.weight"])
        self.positions = int(config["max_position_embeddings"])
        rope: Mapping[str, Any] = config.get("rope_parameters") or config
        theta = float(rope.get("rope_theta", 10000.0))
        frequencies = theta ** (-np.arange(0, self.head_width, 2) / self.head_width)
        angles = np.outer(np.arange(self.positions), frequencies)
        angles = np.concatenate([angles, angles], axis=1)
        self._cos, self._sin = _f32(np.cos(angles)), _f32(np.sin(angles))
        self._layers = [_layer(weights, i) for i in range(int(config["num_hidden_layers"]))]

    @classmethod
    def load(cls, folder: Path, eos: int, adapter: Path | None = None) -> "Llama":
        """Load ``model.safetensors`` and ``config.json`` of a folder, with a LoRA adapter merged in if one is given."""
        weights: dict[str, Any] = {k: _f32(v) for k, v in load_file(folder / "model.safetensors").items()}
        if adapter is not None:
            merge_adapter(weights, adapter)
        return cls(weights, json.loads((folder / "config.json").read_text()), eos)

    def logits(self, prompts: Ints) -> Floats:
        """Logits of every position of equally long texts, shape ``(texts, tokens, vocabulary)``."""
        batch, length = prompts.shape
        cache = self._new_cache(batch, length)
        hidden = self._forward(prompts, np.zeros(batch, np.int64), cache, 0)
        return hidden @ self.embedding.T

    def generate(self, requests: Sequence[Request]) -> list[Written]:
        """Continue several texts at once."""
        lengths = [len(r.prompt) for r in requests]
        longest = max(lengths)
        room = min(self.positions, longest + max(r.max_new_tokens for r in requests))
        pad = np.array([longest - n for n in lengths], np.int64)
        tokens = np.zeros((len(requests), longest), np.int64)
        for row, request in enumerate(requests):
            tokens[row, pad[row] :] = request.prompt
        written = [Written([], [], [], False) for _ in requests]
        rngs = [np.random.default_rng(r.seed) if r.temperature > 0 else None for r in requests]
        rows = list(range(len(requests)))  # which request each row of the batch continues
        live = set(rows)
        cache = self._new_cache(len(requests), min(room, longest + _GROWTH))
        at, step = 0, tokens
        while live:
            if at + step.shape[1] > cache[0][0].shape[2]:
                cache = [(_longer(k, at, room), _longer(v, at, room)) for k, v in cache]
            hidden = self._forward(step, pad, cache, at)[:, -1]
            at += step.shape[1]
            logprobs = _log_softmax(hidden @ self.embedding.T)
            chosen = self._choose(logprobs, [requests[i] for i in rows], [rngs[i] for i in rows])
            running = [row for row, i in enumerate(rows) if i in live]
            top = max(requests[rows[row]].top for row in running)
            ended = self._append([written[rows[r]] for r in running], chosen[running], logprobs[running], top)
            for row, over in zip(running, ended, strict=True):
                index = rows[row]
                if over:
                    written[index] = written[index]._replace(finished=True)
                if over or at >= room or len(written[index].ids) >= requests[index].max_new_tokens:
                    live.discard(index)
            if len(live) <= _CROWDED * len(rows):
                keep = [row for row, i in enumerate(rows) if i in live]
                rows, pad, chosen = [rows[r] for r in keep], pad[keep], chosen[keep]
                cache = [(k[keep], v[keep]) for k, v in cache] if live else cache
            step = chosen[:, None]
        return written

    def _append(self, texts: Sequence[Written], chosen: Ints, logprobs: Floats, top: int) -> list[bool]:
        """Add to each text its next token, with ``top`` alternatives; True per text that ends with it."""
        if top:
            near = np.argsort(-logprobs, axis=1)[:, :top]
            values = np.take_along_axis(logprobs, near, axis=1).tolist()
            for text, ids, row in zip(texts, near.tolist(), values, strict=True):
                text.alternatives.append(dict(zip(ids, row, strict=True)))
        own = logprobs[np.arange(len(chosen)), chosen].tolist()
        tokens: list[int] = chosen.tolist()
        for text, token, logprob in zip(texts, tokens, own, strict=True):
            text.logprobs.append(logprob)
            if token != self.eos:
                text.ids.append(token)
        return [token == self.eos for token in tokens]

    def _choose(self, logprobs: Floats, requests: Sequence[Request], rngs: Sequence[_Random]) -> Ints:
        chosen: Ints = logprobs.argmax(axis=1)
        warm = [(row, rng) for row, rng in enumerate(rngs) if rng is not None]
        if warm:
            places = [row for row, _ in warm]
            temperatures = np.array([[requests[row].temperature] for row in places])
            rows = logprobs[places].astype(np.float64)
            sums = np.cumsum(np.exp((rows - rows.max(axis=1, keepdims=True)) / temperatures), axis=1)
            for (row, rng), sum_ in zip(warm, sums / sums[:, -1:], strict=True):
                chosen[row] = sum_.searchsorted(rng.random(), side="right")
        return chosen

    def _new_cache(self, batch: int, room: int) -> list[tuple[Floats, Floats]]:
        shape = (batch, self.heads, room, self.head_width)
        return [(np.zeros(shape, np.float32), np.zeros(shape, np.float32)) for _ in self._layers]

    def _forward(self, tokens: Ints, pad: Ints, cache: list[tuple[Floats, Floats]], at: int) -> Floats:
        """Hidden states of new tokens that stand at ``at`` and after; texts are padded on the left by ``pad``."""
        batch, length = tokens.shape
        places = at + np.arange(length)
        positions = np.maximum(places[None, :] - pad[:, None], 0)
        cos, sin = self._cos[positions][:, None], self._sin[positions][:, None]
        seen = np.arange(at + length)
        hidden_keys = (seen[None, None, :] > places[None, :, None]) | (seen[None, None, :] < pad[:, None, None])
        mask = np.where(hidden_keys, np.float32(-1e9), np.float32(0))[:, None]
        # Texts and places are one axis but for attention: numpy multiplies a stack of matrices one by one.
        x: Floats = self.embedding[tokens.ravel()]
        for layer, (keys, values) in zip(self._layers, cache, strict=True):
            split = (batch, length, 3, self.heads, self.head_width)
            qkv = (_rms(x, layer.norm_in, self.epsilon) @ layer.qkv).reshape(split).transpose(2, 0, 3, 1, 4)
            q, keys[:, :, at : at + length] = _rotate(qkv[:2], cos, sin)
            values[:, :, at : at + length] = qkv[2]
            scores = q @ keys[:, :, : at + length].swapaxes(-1, -2)
            mixed = _softmax(scores * np.float32(self.head_width**-0.5) + mask) @ values[:, :, : at + length]
            x = x + mixed.transpose(0, 2, 1, 3).reshape(batch * length, self.width) @ layer.out
            gate, up = _halves(_rms(x, layer.norm_post, self.epsilon) @ layer.gate_up)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ layer.down
        return _rms(x, self.norm, self.epsilon).reshape(batch, length, self.width)


def merge_adapter(weights: dict[str, Any], adapter: Path) -> None:
    """Add a LoRA adapter's products to the weights they adapt, in place."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    scale = np.float32(config["lora_alpha"] / config["r"])
    matrices = load_file(adapter / "adapter_model.safetensors")
    for name, a in matrices.items():
        if ".lora_A." in name:
            target = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
            b = _f32(matrices[name.replace(".lora_A.", ".lora_B.")])
            weights[target] = weights[target] + scale * (b @ _f32(a))


def _layer(weights: Mapping[str, npt.NDArray[Any]], index: int) -> _Layer:
    def get(name: str) -> Floats:
        return _f32(weights[f"model.layers.{index}.{name}.weight"])

    attention = [get(f"self_attn.{part}_proj").T for part in "qkv"]
    return _Layer(
        get("input_layernorm"),
        np.ascontiguousarray(np.concatenate(attention, axis=1)),
        np.ascontiguousarray(get("self_attn.o_proj").T),
        get("post_attention_layernorm"),
        np.ascontiguousarray(np.concatenate([get("mlp.gate_proj").T, get("mlp.up_proj").T], axis=1)),
        np.ascontiguousarray(get("mlp.down_proj").T),
    )


def _f32(array: Any) -> Floats:  # noqa: ANN401 - any array
    return np.asarray(array, dtype=np.float32)


def _rms(x: Floats, weight: Floats, epsilon: np.float32) -> Floats:
    mean = np.add.reduce(x * x, axis=-1, keepdims=True) / np.float32(x.shape[-1])  # as np.mean, which is slower
    scaled: Floats = x / np.sqrt(mean + epsilon) * weight
    return scaled


def _rotate(x: Floats, cos: Floats, sin: Floats) -> Floats:
    (left, right), rotated = _halves(x), x * cos
    to_left, to_right = _halves(rotated)
    sin_left, sin_right = _halves(sin)
    to_left -= right * sin_left
    to_right += left * sin_right
    return rotated


def _halves(x: Floats) -> tuple[Floats, Floats]:
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle:]


def _longer(kept: Floats, used: int, room: int) -> Floats:
    """A cache array with room for more places, of which the first ones are in use."""
    batch, heads, places, width = kept.shape
    longer = np.zeros((batch, heads, min(room, 2 * places), width), np.float32)
    longer[:, :, :used] = kept[:, :, :used]
    return longer


def _softmax(x: Floats) -> Floats:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Floats = e / e.sum(axis=-1, keepdims=True)
    return shares


def _log_softmax(x: Floats) -> Floats:
    shifted: Floats = x - x.max(axis=-1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs
