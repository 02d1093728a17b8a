"""What a model is, as a hash: what was kept of one model must not be taken for another's."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from langchain_core.language_models import BaseChatModel

from langchain_r2.model_spec import ModelSpec

_WEIGHTS: Final = ("*.safetensors", "config.json", "adapter_config.json", "tokenizer.json")


def model_hash(spec: ModelSpec) -> str:
    """What a model is: its name, address and settings, and the weights of one that runs here. Not where they lie."""
    facts: list[Any] = [spec.name, spec.base_url, spec.prompt_style]
    if isinstance(spec.model, BaseChatModel):
        known = {k: v for k, v in spec.model._identifying_params.items() if k not in {"folder", "path", "adapter"}}
        facts += [type(spec.model).__name__, known, getattr(spec.model, "seed", None)]
        places = [getattr(spec.model, name, None) for name in ("folder", "path", "adapter")]
        facts += [_weights_hash(Path(place)) if place else None for place in places]
    else:
        facts.append(spec.model)
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _weights_hash(folder: Path) -> str:
    """Of what is in a folder; of a model that is not here, its id."""
    if not folder.is_dir():
        return str(folder)
    digest = hashlib.sha256()
    for file in sorted(found for pattern in _WEIGHTS for found in folder.glob(pattern)):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
