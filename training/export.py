"""Writes a trained role as others load it: a LoRA adapter with tokenizer and card, or merged into its base.

The adapter's folder is what ``langchain_r2.routers.local`` reads, and what ``vllm serve BASE --enable-lora
--lora-modules NAME=FOLDER`` takes, where ``ChatOpenAI(model=NAME)`` addresses it. The merged folder is a model of its
own, for ``transformers serve`` and everything else that knows no adapters.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from langchain_r2.errors import BadValueError
from langchain_r2.weights import ADAPTER, BASE_KEY, MODEL, check_adapter, check_folder, fingerprint

CONFIG: Final = "adapter_config.json"
_MACHINE: Final = ("_name_or_path", "revision")
"""Of configurations: where the files lay on the machine that trained."""


def export_adapter(
    adapter: Path, out: Path, *, base: str, tokenizer: str, facts: Mapping[str, Any], base_name: str | None = None
) -> Path:
    """Write an adapter, its tokenizer and its card into a folder.

    Args:
        adapter: Folder of the trained adapter.
        out: Folder to make; files of an earlier export are replaced.
        base: Folder, or Hugging Face id, of the model that it was trained on.
        tokenizer: Folder or id of the tokenizer that it was trained with.
        facts: What the card says besides: role, data, settings, results. The key ``role`` has to be there.
        base_name: What the base is called where the adapter will be used; None: as ``base``.

    Raises:
        BadValueError: The adapter is for another base, cannot be served, or the tokenizer has no chat template.
    """
    from safetensors.torch import load_file, save_file

    check_folder(adapter, ADAPTER)
    config = json.loads((adapter / CONFIG).read_text())
    _check_servable(adapter, config)
    named: dict[str, str] = {}
    if Path(base).is_dir():
        check_folder(Path(base), MODEL, f"{MODEL}.index.json")
        check_adapter(Path(base), adapter)
        named = {BASE_KEY: fingerprint(Path(base))}
    out.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(tokenizer, out)
    # An adapter folder may be exported in place, so everything is read before anything is written.
    weights = {name: value.contiguous().clone() for name, value in load_file(adapter / ADAPTER).items()}
    save_file(weights, out / ADAPTER, metadata={"format": "pt"} | named)
    config |= {"base_model_name_or_path": base_name or base, "inference_mode": True, "revision": None}
    config["target_modules"] = _sorted(config["target_modules"])
    (out / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    (out / "README.md").write_text(card(base_name or base, config, facts, merged=False))
    return out


def export_merged(
    adapter: Path, out: Path, *, base: str, tokenizer: str, facts: Mapping[str, Any], dtype: str = "float32"
) -> Path:
    """Write the base with the adapter merged in, as one model with its tokenizer and card.

    Args:
        adapter: Folder of the trained adapter.
        out: Folder to make.
        base: Folder, or Hugging Face id, of the model that it was trained on.
        tokenizer: Folder or id of the tokenizer that it was trained with.
        facts: As for :func:`export_adapter`.
        dtype: Name of a torch type. Sums are taken in float32 whatever it is.

    Raises:
        BadValueError: The adapter is for another base, or the tokenizer has no chat template.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    check_folder(adapter, ADAPTER)
    if Path(base).is_dir():
        check_adapter(Path(base), adapter)
    loaded: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
    merged: Any = PeftModel.from_pretrained(loaded, str(adapter)).merge_and_unload()
    out.mkdir(parents=True, exist_ok=True)
    merged.to(getattr(torch, dtype)).save_pretrained(str(out))
    _write_tokenizer(tokenizer, out)
    stated = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(
        json.dumps({k: v for k, v in stated.items() if k not in _MACHINE}, indent=1, sort_keys=True) + "\n"
    )
    config = json.loads((adapter / CONFIG).read_text())
    (out / "README.md").write_text(card(base, config, facts, merged=True))
    return out


def card(base: str, config: Mapping[str, Any], facts: Mapping[str, Any], *, merged: bool) -> str:
    """The model card: what it is, how to load and serve it, where it came from."""
    role = facts.get("role")
    if role not in {"decomposer", "allocator"}:
        raise BadValueError("role of an export", role, ("decomposer", "allocator"))
    head = ["---", f"base_model: {json.dumps(base)}", f"library_name: {'transformers' if merged else 'peft'}"]
    head += ["pipeline_tag: text-generation", f"tags: [langchain-r2, {role}]", "---", ""]
    name, rank = f"r2-{role}", int(config["r"])
    if merged:
        serve = "transformers serve FOLDER"
        load = f'local_spec("{name}", "FOLDER", price=Price(input=0.1, output=0.2))'
    else:
        ranks = next(r for r in (8, 16, 32, 64, 128, 256, 320, 512) if r >= rank)
        serve = f"vllm serve {base} --enable-lora --max-lora-rank {ranks} --lora-modules {name}=FOLDER"
        load = f'local_spec("{name}", "{base}", adapter="FOLDER", price=Price(input=0.1, output=0.2))'
    body = [
        f"# {name}",
        "",
        f"The {role} of a Route-and-Reason router, trained with langchain-r2: "
        + (f"{base} with a LoRA adapter of rank {rank} merged in." if merged else f"a LoRA adapter of rank {rank}."),
        "It reads the prompts of `langchain_r2.prompts.bare`, through the chat template that is beside it.",
        "",
        "```python",
        "from langchain_r2 import Price",
        "from langchain_r2.routers.local import local_spec",
        "",
        f"spec = {load}  # your price",
        "```",
        "",
        "```console",
        serve,
        "```",
        "",
        "## How it was made",
        "",
        "```json",
        json.dumps({k: v for k, v in facts.items() if k != "role"}, indent=1, sort_keys=True, default=str),
        "```",
    ]
    return "\n".join([*head, *body]) + "\n"


def _check_servable(adapter: Path, config: Mapping[str, Any]) -> None:
    """Refuse what vLLM's LoRA support does not take."""
    problems = {
        "modules_to_save": config.get("modules_to_save"),
        "use_dora": config.get("use_dora"),
        "bias": None if config.get("bias", "none") == "none" else config["bias"],
    }
    for name, value in problems.items():
        if value:
            hint = "vLLM cannot serve such an adapter: export the merged form."
            raise BadValueError(f"{name} of adapter {str(adapter)!r}", value, "none", hint)
    if int(config["r"]) > 512:
        raise BadValueError(f"rank of adapter {str(adapter)!r}", config["r"], "at most 512", "Export the merged form.")


def _write_tokenizer(tokenizer: str, out: Path) -> None:
    """Write a tokenizer's files; those of a folder are copied as they are."""
    from transformers import AutoTokenizer

    loaded: Any = AutoTokenizer.from_pretrained(tokenizer)
    if loaded.chat_template is None:
        hint = "Train with a tokenizer that has one: prompts are chat messages when a router runs."
        raise BadValueError("tokenizer", tokenizer, "one with a chat template", hint)
    files = [f for f in Path(tokenizer).glob("*") if f.name in _TOKENIZER] if Path(tokenizer).is_dir() else []
    if not files:
        loaded.save_pretrained(str(out))
    for file in files:
        if file.resolve() != (out / file.name).resolve():
            shutil.copyfile(file, out / file.name)


_TOKENIZER: Final = frozenset(
    {
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "vocab.txt",
    }
)


def _sorted(modules: object) -> object:
    return sorted(modules) if isinstance(modules, list) else modules
