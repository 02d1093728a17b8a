from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_r2 import ConfigurationError
from langchain_r2.bm25 import BM25Retriever

TEXTS = [
    "The budget is kept: a call is reserved before it starts.",
    "A model that fails is left alone; the circuit opens.",
    "The budget of a run is shared by all calls of the run.",
    "Prices are in USD per million tokens.",
]
FOUND = BM25Retriever(documents=[Document(text) for text in TEXTS])


def found(query: str, **options: Any) -> list[int]:
    return [TEXTS.index(d.page_content) for d in FOUND.invoke(query, **options)]


def test_what_shares_rare_words_comes_first_and_what_shares_none_does_not_come() -> None:
    assert found("circuit opens") == [1]
    assert found("the budget of a run")[0] == 2
    assert found("zebra") == []
    assert found("PRICES") == [3]


def test_how_many() -> None:
    assert len(found("the a is")) == 3
    assert len(found("the a is", k=2)) == 2
    assert len(BM25Retriever(documents=FOUND.documents, k=1).invoke("the a is")) == 1


def test_a_long_document_counts_less_for_the_same_word() -> None:
    documents = [Document("word " + "other " * 50), Document("word")]

    assert BM25Retriever(documents=documents).invoke("word")[0] is not documents[0]
    assert BM25Retriever(documents=documents, length=0.0).invoke("word")[0].page_content == documents[0].page_content


def test_no_documents() -> None:
    assert BM25Retriever(documents=[]).invoke("x") == []
    assert BM25Retriever(documents=[Document("")]).invoke("x") == []


def test_sections_of_markdown(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("before\n\n# One\nfirst\n\n## Two\nsecond\n")

    made = BM25Retriever.from_markdown([file])

    assert [d.page_content for d in made.documents] == ["before", "# One\nfirst", "## Two\nsecond"]
    assert made.invoke("second")[0].metadata == {"source": str(file)}
    with pytest.raises(ConfigurationError, match=r"b\.md"):
        BM25Retriever.from_markdown([tmp_path / "b.md"])
