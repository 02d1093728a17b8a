"""Weights are read from safetensors only: the other formats are pickles, which can run code when they are read."""

from pathlib import Path
from typing import Final

from langchain_r2.errors import BadValueError

MODEL: Final = "model.safetensors"
ADAPTER: Final = "adapter_model.safetensors"
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
