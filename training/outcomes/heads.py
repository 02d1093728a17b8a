"""Fits success heads on training outcomes, and the TF-IDF ridge that they have to beat.

Shapes: ``_N`` prompts, ``_D`` features, ``_M`` models.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from tqdm import tqdm

from langchain_r2.routers.success import SuccessHead
from langchain_r2.routers.tfidf import Tfidf
from training.outcomes.table import Floats, Outcomes

FOLDS: Final = 5
STRENGTHS: Final = (0.1, 0.3, 0.5, 1.0, 3.0)
"""Inverse strengths of regularisation that are tried, for the ridge as its reciprocals."""
Vectors = npt.NDArray[np.float32]
Predict = Callable[[list[int], list[int]], list[Floats]]
"""From places of prompts to learn from and places to predict, to scores ``(N, M)``, one for each strength."""


class Fitted(NamedTuple):
    """Scores on the test prompts, and on the training prompts out of fold."""

    test_NM: Floats
    train_NM: Floats
    strength: float
    head: SuccessHead | None = None


def fit_tfidf(train: Outcomes, test: Outcomes, select: Callable[[Floats], float], ngrams: int) -> Fitted:
    """A logistic head on TF-IDF, its strength chosen by ``select`` on out-of-fold predictions."""

    def predict(learn: list[int], unseen: list[int]) -> list[Floats]:
        tfidf = Tfidf.learned([train.prompts[i] for i in learn], ngrams=ngrams)
        known, new = (tfidf_matrix(tfidf, [train.prompts[i] for i in places]) for places in (learn, unseen))
        heads = (_head(train, learn, known, c, tfidf) for c in STRENGTHS)
        return [_probabilities(new @ head.weights + head.bias) for head in heads]

    at, train_NM = _chosen(predict, train, select, "tfidf")
    tfidf = Tfidf.learned(train.prompts, ngrams=ngrams)
    head = _head(train, list(range(len(train.prompts))), tfidf_matrix(tfidf, train.prompts), STRENGTHS[at], tfidf)
    return Fitted(head.of_texts(test.prompts).astype(float), train_NM, STRENGTHS[at], head)


def fit_vectors(train: Outcomes, select: Callable[[Floats], float], train_ND: Vectors, test_ND: Vectors) -> Fitted:
    """A logistic head on the vectors of an embedding model."""
    strengths = [c * 10 for c in STRENGTHS]  # vectors have far fewer features

    def predict(learn: list[int], unseen: list[int]) -> list[Floats]:
        heads = (_head(train, learn, train_ND[learn], c) for c in strengths)
        return [head.of_vectors(train_ND[unseen]).astype(float) for head in heads]

    at, train_NM = _chosen(predict, train, select, "vectors")
    head = _head(train, list(range(len(train.prompts))), train_ND, strengths[at])
    return Fitted(head.of_vectors(test_ND).astype(float), train_NM, strengths[at], head)


def fit_ridge(train: Outcomes, test: Outcomes, select: Callable[[Floats], float]) -> Fitted:
    """The baseline: ridge regression of each model's quality on scikit-learn's TF-IDF of words, tuned as ours is."""

    def scores(learn: list[int], unseen: list[str], strengths: Sequence[float]) -> list[Floats]:
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
        known = vectorizer.fit_transform([train.prompts[i] for i in learn])
        new = vectorizer.transform(unseen)
        models = (Ridge(alpha=1 / c).fit(known, train.quality_NM[learn]) for c in strengths)
        return [np.asarray(model.predict(new), float) for model in models]

    at, train_NM = _chosen(
        lambda learn, unseen: scores(learn, [train.prompts[i] for i in unseen], STRENGTHS), train, select, "ridge"
    )
    (test_NM,) = scores(list(range(len(train.prompts))), test.prompts, STRENGTHS[at : at + 1])
    return Fitted(test_NM, train_NM, STRENGTHS[at])


def _chosen(predict: Predict, train: Outcomes, select: Callable[[Floats], float], name: str) -> tuple[int, Floats]:
    """Place of the strength whose out-of-fold predictions are best by ``select``, and those predictions."""
    scores = [np.zeros_like(train.quality_NM) for _ in STRENGTHS]
    folds = KFold(FOLDS, shuffle=True, random_state=0).split(train.prompts)
    for learn, unseen in tqdm(folds, desc=f"{name}: choosing the strength", total=FOLDS, mininterval=5):
        for made_NM, score_NM in zip(predict(learn.tolist(), unseen.tolist()), scores, strict=True):
            score_NM[unseen] = made_NM
    at = int(np.argmax([select(score_NM) for score_NM in scores]))
    return at, scores[at]


def tfidf_matrix(tfidf: Tfidf, texts: Sequence[str]) -> Any:  # noqa: ANN401 - scipy has no types
    """Features of texts as a sparse matrix, ``(N, D)``."""
    rows = [tfidf.row(text) for text in texts]
    ends = np.cumsum([0, *(len(row.terms) for row in rows)])
    values, terms = np.concatenate([r.values for r in rows]), np.concatenate([r.terms for r in rows])
    return csr_matrix((values, terms, ends), shape=(len(rows), tfidf.dimension))


def _probabilities(logits_NM: Any) -> Floats:  # noqa: ANN401 - as above
    return np.asarray(1 / (1 + np.exp(-logits_NM)), float)


def _head(
    train: Outcomes,
    learn: list[int],
    features: Any,  # noqa: ANN401 - dense or sparse
    strength: float,
    tfidf: Tfidf | None = None,
) -> SuccessHead:
    weights, bias = logistic(features, train.quality_NM[learn], strength)
    return SuccessHead(train.models, weights, bias, tfidf=tfidf)


def logistic(features: Any, quality_NM: Floats, strength: float) -> tuple[Vectors, Vectors]:  # noqa: ANN401 - dense or sparse
    """Weights ``(D, M)`` and bias ``(M,)``; a quality between 0 and 1 counts as so much right and the rest wrong."""
    columns, biases = [], []
    for quality_N in quality_NM.T:
        partly = (quality_N > 0) & (quality_N < 1)
        again = np.flatnonzero(partly)
        places = np.concatenate([np.arange(len(quality_N)), again])
        label = np.concatenate([quality_N > 0, np.zeros(len(again), bool)])
        weight = np.concatenate([np.where(partly, quality_N, 1.0), 1 - quality_N[again]])
        if label.all() or not label.any():  # always right, or never: nothing to tell apart
            share = np.clip(quality_N.mean(), 0.5 / len(quality_N), 1 - 0.5 / len(quality_N))
            columns.append(np.zeros(features.shape[1], np.float32))
            biases.append(np.float32(np.log(share / (1 - share))))
            continue
        model = LogisticRegression(C=strength, max_iter=500).fit(features[places], label, sample_weight=weight)
        columns.append(model.coef_[0].astype(np.float32))
        biases.append(np.float32(model.intercept_[0]))
    return np.stack(columns, axis=1), np.array(biases, np.float32)


def transformer_vectors(path: str, texts: Sequence[str], cache: Path | None = None) -> Vectors:
    """Mean-pooled vectors of length 1 of a Hugging Face encoder, by path or id; kept in a file if one is named."""
    if cache is not None and cache.exists():
        kept: Vectors = np.load(cache)
        if len(kept) == len(texts):
            return kept
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModel.from_pretrained(path, use_safetensors=True).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    rows: list[Vectors | None] = [None] * len(texts)
    with torch.inference_mode():
        for start in tqdm(range(0, len(order), 64), desc="embedding", mininterval=5):
            at = order[start : start + 64]
            batch = tokenizer(
                [texts[i] for i in at], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            hidden_NTD = model(**batch).last_hidden_state
            mask_NT1 = batch["attention_mask"][..., None].float()
            mean_ND = torch.nn.functional.normalize((hidden_NTD * mask_NT1).sum(1) / mask_NT1.sum(1), dim=1)
            for i, vector in zip(at, mean_ND.numpy(), strict=True):
                rows[i] = vector
    vectors = np.stack([row for row in rows if row is not None])
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, vectors)
    return vectors
