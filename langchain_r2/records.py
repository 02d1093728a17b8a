"""What is known of a pool model on a kind of subtask: kept in a store of the caller's, and seen within one query.

METHOD 5, downward: a model's record on this kind of subtask is the evidence that one step cheaper will do.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

from langgraph.store.base import BaseStore

from langchain_r2.flow import Both, Flow
from langchain_r2.types import Attempt, ModelRecord, SubtaskResult

NAMESPACE: Final = ("langchain_r2", "records")
"""Where records live in a store; the key is made of the kind and the model's name, which may hold any characters."""

_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"\b[A-Z]\w+")


def kind_of(text: str) -> str:
    """The kind of a subtask: its text with digits masked and capitalised words left out, so that like ones share it."""
    return _NAME.sub("_", _DIGIT.sub("0", text)).strip()[:200]


def plus(record: ModelRecord | None, attempts: Iterable[Attempt], model: str, *, accepted: bool) -> ModelRecord | None:
    """A record after a subtask's own tries; only the last can have been accepted, and those without a reply are out."""
    rows = list(attempts)
    for row in rows:
        if row["model"] != model:
            continue
        before = record or ModelRecord(tries=0, accepted=0, confidence_sum=0.0)
        record = ModelRecord(
            tries=before["tries"] + 1,
            accepted=before["accepted"] + int(accepted and row is rows[-1]),
            confidence_sum=before["confidence_sum"] + (row["confidence"] or 0.0),
        )
    return record


def read(store: BaseStore | None, kind: str, model: str | None) -> Flow[ModelRecord | None]:
    """The record in a store; None where there is none."""
    if store is None or model is None:
        return None
    item = yield Both(store.get, store.aget, (NAMESPACE, _key(kind, model)))
    return cast(ModelRecord, dict(item.value)) if item else None


def write(store: BaseStore | None, result: SubtaskResult) -> Flow[None]:
    """Add a subtask's tries to the records in a store. Of two runs that write at once, one's addition may be lost."""
    if store is None:
        return
    own = own_tries(result)
    for model in dict.fromkeys(a["model"] for a in own):
        known = yield from read(store, result["kind"], model)
        record = plus(known, own, model, accepted=accepted(result))
        yield Both(store.put, store.aput, (NAMESPACE, _key(result["kind"], model), dict(record or {})))


def among(
    results: Iterable[SubtaskResult], kind: str, model: str | None, record: ModelRecord | None
) -> ModelRecord | None:
    """A record with what a run's earlier results add to it."""
    for result in results:
        if result["kind"] == kind and model is not None:
            record = plus(record, own_tries(result), model, accepted=accepted(result))
    return record


def own_tries(result: SubtaskResult) -> list[Attempt]:
    """The tries of a subtask itself that had an answer: not those of a sub-plan's parts, which have own records."""
    rows = (a for a in result["attempts"] if a["role"] == "executor" and a["subtask_id"] == result["id"])
    return [a for a in rows if a["error_type"] is None and "calls" not in a]


def accepted(result: SubtaskResult) -> bool:
    """Whether the subtask's own last try was accepted; a replanned subtask's was not."""
    return result["verdict"]["accepted"] and not result["parts"]


def _key(kind: str, model: str) -> str:
    return f"{model}\t{kind}"
