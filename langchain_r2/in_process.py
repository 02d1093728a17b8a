"""Chat models that run in this process: what the embedded (numpy) and the local (transformers) ones share.

Concurrent calls to one model are answered in one batch, on a thread of the model's own, so that neither an event loop
nor LangChain's shared executor is held up.
"""

import asyncio
import queue
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol, Self

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from langchain_r2.errors import RejectedError

MAX_BATCH: Final = 64
"""Most texts that are continued at once."""
GATHER_S: Final = 0.001
"""How long a batch waits for one more call; a call that comes alone is answered so much later."""
TOP: Final = 12
"""Most alternatives per written token that can be asked for."""


class Request(NamedTuple):
    """One text to continue."""

    prompt: Sequence[int]
    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0
    top: int = 0
    """How many alternatives per written token to keep."""


class Written(NamedTuple):
    """What was written: ids without the end token, and per id (the end token's last) its probabilities."""

    ids: list[int]
    logprobs: list[float]
    alternatives: list[dict[int, float]]
    """Per token the likeliest, best first: at least as many as asked for, of a batch the most; empty if none were."""
    finished: bool
    """Whether it ended by itself, not by ``max_new_tokens``."""


class Engine(Protocol):
    """A model with its tokenizer."""

    positions: int
    """Longest text, prompt and reply together, in tokens."""

    @abstractmethod
    def encode(self, messages: list[BaseMessage]) -> list[int]:
        """Ids of a chat whose next message is the model's."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""

    @abstractmethod
    def token(self, id_: int) -> str:
        """One token as text."""

    @abstractmethod
    def generate(self, requests: Sequence[Request]) -> list[Written]:
        """Continue several texts at once; called from one thread at a time."""


class InProcessChatModel(BaseChatModel):
    """A chat model in this process.

    Replies carry usage and, in OpenAI's form, the log-probability of every token with its alternatives.
    """

    model_name: str = "in-process"
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0

    @abstractmethod
    def load(self) -> Engine:
        """Load the model; called once, when it is first used."""

    @cached_property
    def engine(self) -> Engine:
        """The loaded model."""
        with _LOADING:
            return self.__dict__.get("engine") or self.load()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        return self._result(*self._worker.submit(messages, kwargs).result(), stop)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        return self._result(*await asyncio.wrap_future(self._worker.submit(messages, kwargs)), stop)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy that shares the loaded model and its thread: agents and structured output call copies."""
        known = {"engine": self.engine, "_worker": self._worker}
        copy = super().model_copy(update=update, deep=deep)
        vars(copy).update(known)
        return copy

    @cached_property
    def _worker(self) -> "_Worker":
        return _Worker(self)

    def request(
        self,
        messages: list[BaseMessage],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        top_logprobs: int | None = None,
        **other: Any,
    ) -> Request:
        """The request of a call; of ``top_logprobs`` at most 12 are given.

        Raises:
            RejectedError: The prompt is longer than the model can read.
        """
        del other  # such as logprobs=True: they are always given
        ids = self.engine.encode(messages)
        most = self.engine.positions - 1
        if len(ids) > most:
            raise RejectedError(f"the prompt has {len(ids)} tokens; model {self.model_name!r} reads at most {most}")
        warmth = self.temperature if temperature is None else temperature
        drawn = self.seed if seed is None else seed
        return Request(ids, max_tokens or self.max_tokens, warmth, drawn, min(TOP, top_logprobs or 0))

    def _result(self, request: Request, written: Written, stop: list[str] | None) -> ChatResult:
        text, ended = self.engine.decode(written.ids), written.finished
        for word in stop or ():
            text, found, _ = text.partition(word)
            ended = ended or bool(found)
        rows = []
        for i, logprob in enumerate(written.logprobs):
            token = self.engine.token(written.ids[i]) if i < len(written.ids) else "</s>"
            near = islice(written.alternatives[i].items(), request.top) if request.top else ()
            top = [{"token": self.engine.token(t), "logprob": p} for t, p in near]
            rows.append({"token": token, "logprob": logprob, "top_logprobs": top})
        wrote, read = len(written.logprobs), len(request.prompt)
        message = AIMessage(
            text,
            response_metadata={
                "model_name": self.model_name,
                "finish_reason": "stop" if ended else "length",
                "logprobs": {"content": rows},
            },
            usage_metadata=UsageMetadata(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


_LOADING: Final = threading.Lock()

_Answered = tuple[Request, Written]
_Job = tuple[list[BaseMessage], dict[str, Any], "Future[_Answered]"]


class _Worker:
    """Answers a model's calls on a thread of its own: those that come shortly after one another form a batch."""

    def __init__(self, model: InProcessChatModel) -> None:
        self._model = model
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=f"in-process-{model.model_name}", daemon=True).start()

    def submit(self, messages: list[BaseMessage], options: dict[str, Any]) -> "Future[_Answered]":
        """Hand in a call."""
        future: Future[_Answered] = Future()
        self._jobs.put((messages, options, future))
        return future

    def _serve(self) -> None:
        while True:
            batch = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(batch) < MAX_BATCH:
                    batch.append(self._jobs.get(timeout=GATHER_S))
            live: list[tuple[Request, Future[_Answered]]] = []
            for messages, options, future in batch:
                if future.set_running_or_notify_cancel():
                    try:
                        live.append((self._model.request(messages, **options), future))
                    except Exception as error:  # noqa: BLE001 - handed to its caller
                        future.set_exception(error)
            if live:
                self._answer(live)

    def _answer(self, live: list[tuple[Request, "Future[_Answered]"]]) -> None:
        try:
            written = self._model.engine.generate([request for request, _ in live])
        except Exception as error:  # noqa: BLE001 - handed to every caller
            for _, future in live:
                future.set_exception(error)
        else:
            for (request, future), text in zip(live, written, strict=True):
                future.set_result((request, text))
