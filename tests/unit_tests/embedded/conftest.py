"""A model made here: random weights, the embedded models' architecture and tokenizer."""

from pathlib import Path

import pytest

from training.embedded.models import new_model, save_model
from training.embedded.sizes import Size
from training.embedded.tokenizer import write_tokenizer


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``tokenizer/`` and the model ``m``."""
    folder = tmp_path_factory.mktemp("home")
    tokenizer = write_tokenizer(folder / "tokenizer")
    model = new_model(Size("m", 2, 32, 2, False, 0, 0.0, 0.0, ""), tokenizer.get_vocab_size())
    save_model(model, folder / "m")
    return folder
