"""Keeps the prompts of a run for its trace: records are made without them, since they are most of a run's text."""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage

from langchain_r2.scrubbing import scrubbed
from langchain_r2.types import Attempt, RunRecord

_Key = tuple[str, str, str, str]


class PromptKeeper(BaseCallbackHandler):
    """A callback handler that keeps what one run sent to models.

    Example:
        ```python
        prompts = PromptKeeper()
        state = graph.invoke({"query": "..."}, {"callbacks": [prompts]})
        record = prompts.add_to(run_record(state, id="1", wall_s=2.0))
        ```
    """

    run_inline = True  # in the order of the calls
    # Only the start of a call is of interest. Whoever makes the events need not make the others for it.
    ignore_llm = ignore_chain = ignore_agent = True  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    ignore_retriever = ignore_retry = True  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    ignore_custom_event = True  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self) -> None:
        """Start with none."""
        self._kept: dict[_Key, list[str]] = {}
        self._lock = threading.Lock()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep a prompt under what the transport says the call is for."""
        del serialized, run_id, kwargs
        names = ("r2_role", "r2_model", "r2_subtask", "r2_direction")
        if metadata is None or any(name not in metadata for name in names):
            return  # not a call of the router's
        role, model, subtask, direction = (str(metadata[name]) for name in names)
        with self._lock:
            self._kept.setdefault((role, model, subtask, direction), []).append(_text(messages[0]))

    def add_to(self, record: RunRecord) -> RunRecord:
        """A record whose attempts have their prompts.

        Calls that were taken from the call ledger, and so not sent, have none: they came first.
        """
        rows: dict[_Key, list[int]] = {}
        for number, row in enumerate(record["attempts"]):
            rows.setdefault(_key(row), []).append(number)
        attempts = [row.copy() for row in record["attempts"]]
        for key, numbers in rows.items():
            kept = self._kept.get(key, [])
            for number, prompt in zip(reversed(numbers), reversed(kept), strict=False):
                attempts[number]["prompt"] = prompt
        made = record.copy()
        made["attempts"] = attempts
        return made


def _key(row: Attempt) -> _Key:
    return row["role"], row["model"], row["subtask_id"] or "", row["direction"]


def _text(messages: Sequence[BaseMessage]) -> str:
    """A prompt to be read: each message under its type, where there are several."""
    if len(messages) == 1:
        return scrubbed(str(messages[0].text))
    return scrubbed("\n\n".join(f"[{message.type}]\n{message.text}" for message in messages))
