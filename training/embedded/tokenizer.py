"""The embedded models' tokenizers: a word, a digit or a sign is a token."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from langchain_r2.evals.benchmarks.arithmetic_stories import (
    BOXES,
    CLAUSES,
    DISTRACTORS,
    FINALES,
    ITEMS,
    NAMES,
    Clause,
    Finale,
)
from langchain_r2.evals.benchmarks.scan import commands
from langchain_r2.routers.prompted import ALIASES

SPECIAL: Final = ("<pad>", "<s>", "</s>", "<unk>", "<user>", "<assistant>")
_TOKEN: Final = r"\n|\d|#query|[A-Za-z']+|[^\sA-Za-z\d]"  # noqa: S105 - how texts are cut, no secret
_KEYWORDS: Final = "direct steps solve plan pool route join answer plus minus times divided by #query".split()
_SCAN_TOKEN: Final = r"\n|\d|#query|[A-Za-z_]+|[^\sA-Za-z\d]"  # noqa: S105
_SCAN_KEYWORDS: Final = "direct steps solve plan pool route answer #query".split()
_PHRASE: Final = 5
"""Words of the shortest commands that together have all words."""
_SIGNS: Final = ["\n", *"0123456789:;,.?#+-*/=", *"rb"]

CHAT_TEMPLATE: Final = (
    "<s>{% for message in messages %}{% if message['role'] == 'assistant' %}<assistant>{% else %}<user>{% endif %}"
    "{{ message['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def build_tokenizer() -> Tokenizer:
    """Make arithmetic's tokenizer; its vocabulary is that of the stories, not of any drawn problem."""
    import re

    parts: list[Clause | Finale] = [*CLAUSES.values(), *FINALES.values()]
    texts = [*DISTRACTORS, *(w for part in parts for w in part.wordings)]
    story = {word for text in texts for word in re.findall(r"[a-z]+", re.sub(r"{\w}", " ", text))}
    words = [*SPECIAL, *_SIGNS, *_KEYWORDS, *ALIASES[:9], *NAMES, *ITEMS, *BOXES, *sorted(story)]
    tokenizer = _of_words(words, _TOKEN)
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def build_scan_tokenizer() -> Tokenizer:
    """Make SCAN's tokenizer: the words of its commands, and an action is a token."""
    phrases = [command for command in commands() if len(command.text.split()) <= _PHRASE]
    said = sorted({word for command in phrases for word in command.text.split()})
    done = sorted({action for command in phrases for action in command.actions})
    return _of_words([*SPECIAL, *"\n0123456789:=", *_SCAN_KEYWORDS, *ALIASES[:9], *said, *done], _SCAN_TOKEN)


def _of_words(words: Sequence[str], token: str) -> Tokenizer:
    """A tokenizer that cuts texts so and knows these words."""
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - a vocabulary entry, no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(token), behavior="removed", invert=True)
    # Words are joined by spaces; digits of a number and signs after a word are not.
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(r"^(?=[^\n])"), " "),
            decoders.Fuse(),
            decoders.Replace(Regex(r"(?<=\d) (?=\d)|(?<=#) (?=\d)|^ | (?=\n)|(?<=\n) "), ""),
        ]
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer | None = None) -> Tokenizer:
    """Write a tokenizer's files (None: arithmetic's), in transformers' layout, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer or build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    return tokenizer


__all__ = ["CHAT_TEMPLATE", "build_scan_tokenizer", "build_tokenizer", "write_tokenizer"]
