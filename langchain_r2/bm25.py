"""Finds texts by their words: BM25 in memory, for retrieval without a model, a key or a network.

Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with an inverse
document frequency that is never below 0.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_r2.errors import BadValueError

_WORD: Final = re.compile(r"\w+")
_HEADING: Final = re.compile(r"^#+ ", re.MULTILINE)


class BM25Retriever(BaseRetriever):
    """The documents that fit a query's words best; those that share none of them are left out."""

    documents: list[Document]
    k: int = 4
    """Most documents found."""
    saturation: float = 1.5
    """``k1``: how much a word counts that comes again."""
    length: float = 0.75
    """``b``: how much a long document is held against it, from 0 to 1."""

    @classmethod
    def from_markdown(cls, files: Iterable[str | Path], *, k: int = 4) -> "BM25Retriever":
        """A retriever over Markdown files, one document per section.

        Raises:
            BadValueError: A file cannot be read.
        """
        documents = []
        for file in files:
            try:
                text = Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise BadValueError("Markdown file", str(file), "a readable text", str(error)) from error
            starts = [0, *(m.start() for m in _HEADING.finditer(text)), len(text)]
            sections = (text[a:b].strip() for a, b in pairwise(starts))
            documents += [Document(section, metadata={"source": str(file)}) for section in sections if section]
        return cls(documents=documents, k=k)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        del run_manager
        scores = self._scores(query)
        best = sorted(scores, key=lambda place: (-scores[place], place))
        return [self.documents[place] for place in best[: self.k if k is None else k]]

    def _scores(self, query: str) -> dict[int, float]:
        """Scores of the documents that share a word with the query, by place."""
        counts, lengths, mean_length = self._index
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(_words(query)):
            found = counts.get(word, {})
            rarity = math.log(1 + (len(lengths) - len(found) + 0.5) / (len(found) + 0.5))
            for place, count in found.items():
                norm = self.saturation * (1 - self.length + self.length * lengths[place] / mean_length)
                scores[place] += rarity * count * (self.saturation + 1) / (count + norm)
        return scores

    @cached_property
    def _index(self) -> tuple[dict[str, dict[int, int]], list[int], float]:
        """How often each word is in which document, the documents' lengths, and their mean."""
        counts: dict[str, dict[int, int]] = defaultdict(dict)
        lengths = []
        for place, document in enumerate(self.documents):
            words = _words(document.page_content)
            lengths.append(len(words))
            for word, count in Counter(words).items():
                counts[word][place] = count
        return counts, lengths, (sum(lengths) / len(lengths) if sum(lengths) else 1.0)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
