"""Success heads from validation outcomes: logistic regressions on TF-IDF, fitted in numpy.

The same heads as of the embedding allocator; ``training/outcomes`` fits them on large tables with scikit-learn.

Shapes: ``right`` is ``(N, M)``: N texts, M columns; ``features`` is ``(N, D)``: D terms.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from langchain_r2.errors import BadValueError
from langchain_r2.evals.methods.base import NotApplicable
from langchain_r2.routers.success import SuccessHead
from langchain_r2.routers.tfidf import Floats, Tfidf

Doubles = npt.NDArray[np.float64]
STEPS: Final = 300
PENALTY: Final = 1e-3
"""Weight of the squared weights, against the mean loss of an item."""
FOLDS: Final = 5


def fit_head(names: Sequence[str], texts: Sequence[str], right: Doubles) -> SuccessHead:
    """A head that says of a text how likely each column is right."""
    try:
        tfidf = Tfidf.learned(texts)
    except BadValueError as error:
        raise NotApplicable("too few validation items to learn from their texts") from error
    features = _matrix(tfidf, texts)
    fitted = [_logistic(features, column) for column in right.T]
    weights = np.stack([weights for weights, _ in fitted], 1).astype(np.float32)
    return SuccessHead(names, weights, np.array([bias for _, bias in fitted], np.float32), tfidf=tfidf)


def out_of_fold(texts: Sequence[str], right: Doubles) -> Floats:
    """For every text what a head says that was fitted on the other folds: thresholds are chosen on these.

    Raises:
        NotApplicable: There are too few texts.
    """
    if len(texts) < 2 * FOLDS:
        raise NotApplicable(f"it learns from validation items, and needs at least {2 * FOLDS}")
    said = np.zeros(right.shape, np.float32)
    names = [str(column) for column in range(right.shape[1])]
    for fold in range(FOLDS):
        held = np.arange(len(texts)) % FOLDS == fold
        learned = [text for text, out in zip(texts, held, strict=True) if not out]
        head = fit_head(names, learned, right[~held])
        said[held] = head.of_texts([text for text, out in zip(texts, held, strict=True) if out])
    return said


def _matrix(tfidf: Tfidf, texts: Sequence[str]) -> Doubles:
    features = np.zeros((len(texts), tfidf.dimension))
    for place, text in enumerate(texts):
        row = tfidf.row(text)
        features[place, row.terms] = row.values
    return features


def _logistic(features: Doubles, label: Doubles) -> tuple[Doubles, float]:
    """Weights and bias by accelerated gradient steps (Nesterov); rows have length 1, which bounds the curvature."""
    n, d = features.shape
    at, before = np.zeros(d + 1), np.zeros(d + 1)
    step = 1 / (0.5 + PENALTY)
    for number in range(STEPS):
        ahead = at + (number / (number + 3)) * (at - before)
        logits = features @ ahead[:d] + ahead[d]
        gap = 1 / (1 + np.exp(-np.clip(logits, -60, 60))) - label
        slope = np.append(features.T @ gap / n + PENALTY * ahead[:d], gap.mean() + PENALTY * ahead[d])
        before, at = at, ahead - step * slope
    return at[:d], float(at[d])
