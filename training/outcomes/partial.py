"""Fits a success head to outcomes that are known in part: those of recorded runs, where most models were never tried.

Each model is learned from the texts that it was tried on, and from no other. A model with too few of them, or that
never failed and is not the strongest, is left out: where a router gave it easy texts only, it would seem right on all.

Shapes: ``_N`` texts, ``_M`` models; NaN where an outcome is not known.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.model_selection import GroupKFold

from langchain_r2.errors import BadValueError
from langchain_r2.routers.success import SuccessHead, cheapest_within
from langchain_r2.routers.tfidf import Tfidf
from training.outcomes.heads import FOLDS, STRENGTHS, logistic, tfidf_matrix
from training.outcomes.table import Floats

FAILURES: Final = 5
"""Fewest failures of a model that is learned."""
SLACKS: Final = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3)


class Partial(NamedTuple):
    """Outcomes of training texts."""

    models: list[str]
    """In the pool's order, cheapest first."""
    prompts: list[str]
    quality_NM: Floats
    usd_NM: Floats


def read_partial(path: Path) -> Partial:
    """The training lines of an ``outcomes.jsonl``.

    Raises:
        BadValueError: It cannot be read, or has no line of the split ``train``.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["split"] == "train"]
        models = [row["models"] for row in rows]
        quality, usd = ([[np.nan if v is None else v for v in row[name]] for row in rows] for name in ("q", "c"))
        made = Partial(models[0], [row["prompt"] for row in rows], np.array(quality, float), np.array(usd, float))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        allowed = "a file that `python -m training from-runs` wrote, with lines of the split train"
        raise BadValueError("outcomes", str(path), allowed, f"({type(error).__name__}: {error})") from error
    if any(names != made.models for names in models):
        raise BadValueError("models in the outcomes", str(path), "the same models in every line")
    return made


def fit_partial(known: Partial, *, ngrams: int, least: int) -> tuple[SuccessHead, dict[str, Any]]:
    """A head, and what it was made of.

    Args:
        known: Outcomes.
        ngrams: Most words and signs in a term.
        least: Fewest outcomes of a model that is learned.

    Raises:
        BadValueError: No model has enough outcomes.
    """
    places, left_out = _learnable(known, least)
    if not places:
        hint = "Record more runs, and with `batch --explore`."
        raise BadValueError("outcomes", left_out, f"a model with at least {least}, {FAILURES} of them failures", hint)
    part = known._replace(
        models=[known.models[m] for m in places], quality_NM=known.quality_NM[:, places], usd_NM=known.usd_NM[:, places]
    )
    strength, unseen_NM = _chosen(part, ngrams)
    slack, policy = _slack(part, unseen_NM)
    tfidf = Tfidf.learned(part.prompts, ngrams=ngrams)
    weights, bias = _fitted(part, np.arange(len(part.prompts)), tfidf, strength)
    seen_M = (~np.isnan(part.quality_NM)).sum(0)
    facts = {
        "texts": len(part.prompts),
        "outcomes": {model: int(n) for model, n in zip(part.models, seen_M, strict=True)},
        "left_out": left_out,
        "strength": strength,
        "slack": slack,
        "policy_on_known": policy,
    }
    return SuccessHead(part.models, weights, bias, tfidf=tfidf, slack=slack, facts=facts), facts


def _learnable(known: Partial, least: int) -> tuple[list[int], dict[str, str]]:
    """Places of the models that can be learned, and why others cannot."""
    tried_M = (~np.isnan(known.quality_NM)).sum(0)
    failed_M = (known.quality_NM < 1).sum(0)
    strongest = max((m for m in range(len(known.models)) if tried_M[m] >= least), default=-1)
    kept, left_out = [], {}
    for m, model in enumerate(known.models):
        if tried_M[m] >= least and (failed_M[m] >= FAILURES or m == strongest):
            kept.append(m)
        else:
            left_out[model] = f"{tried_M[m]} outcomes, {failed_M[m]} failures"
    return kept, left_out


def _fitted(part: Partial, learn: Any, tfidf: Tfidf, strength: float) -> tuple[Any, Any]:  # noqa: ANN401 - indices; arrays
    columns, biases = [], []
    features = tfidf_matrix(tfidf, [part.prompts[i] for i in learn])
    for quality_N in part.quality_NM[learn].T:
        seen = np.flatnonzero(~np.isnan(quality_N))
        if len(seen):
            weights, bias = logistic(features[seen], quality_N[seen, None], strength)
            columns.append(weights[:, 0])
            biases.append(bias[0])
        else:  # of this fold only
            columns.append(np.zeros(tfidf.dimension, np.float32))
            biases.append(np.float32(0))
    return np.stack(columns, axis=1), np.array(biases, np.float32)


def _chosen(part: Partial, ngrams: int) -> tuple[float, Floats]:
    """The strength with the least log loss on known outcomes of unseen texts, and the probabilities there."""
    folds = list(GroupKFold(min(FOLDS, len(set(part.prompts)))).split(part.prompts, groups=part.prompts))
    best: tuple[float, float, Floats] | None = None
    for strength in STRENGTHS:
        made_NM = np.zeros_like(part.quality_NM)
        for learn, unseen in folds:
            tfidf = Tfidf.learned([part.prompts[i] for i in learn], ngrams=ngrams)
            weights, bias = _fitted(part, learn, tfidf, strength)
            logits = tfidf_matrix(tfidf, [part.prompts[i] for i in unseen]) @ weights + bias
            made_NM[unseen] = 1 / (1 + np.exp(-logits))
        loss = _log_loss(part.quality_NM, made_NM)
        if best is None or loss < best[0]:
            best = loss, strength, made_NM
    assert best is not None
    return best[1], best[2]


def _log_loss(quality_NM: Floats, made_NM: Floats) -> float:
    seen = ~np.isnan(quality_NM)
    q, p = quality_NM[seen], np.clip(made_NM[seen], 1e-6, 1 - 1e-6)
    return float(-(q * np.log(p) + (1 - q) * np.log(1 - p)).mean())


def _slack(part: Partial, made_NM: Floats) -> tuple[float, dict[str, float]]:
    """The largest slack whose known choices did no worse than the dearest known models of the same texts."""
    chosen_slack, told = 0.0, {"share_known": 0.0, "did": 0.0, "dearest_did": 0.0}
    for slack in SLACKS:
        at_N = np.array([cheapest_within(list(row), slack) for row in made_NM])
        did_N = part.quality_NM[np.arange(len(at_N)), at_N]
        known = ~np.isnan(did_N)
        if not known.any():
            continue
        dearest = [row[~np.isnan(row)][-1] for row in part.quality_NM[known]]
        did, reference = float(did_N[known].mean()), float(np.mean(dearest))
        if slack == 0.0 or did >= reference:
            chosen_slack = slack
            told = {"share_known": float(known.mean()), "did": did, "dearest_did": reference}
    return chosen_slack, told
