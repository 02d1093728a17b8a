"""Weights are read from safetensors only: the other formats are pickles, which can run code when they are read.

An adapter is only loaded on the base it was made for.
"""

import hashlib
from pathlib import Path
from typing import Final

from safetensors import safe_open

from langchain_r2.errors import BadValueError

MODEL: Final = "model.safetensors"
ADAPTER: Final = "adapter_model.safetensors"
BASE_KEY: Final = "langchain_r2_base"
"""In the metadata of an exported adapter: the fingerprint of its base."""
_PARTS: Final = 64
_PART_BYTES: Final = 4096
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


def check_folder(folder: Path, *files: str) -> None:
    """Check that a folder has its weights as safetensors.

    Args:
        folder: Of a model or an adapter.
        files: Names of which one must be there.

    Raises:
        BadValueError: None is there; the message names the pickles that are.
    """
    if any((folder / name).is_file() for name in files):
        return
    pickles = sorted(found.name for pattern in _PICKLES for found in folder.glob(pattern))
    hint = f"{', '.join(pickles[:3])} can run code when it is read: save the weights as safetensors." if pickles else ""
    raise BadValueError("folder of weights", str(folder), f"one with {' or '.join(files)}", hint)


def fingerprint(folder: Path) -> str:
    """What tells a model's weights from any other's: a hash of each file's size and of parts spread over it.

    A file of gigabytes is not read whole; weights that were trained differ everywhere.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        size = file.stat().st_size
        digest.update(f"{file.name} {size};".encode())
        with file.open("rb") as opened:
            for part in range(_PARTS):
                opened.seek(size * part // _PARTS)
                digest.update(opened.read(_PART_BYTES))
    return digest.hexdigest()[:16]


def check_adapter(base: Path, adapter: Path) -> None:
    """Check that a LoRA adapter was made for a base: by the base's fingerprint, if it says so, and by shapes.

    Args:
        base: Folder of the base model.
        adapter: Folder of the adapter.

    Raises:
        BadValueError: It was made for another base.
    """
    with safe_open(adapter / ADAPTER, framework="numpy") as opened:
        named = (opened.metadata() or {}).get(BASE_KEY)
        halves = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118 - no mapping
    if named and named != (found := fingerprint(base)):
        raise _other_base(base, adapter, f"it names the base {named}, and this is {found}")
    shapes = _shapes(base)
    targets = {n: n.removeprefix("base_model.model.").replace(".lora_A.", ".") for n in halves if ".lora_A." in n}
    known = {name: shapes[target] for name, target in targets.items() if target in shapes}
    missing = [t for t in targets.values() if t not in shapes and not t.startswith("lm_head.")]
    if known and missing:  # where none is known, the files only use other names than the model
        raise _other_base(base, adapter, f"the base has no {missing[0]}")
    for name, shape in known.items():
        fits = [halves[name.replace(".lora_A.", ".lora_B.")][0], halves[name][-1]]
        if len(shape) == 2 and shape != fits:
            raise _other_base(base, adapter, f"{targets[name]} is {shape} in the base and {fits} in the adapter")


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Shapes of a model's weights, by name."""
    found: dict[str, list[int]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as opened:
            found |= {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118 - no mapping
    return found


def _other_base(base: Path, adapter: Path, why: str) -> BadValueError:
    hint = f"It was made for another base: {why}. Load it on the base it was trained on (its README.md names it)."
    return BadValueError("adapter", str(adapter), f"one made for {base}", hint)
