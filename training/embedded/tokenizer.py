"""The embedded models' tokenizer: a word, a digit or a sign is a token."""

import json
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
from langchain_r2.routers.prompted import ALIASES

SPECIAL: Final = ("<pad>", "<s>", "</s>", "<unk>", "<user>", "<assistant>")
_TOKEN: Final = r"\n|\d|#query|[A-Za-z']+|[^\sA-Za-z\d]"  # noqa: S105 - how texts are cut, no secret
_KEYWORDS: Final = "direct steps solve plan pool route join answer plus minus times divided by #query".split()
_SIGNS: Final = ["\n", *"0123456789:;,.?#+-*/=", *"rb"]

CHAT_TEMPLATE: Final = (
    "<s>{% for message in messages %}{% if message['role'] == 'assistant' %}<assistant>{% else %}<user>{% endif %}"
    "{{ message['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def build_tokenizer() -> Tokenizer:
    """Make the tokenizer; its vocabulary is that of the stories, not of any drawn problem."""
    import re

    parts: list[Clause | Finale] = [*CLAUSES.values(), *FINALES.values()]
    texts = [*DISTRACTORS, *(w for part in parts for w in part.wordings)]
    story = {word for text in texts for word in re.findall(r"[a-z]+", re.sub(r"{\w}", " ", text))}
    words = [*SPECIAL, *_SIGNS, *_KEYWORDS, *ALIASES[:9], *NAMES, *ITEMS, *BOXES, *sorted(story)]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106 - a vocabulary entry, no secret
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_TOKEN), behavior="removed", invert=True)
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


def write_tokenizer(folder: Path) -> Tokenizer:
    """Write the tokenizer's files, in transformers' layout, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
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


__all__ = ["CHAT_TEMPLATE", "build_tokenizer", "write_tokenizer"]
