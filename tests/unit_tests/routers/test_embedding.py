"""The allocator that reads subtasks as vectors, its heads and its TF-IDF."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_r2.errors import BadValueError
from langchain_r2.graph import create_r2_graph
from langchain_r2.ledger import bill
from langchain_r2.routers.baselines import NoDecomposer
from langchain_r2.routers.bounds import router_worst_usd
from langchain_r2.routers.embedding import EmbeddingAllocator
from langchain_r2.routers.success import SuccessHead, cheapest_within
from langchain_r2.routers.tfidf import Tfidf
from langchain_r2.testing import scripted_pool
from langchain_r2.types import Plan, Subtask

POOL = scripted_pool(["x"], ["x"], ["x"])
TEXTS = ["easy sum", "easy sum", "hard proof", "hard proof"]


def asked(*texts: str, **more: Any) -> Any:
    subtasks = [Subtask(id=str(i), text=t, depends_on=[]) for i, t in enumerate(texts or ("a",), 1)]
    return dict(query="hard query", plan=Plan(subtasks=subtasks, parse="clean", confidence=None, rejected=[]), **more)


class LengthEmbeddings(Embeddings):
    """A vector that is how long the text is, and its sign."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[list[str]] = []
        self.error = error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.asked.append(texts)
        if self.error:
            raise self.error
        return [[float(len(text)), 1.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def tfidf_head(**more: Any) -> SuccessHead:
    """m1 is right on what is easy, m3 always."""
    tfidf = Tfidf.learned(TEXTS, ngrams=1)
    weights = np.zeros((tfidf.dimension, 2), np.float32)
    weights[tfidf.vocabulary.index("hard"), 0] = -20
    return SuccessHead(["m1", "m3"], weights, np.array([4.0, 4.0], np.float32), tfidf=tfidf, slack=0.1, **more)


def vector_head() -> SuccessHead:
    """The longer the text, the less m1 is right on it; m2 always is."""
    weights = np.array([[-1.0, 0.0], [6.0, 6.0]], np.float32)
    return SuccessHead(["m1", "m2"], weights, np.zeros(2, np.float32), slack=0.1)


def test_subtasks_go_to_the_cheapest_model_that_is_about_as_likely_right() -> None:
    output = EmbeddingAllocator(POOL, tfidf_head()).invoke(asked("an easy sum", "a hard proof", "#query"))
    assert output["allocation"]["models"] == {"1": "m1", "2": "m3", "3": "m3"}  # the query is hard
    assert set(output["allocation"]["reasons"].values()) == {"allocated"}
    assert output["attempts"] == []  # nothing was paid


@pytest.mark.parametrize(("slack", "model"), [(0.0, "m3"), (1.0, "m1")])
def test_slack_trades_quality_for_cost(slack: float, model: str) -> None:
    output = EmbeddingAllocator(POOL, tfidf_head(), slack=slack).invoke(asked("a hard proof"))
    assert output["allocation"]["models"] == {"1": model}


async def test_a_plan_is_embedded_in_one_call_and_billed() -> None:
    embeddings = LengthEmbeddings()
    allocator = EmbeddingAllocator(POOL, vector_head(), embeddings=embeddings, usd_per_million_tokens=2.0)
    for output in (allocator.invoke(asked("abc", "abcdefgh")), await allocator.ainvoke(asked("abc", "abcdefgh"))):
        assert output["allocation"]["models"] == {"1": "m1", "2": "m2"}
        (row,) = output["attempts"]
        assert (row["role"], row["model"], row["input_tokens"], row["output_tokens"]) == (
            "allocator",
            "embedding",
            3,
            0,
        )
    assert embeddings.asked == [["abc", "abcdefgh"]] * 2


def test_what_the_embeddings_cost_is_the_routers_share() -> None:
    allocator = EmbeddingAllocator(POOL, vector_head(), embeddings=LengthEmbeddings(), usd_per_million_tokens=2.0)
    graph = create_r2_graph(POOL, decomposer=NoDecomposer(), allocator=allocator)
    state = graph.invoke({"query": "abcdefgh"})
    made = bill(state["attempts"])
    assert made.by_role["allocator"] == pytest.approx(2 * 2.0 / 1e6)
    assert [r["model"] for r in state["attempts"] if r["role"] == "executor"] == ["m2"]


def test_where_embedding_fails_or_cannot_be_paid_the_default_route_is_taken() -> None:
    failing = EmbeddingAllocator(
        POOL, vector_head(), embeddings=LengthEmbeddings(OSError("down")), usd_per_million_tokens=1e5
    )
    output = failing.invoke(asked("abc"))
    assert output["allocation"]["note"] == "call_failed: OSError"
    assert output["allocation"]["reasons"] == {"1": "default_route"}
    assert output["attempts"][0]["error_type"] == "OSError"
    embeddings = LengthEmbeddings()
    poor = EmbeddingAllocator(POOL, vector_head(), embeddings=embeddings, usd_per_million_tokens=1e5)
    output = poor.invoke(asked("abc", budget_usd=0.01))
    assert (output["allocation"]["note"], output["attempts"], embeddings.asked) == ("budget", [], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"slack": 1.5}, "slack is 1.5", id="slack"),
        pytest.param(
            {"embeddings": LengthEmbeddings(), "usd_per_million_tokens": 0}, "this head reads TF-IDF", id="embeddings"
        ),
    ],
)
def test_what_does_not_belong_together_is_said(options: Any, message: str) -> None:
    with pytest.raises(BadValueError, match=message):
        EmbeddingAllocator(POOL, tfidf_head(), **options)


def test_a_price_is_stated_and_a_model_known() -> None:
    with pytest.raises(BadValueError, match="State 0"):
        EmbeddingAllocator(POOL, vector_head(), embeddings=LengthEmbeddings())
    with pytest.raises(BadValueError, match="embedding model that the head was trained on"):
        EmbeddingAllocator(POOL, vector_head())
    other = SuccessHead(["z"], np.zeros((2, 1), np.float32), np.zeros(1, np.float32))
    with pytest.raises(BadValueError, match=r"at least one of the head's models: \['z'\]"):
        EmbeddingAllocator(POOL, other, embeddings=LengthEmbeddings(), usd_per_million_tokens=0)


def test_a_head_is_the_same_after_saving(tmp_path: Path) -> None:
    for head in (tfidf_head(facts={"sha256": "ab"}), vector_head()):
        head.save(tmp_path)
        back = SuccessHead.load(tmp_path)
        assert (back.models, back.slack, back.facts) == (head.models, head.slack, head.facts)
        if head.tfidf:
            assert np.array_equal(back.of_texts(TEXTS), head.of_texts(TEXTS))
        else:
            assert np.array_equal(back.of_vectors([[1.0, 2.0]]), head.of_vectors([[1.0, 2.0]]))


def test_a_folder_that_holds_no_head_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadValueError, match=r"training\.outcomes"):
        SuccessHead.load(tmp_path)
    tfidf_head().save(tmp_path)
    (tmp_path / "head.json").write_text(
        json.dumps({"models": ["m1"], "slack": 0, "features": {"kind": "x"}, "facts": {}})
    )
    with pytest.raises(BadValueError, match="shapes of weights and bias"):
        SuccessHead.load(tmp_path)


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(BadValueError, match="vectors of length 2"):
        vector_head().of_vectors([[1.0, 2.0, 3.0]])
    with pytest.raises(BadValueError, match="vectors of the embedding model"):
        vector_head().of_texts(["a"])


def test_tfidf_is_what_its_definition_says() -> None:
    tfidf = Tfidf.learned(["a b", "a b", "a = c"], ngrams=2, least=2)
    assert tfidf.vocabulary == ["a", "a b", "b"]
    assert tfidf.idf == pytest.approx([1.0, np.log(4 / 3) + 1, np.log(4 / 3) + 1])
    row = tfidf.row("A a b ?")
    raw = np.array([(1 + np.log(2)) * 1.0, np.log(4 / 3) + 1, np.log(4 / 3) + 1])
    assert row.terms.tolist() == [0, 1, 2]
    assert row.values == pytest.approx(raw / np.linalg.norm(raw), rel=1e-5)
    assert tfidf.project(["nothing known"], np.ones((3, 2), np.float32)).tolist() == [[0.0, 0.0]]
    with pytest.raises(BadValueError, match="at least 2"):
        Tfidf.learned(["a", "b"])


def test_lines_and_signs_are_terms() -> None:
    assert "\n b ." in Tfidf.learned(["a\nb.", "a\nb."]).vocabulary


def test_of_equal_models_the_cheapest_is_taken() -> None:
    assert [cheapest_within([0.5, 0.5, 0.6], s) for s in (0.0, 0.05, 0.1001)] == [2, 2, 0]


def test_what_it_costs_at_most_is_known_before() -> None:
    assert router_worst_usd(EmbeddingAllocator(POOL, tfidf_head()), 100, 3) == 0.0
    metered = EmbeddingAllocator(POOL, vector_head(), embeddings=LengthEmbeddings(), usd_per_million_tokens=2.0)
    assert router_worst_usd(metered, 100, 3) == pytest.approx(600e-6)
