"""TF-IDF features of texts, in numpy: what the embedding allocator reads where no embedding model is wanted.

Terms are words, signs, line ends and their n-grams: signs and lines tell formulas, code and options of a choice from
prose. Term counts are damped by a logarithm, rows have length 1.

Shapes: ``N`` texts, ``D`` terms, ``M`` columns of a projection.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from langchain_r2.errors import BadValueError

Floats = npt.NDArray[np.float32]
_TERM: Final = re.compile(r"\w+|[^\w\s]|\n")


class Row(NamedTuple):
    """The terms of one text."""

    terms: npt.NDArray[np.int64]
    """Places in the vocabulary, ascending."""
    values: Floats


class Tfidf:
    """A vocabulary with the weight of each term."""

    def __init__(self, vocabulary: Sequence[str], idf: npt.ArrayLike, *, ngrams: int) -> None:
        """Set terms and weights; :meth:`learned` makes them from texts.

        Args:
            vocabulary: The terms, each once.
            idf: Weight of each.
            ngrams: Most words and signs in a term.

        Raises:
            BadValueError: There is not one weight per term, or a term stands twice.
        """
        self.idf: Floats = np.asarray(idf, np.float32)
        self.vocabulary, self.ngrams = list(vocabulary), ngrams
        self._place = {term: i for i, term in enumerate(self.vocabulary)}
        if self.idf.shape != (len(self.vocabulary),) or len(self._place) != len(self.vocabulary):
            raise BadValueError("TF-IDF weights", self.idf.shape, f"one for each of {len(self._place)} terms")

    @classmethod
    def learned(cls, texts: Sequence[str], *, ngrams: int = 3, least: int = 2) -> "Tfidf":
        """Take the terms of some texts.

        Args:
            texts: What is trained on; never what is tested.
            ngrams: Most words and signs in a term.
            least: Texts that a term has to be in.

        Raises:
            BadValueError: No term is in so many texts.
        """
        found: Counter[str] = Counter()
        for text in texts:
            found.update(set(_terms(text, ngrams)))
        kept = sorted(term for term, count in found.items() if count >= least)
        if not kept:
            raise BadValueError("texts", len(texts), f"texts with terms in at least {least} of them")
        return cls(kept, [math.log((1 + len(texts)) / (1 + found[term])) + 1 for term in kept], ngrams=ngrams)

    @property
    def dimension(self) -> int:
        """How many terms."""
        return len(self.vocabulary)

    def row(self, text: str) -> Row:
        """Terms and values of a text; none of its terms known: an empty row."""
        counts = Counter(place for term in _terms(text, self.ngrams) if (place := self._place.get(term)) is not None)
        terms = np.array(sorted(counts), np.int64)
        values = np.array([1 + math.log(counts[place]) for place in terms.tolist()], np.float32) * self.idf[terms]
        length = float(np.linalg.norm(values))
        return Row(terms, values / length if length else values)

    def project(self, texts: Iterable[str], weights: Floats) -> Floats:
        """Features of texts times weights, ``(N, D) x (D, M)``, without making the ``(N, D)`` matrix."""
        rows = [self.row(text) for text in texts]
        return np.stack([row.values @ weights[row.terms] for row in rows])

    def to_dict(self) -> dict[str, Any]:
        """All but the weights, as JSON data."""
        return {"kind": "tfidf", "ngrams": self.ngrams, "vocabulary": self.vocabulary}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], idf: npt.ArrayLike) -> "Tfidf":
        """The inverse of :meth:`to_dict`."""
        return cls(data["vocabulary"], idf, ngrams=data["ngrams"])


def _terms(text: str, ngrams: int) -> Iterator[str]:
    parts = _TERM.findall(text.lower())
    yield from parts
    if ngrams > 1:
        yield from (" ".join(pair) for pair in pairwise(parts))
    for n in range(3, ngrams + 1):
        yield from (" ".join(parts[i : i + n]) for i in range(len(parts) - n + 1))
