"""The embedded models as LangChain chat models: numpy, no key, no network."""

import json
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import BaseMessage
from safetensors import SafetensorError
from tokenizers import Tokenizer

from langchain_r2.embedded.engine import Llama
from langchain_r2.errors import BadValueError
from langchain_r2.in_process import InProcessChatModel, Request, Written
from langchain_r2.weights import ADAPTER, MODEL, check_adapter, check_folder

_COMPUTING: Final = threading.Lock()
"""Models that compute at the same time, on threads, take longer than one after the other: at every step numpy gives
the interpreter up and asks for it back."""


class EmbeddedEngine:
    """A numpy model with its tokenizer."""

    def __init__(self, folder: Path, tokenizer_file: Path, adapter: Path | None) -> None:
        """Load both; a LoRA adapter is merged in if one is given."""
        self._tokenizer = load_tokenizer(tokenizer_file)
        self._llama = Llama.load(folder, token_id(self._tokenizer, "</s>"), adapter)
        self.positions = self._llama.positions

    def encode(self, messages: list[BaseMessage]) -> list[int]:
        """Ids of a chat whose next message is the model's."""
        return encode_chat(self._tokenizer, [str(m.text) for m in messages])

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self._tokenizer.decode(list(ids))

    def token(self, id_: int) -> str:
        """One token as text."""
        return self._tokenizer.id_to_token(id_) or ""

    def generate(self, requests: Sequence[Request]) -> list[Written]:
        """Continue several texts at once, while no other model of this process does."""
        with _COMPUTING:
            return self._llama.generate(requests)


class EmbeddedChatModel(InProcessChatModel):
    """A shipped model, or one trained with ``training/embedded``."""

    folder: Path
    """Has ``model.safetensors`` and ``config.json``."""
    tokenizer_file: Path
    adapter: Path | None = None
    """Folder of a LoRA adapter to merge in."""

    @property
    def _llm_type(self) -> str:
        return "langchain-r2-embedded"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "adapter": str(self.adapter), "temperature": self.temperature}

    def load(self) -> EmbeddedEngine:
        """Load the model.

        Raises:
            BadValueError: A folder has no weights as safetensors, or what it has is damaged or for another base.
        """
        check_folder(self.folder, MODEL)
        if self.adapter is not None:
            check_folder(self.adapter, ADAPTER)
        try:
            if self.adapter is not None:
                check_adapter(self.folder, self.adapter)
            return EmbeddedEngine(self.folder, self.tokenizer_file, self.adapter)
        except SafetensorError as error:
            hint = f"Get them anew ({error})."
            raise BadValueError("weights", str(self.folder), "whole safetensors files", hint) from error

    def get_num_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(load_tokenizer(self.tokenizer_file).encode(text).ids)


def encode_chat(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    """Ids of a chat of user messages whose next message is the model's; the same as the tokenizer's chat template."""
    ids = [token_id(tokenizer, "<s>")]
    for text in texts:
        ids += [token_id(tokenizer, "<user>"), *tokenizer.encode(text).ids]
    return [*ids, token_id(tokenizer, "<assistant>")]


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """Id of a token.

    Raises:
        BadValueError: The tokenizer does not have it.
    """
    id_ = tokenizer.token_to_id(token)
    if id_ is None:
        raise BadValueError("tokenizer", tokenizer, f"one with the token {token}")
    return id_


@lru_cache(maxsize=8)
def load_tokenizer(file: Path) -> Tokenizer:
    """A tokenizer, kept once loaded."""
    return Tokenizer.from_file(str(file))


def read_json(file: Path) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON file of the package."""
    return json.loads(file.read_text())
