"""Graders of short texts: the same text, the same number, the same letter, the same words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from langchain_r2.evals.grading.base import Grade, right, ungradable, wrong
from langchain_r2.evals.items import Item

# Not after a letter or "^": the 2 of "m^2" and of "CO2" is no answer. Not before ":" or "_": times, numbers to a base.
_NUMBER: Final = re.compile(
    r"(?<![\w^.,:/])(?P<sign>[-+]?)(?:[$€£]\s?)?(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?P<part>\.\d+)?"
    r"(?P<exponent>[eE][-+]?\d{1,3}(?!\d))?(?:\s?/\s?(?P<below>\d+)(?![\d.,]*\d))?(?![\w^:]|,\d)"
)
_CLOSE: Final = Fraction(1, 1_000_000)
_LONGEST: Final = 10_000
"""Characters of a prediction that are looked at: no short answer is longer."""
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_SIGNS: Final = re.compile(r"""[!-/:-@\[-`{-~]""")
_LETTER: Final = re.compile(r"[(\[]?([A-Za-z])[)\].:]?")
_LETTER_FIRST: Final = re.compile(r"(?:\(([A-Z])\)|([A-Z])[).:])\s+\S.*", re.DOTALL)
_LETTER_NAMED: Final = re.compile(
    r"\b(?:answer|choice|option)\s*(?:is|:)?\s*[*(\[]*([A-Z])[)\]*]*(?=$|[\s]*[.,;:!]|\s*$)", re.IGNORECASE
)


def plain(text: str) -> str:
    """A text without what does not matter: case, runs of spaces, a final stop, forms of the same character."""
    folded = " ".join(unicodedata.normalize("NFKC", text[:_LONGEST]).replace("\u2212", "-").casefold().split())
    return folded.removesuffix(".").strip()


def exact(prediction: str, item: Item) -> Grade:
    """The same text as the gold answer or an alias, apart from case, spaces and a final stop."""
    golds = [plain(gold) for gold in (item.gold, *item.aliases)]
    if not any(golds):
        return ungradable("the gold answer is empty")
    return right() if plain(prediction) in golds else wrong()


def numbers(text: str) -> list[Fraction]:
    """The numbers in a text: ``1,234``, ``-5``, ``$3.50``, ``3/4``, ``1e6``; none inside a word, a time or a power."""
    text = unicodedata.normalize("NFKC", text[:_LONGEST].replace("\u2212", "-")).replace("\u2044", "/")
    text = re.sub(r"(?<=\w)-(?=\d)", " ", text)  # "3-4" is no minus four
    found = []
    for match in _NUMBER.finditer(text):
        whole, part, below = match["whole"], match["part"], match["below"]
        if whole is None and part is None:
            continue
        digits = f"{match['sign']}{(whole or '0').replace(',', '')}{part or ''}{match['exponent'] or ''}"
        if below is None:
            found.append(Fraction(digits))
        elif int(below):
            found.append(Fraction(digits) / int(below))
    return found


def numeric(prediction: str, item: Item) -> Grade:
    """The same number as the gold answer; the last in the prediction counts.

    Whole numbers have to be equal, others within a millionth. 50 is not 0.5, with a percent sign or without.
    """
    gold = numbers(item.gold)
    if len(gold) != 1:
        return ungradable(f"the gold answer is not one number: {item.gold[:80]!r}")
    said = numbers(prediction)
    if not said:
        return wrong("no number")
    return right() if _close(said[-1], gold[0]) else wrong()


def choice(prediction: str, item: Item) -> Grade:
    """The same letter as the gold answer. With ``choices`` in the item's meta, a choice's whole text stands for it."""
    choices: Mapping[str, str] = item.meta.get("choices", {})
    gold = item.gold.strip().upper()
    if not (len(gold) == 1 and gold.isalpha()) or (choices and gold not in choices):
        return ungradable(f"the gold answer is not the letter of a choice: {item.gold[:80]!r}")
    letters = chosen_letters(prediction, choices)
    if len(letters) != 1:
        return wrong("no choice" if not letters else "several choices")
    return right() if letters == {gold} else wrong()


def chosen_letters(prediction: str, choices: Mapping[str, str]) -> set[str]:
    """The letters that a prediction names. A word such as the "A" of "A dog" names none."""
    text = prediction[:_LONGEST].strip().strip("*").strip()
    if match := _LETTER.fullmatch(text):
        return {match[1].upper()}
    by_text = {plain(value): letter for letter, value in choices.items()}
    if plain(text) in by_text:
        return {by_text[plain(text)]}
    for letter, value in choices.items():
        if re.fullmatch(rf"[(\[]?{letter}[)\].:]*\s+{re.escape(plain(value))}", plain(text), re.IGNORECASE):
            return {letter}
    named = {letter.upper() for letter in _LETTER_NAMED.findall(text)}
    bracketed = set(re.findall(r"\(([A-Z])\)", text))
    if match := _LETTER_FIRST.fullmatch(text):
        named.add(match[1] or match[2])
    return named | bracketed


def yes_or_no(prediction: str) -> bool | None:
    """Whether a prediction says yes; None where it says neither or both."""
    words = set(re.findall(r"[a-z]+", prediction[:_LONGEST].lower()))
    return None if ("yes" in words) == ("no" in words) else "yes" in words


def words_of(text: str) -> list[str]:
    """The words of an answer as the metrics of reading comprehension count them: no articles, no punctuation."""
    return _ARTICLES.sub(" ", _SIGNS.sub("", text[:_LONGEST].lower())).split()


def overlap(prediction: str, golds: Iterable[str]) -> tuple[bool, float]:
    """Exact match and F1 of the words, each the best over all right answers."""
    said, matched, best = words_of(prediction), False, 0.0
    for gold in map(words_of, golds):
        matched = matched or said == gold
        common = sum((Counter(said) & Counter(gold)).values())
        f1 = float(said == gold) if not said or not gold else 2 * common / (len(said) + len(gold))
        best = max(best, f1)
    return matched, best


def _close(a: Fraction, b: Fraction) -> bool:
    if a == b:
        return True
    return a.denominator > 1 and b.denominator > 1 and abs(a - b) <= _CLOSE * max(abs(a), abs(b))
