"""Routers that run in this process on transformers and peft: any causal language model, with or without LoRA adapters.

Needs the extra ``local``. The shipped embedded router runs without it, in numpy; loaded here it says the same.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from safetensors import SafetensorError

from langchain_r2.errors import BadValueError, MissingExtraError
from langchain_r2.in_process import Engine, InProcessChatModel, Request, Written
from langchain_r2.model_spec import ModelSpec, Price, PromptStyle
from langchain_r2.weights import ADAPTER, check_adapter, check_folder


class LocalChatModel(InProcessChatModel):
    """A Hugging Face causal language model as a chat model: greedy unless a temperature is given."""

    path: str
    """Folder, or Hugging Face id, of the model and its tokenizer (with a chat template)."""
    adapter: str | None = None
    """Folder or id of a LoRA adapter."""
    tokenizer_path: str | None = None
    """Where the tokenizer is, if neither with the adapter nor with the model."""
    device: str = "cpu"
    dtype: str = "auto"
    """Name of a torch type, or ``auto``."""

    @property
    def _llm_type(self) -> str:
        return "langchain-r2-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"path": self.path, "adapter": self.adapter, "temperature": self.temperature}

    def load(self) -> Engine:
        """Load the model.

        Raises:
            MissingExtraError: transformers, torch or peft are not installed.
            BadValueError: There is no such model, or its tokenizer has no chat template.
        """
        try:
            for package in ("peft", "torch", "transformers"):  # only whether they are there
                import_module(package)
        except ImportError as error:
            raise MissingExtraError("a local model", "local") from error
        return TransformersEngine(self)


def local_spec(
    name: str,
    path: str,
    *,
    price: Price,
    adapter: str | None = None,
    tokenizer_path: str | None = None,
    max_output_tokens: int = 192,
    context_tokens: int = 1024,
    prompt_style: PromptStyle = "bare",
) -> ModelSpec:
    """A router's model from a folder or Hugging Face id: give it to ``PromptedDecomposer`` or ``PromptedAllocator``.

    Args:
        name: Shown in traces and bills.
        path: The base model.
        price: What the router is billed at.
        adapter: The role's LoRA adapter.
        tokenizer_path: Where the tokenizer is, if neither with the adapter nor with the model.
        max_output_tokens: Longest plan or allocation.
        context_tokens: What the model can read.
        prompt_style: ``bare`` for models trained on their step, ``instruct`` for general ones.
    """
    model = LocalChatModel(
        path=path, adapter=adapter, tokenizer_path=tokenizer_path, model_name=name, max_tokens=max_output_tokens
    )
    return ModelSpec(
        name=name,
        model=model,
        price=price,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        capabilities=frozenset({"logprobs"}),
        prompt_style=prompt_style,
    )


def _tokenizer_path(model: LocalChatModel) -> str:
    """Where the tokenizer is: an exported adapter has the one that it was trained with."""
    beside = model.adapter is not None and (Path(model.adapter) / "tokenizer_config.json").is_file()
    return model.tokenizer_path or (model.adapter if beside and model.adapter else model.path)


def _check_adapter(base: str, adapter: str) -> None:
    """Refuse an adapter for another base, or a pickle, which peft would take where there is nothing else."""
    from huggingface_hub import hf_hub_download

    if Path(adapter).is_dir():
        check_folder(Path(adapter), ADAPTER)
        if Path(base).is_dir():
            check_adapter(Path(base), Path(adapter))
    else:  # an id: raises where there is no such file, else peft finds it in the cache
        hf_hub_download(adapter, ADAPTER)


class TransformersEngine:
    """A transformers model with its tokenizer."""

    def __init__(self, model: LocalChatModel) -> None:
        """Load both, and the adapter."""
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            # Their types follow from the files, not from these calls.
            self._tokenizer: Any = AutoTokenizer.from_pretrained(_tokenizer_path(model))
            loaded: Any = AutoModelForCausalLM.from_pretrained(model.path, dtype=model.dtype, use_safetensors=True)
            if model.adapter is not None:
                _check_adapter(model.path, model.adapter)
                loaded = PeftModel.from_pretrained(loaded, model.adapter)
        except BadValueError:
            raise
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:  # RuntimeError: shapes that do not fit
            hint = "Give a folder with config.json and model.safetensors, or an id that can be downloaded."
            raise BadValueError(
                "path of the local model", (model.path, model.adapter), hint=f"{hint} ({error})"
            ) from error
        if self._tokenizer.chat_template is None:
            raise BadValueError("tokenizer", _tokenizer_path(model), "one with a chat template")
        self._model = loaded.to(model.device).eval()
        self.positions = int(getattr(loaded.config, "max_position_embeddings", 4096))
        self._eos: int = self._tokenizer.eos_token_id
        self._pad: int = self._eos if self._tokenizer.pad_token_id is None else self._tokenizer.pad_token_id

    def encode(self, messages: list[BaseMessage]) -> list[int]:
        """Ids by the tokenizer's chat template."""
        roles = {"human": "user", "ai": "assistant", "system": "system"}
        chat = [{"role": roles.get(m.type, "user"), "content": str(m.text)} for m in messages]
        ids: list[int] = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def token(self, id_: int) -> str:
        """One token as text."""
        return str(self._tokenizer.convert_ids_to_tokens(id_))

    def generate(self, requests: Sequence[Request]) -> list[Written]:
        """Continue several texts; those with equal settings go in one batch."""
        groups: dict[tuple[float, int], list[int]] = {}
        for i, request in enumerate(requests):
            key = (request.temperature, request.seed if request.temperature > 0 else 0)
            groups.setdefault(key, []).append(i)
        written: dict[int, Written] = {}
        for indices in groups.values():
            written |= zip(indices, self._continue([requests[i] for i in indices]), strict=True)
        return [written[i] for i in range(len(requests))]

    def _continue(self, requests: list[Request]) -> list[Written]:
        import torch

        longest = max(len(r.prompt) for r in requests)
        rows = [[self._pad] * (longest - len(r.prompt)) + list(r.prompt) for r in requests]
        mask = [[0] * (longest - len(r.prompt)) + [1] * len(r.prompt) for r in requests]
        warmth = requests[0].temperature
        options: dict[str, Any] = {"do_sample": False}
        if warmth > 0:
            options = {"do_sample": True, "temperature": warmth, "top_k": 0, "top_p": 1.0}
            torch.manual_seed(requests[0].seed)
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=torch.tensor(rows, device=self._model.device),
                attention_mask=torch.tensor(mask, device=self._model.device),
                max_new_tokens=min(max(r.max_new_tokens for r in requests), self.positions - longest),
                eos_token_id=self._eos,
                pad_token_id=self._pad,
                output_logits=True,
                return_dict_in_generate=True,
                **options,
            )
        logprobs = torch.stack(out.logits, dim=1).float().log_softmax(-1)
        ids = out.sequences[:, longest:]
        return [self._written(ids[i].tolist(), logprobs[i], request) for i, request in enumerate(requests)]

    def _written(self, ids: list[int], logprobs: Any, request: Request) -> Written:  # noqa: ANN401 - a tensor
        end = ids.index(self._eos) if self._eos in ids else len(ids)
        finished = end < len(ids) and end < request.max_new_tokens
        text = ids[: min(end, request.max_new_tokens)]
        count = len(text) + int(finished)
        top = logprobs[:count].topk(min(request.top, logprobs.shape[-1]), dim=-1)
        alternatives = [
            dict(zip(map(int, row_ids), map(float, row), strict=True))
            for row_ids, row in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ]
        chosen = [float(logprobs[i, ids[i]]) for i in range(count)]
        return Written(text, chosen, alternatives, finished)
