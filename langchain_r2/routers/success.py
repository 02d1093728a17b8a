"""How likely each model is to get a text right: a logistic head per model on features of the text.

Trained by ``python -m training.outcomes`` on recorded outcomes; kept as safetensors and JSON.

Shapes: ``N`` texts, ``D`` features, ``M`` models.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file, save_file

from langchain_r2.errors import BadValueError
from langchain_r2.routers.tfidf import Floats, Tfidf

WEIGHTS: Final = "head.safetensors"
FACTS: Final = "head.json"
_HINT: Final = "`python -m training.outcomes` writes it."


class SuccessHead:
    """Weights from features to the log-odds of each model being right."""

    def __init__(
        self,
        models: Sequence[str],
        weights: Floats,
        bias: Floats,
        *,
        tfidf: Tfidf | None = None,
        slack: float = 0.0,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Set the weights.

        Args:
            models: Names, as the pool has them.
            weights: One column per model, ``(D, M)``.
            bias: One number per model, ``(M,)``.
            tfidf: The features; None: the vectors of an embedding model.
            slack: How much less likely right than the best model the chosen one may be, as chosen in training.
            facts: What it was trained on, for people.

        Raises:
            BadValueError: The shapes do not fit together.
        """
        self.models, self.tfidf, self.slack, self.facts = list(models), tfidf, slack, facts or {}
        self.weights = np.asarray(weights, np.float32)
        self.bias = np.asarray(bias, np.float32)
        dimension = tfidf.dimension if tfidf else self.weights.shape[0]
        if self.weights.shape != (dimension, len(self.models)) or self.bias.shape != (len(self.models),):
            shapes = (self.weights.shape, self.bias.shape)
            raise BadValueError(
                "shapes of weights and bias", shapes, f"{dimension} features, {len(self.models)} models"
            )

    def of_texts(self, texts: Sequence[str]) -> Floats:
        """Probability of each model being right on each text, ``(N, M)``; for heads on TF-IDF."""
        if self.tfidf is None:
            raise BadValueError("features", "texts", "vectors of the embedding model that the head was trained on")
        return _sigmoid(self.tfidf.project(texts, self.weights) + self.bias)

    def of_vectors(self, vectors: Sequence[Sequence[float]] | Floats) -> Floats:
        """Probability of each model being right, by the vectors of the texts, ``(N, M)``.

        Raises:
            BadValueError: The head reads TF-IDF, or vectors of another length.
        """
        rows = np.asarray(vectors, np.float32)
        if self.tfidf is not None or rows.ndim != 2 or rows.shape[1] != len(self.weights):
            allowed = "texts" if self.tfidf else f"vectors of length {len(self.weights)}"
            raise BadValueError("vectors", rows.shape, allowed, "Use the embedding model of the training.")
        return _sigmoid(rows @ self.weights + self.bias)

    def save(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"weights": np.ascontiguousarray(self.weights), "bias": self.bias}
        if self.tfidf:
            tensors["idf"] = self.tfidf.idf
        save_file(tensors, folder / WEIGHTS)
        features = self.tfidf.to_dict() if self.tfidf else {"kind": "vectors", "length": len(self.weights)}
        data = {"models": self.models, "slack": self.slack, "features": features, "facts": self.facts}
        (folder / FACTS).write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "SuccessHead":
        """Read what :meth:`save` wrote.

        Raises:
            BadValueError: A file is missing or not what it should be.
        """
        try:
            data = json.loads((Path(folder) / FACTS).read_text(encoding="utf-8"))
            tensors = load_file(Path(folder) / WEIGHTS)
            features = data["features"]
            tfidf = Tfidf.from_dict(features, tensors["idf"]) if features["kind"] == "tfidf" else None
            options = {"slack": float(data["slack"]), "facts": data["facts"]}
            return cls(data["models"], tensors["weights"], tensors["bias"], tfidf=tfidf, **options)
        except BadValueError:
            raise
        except Exception as error:  # whatever a broken file makes json, safetensors and the lookups raise
            hint = f"{_HINT} ({type(error).__name__}: {error})"
            raise BadValueError("folder of a head", str(folder), f"one with {FACTS} and {WEIGHTS}", hint) from error


def cheapest_within(probabilities: Sequence[float], slack: float) -> int:
    """Place of the first, which is the cheapest, model that is at most ``slack`` less likely right than the best."""
    least = max(probabilities) - slack
    return next(i for i, p in enumerate(probabilities) if p >= least)


def _sigmoid(logits: Floats) -> Floats:
    return (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
