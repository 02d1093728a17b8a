"""Doubles for tests, the users' too: a chat model that follows a script and remembers its calls."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool

Script = Callable[[str], "str | AIMessage | Exception"]
"""From the prompt's last message to a reply's text, a whole message, or an error to raise."""


class ScriptedChatModel(BaseChatModel):
    """A chat model that answers by a script: a function of the prompt, or replies in turn (the last one repeats)."""

    script: Any
    """A :data:`Script`, or a sequence of texts, messages and exceptions."""
    probability: float | None = 1.0
    """Of the whole reply, shown as token probabilities; None shows none."""
    delay_s: float = 0.0
    _calls: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @property
    def call_history(self) -> list[list[BaseMessage]]:
        """The messages of every call so far."""
        return self._calls

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        self._calls.append(messages)
        if self.delay_s:
            time.sleep(self.delay_s)
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del stop, run_manager, kwargs
        self._calls.append(messages)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages))])

    def _reply(self, messages: list[BaseMessage]) -> AIMessage:
        prompt = str(messages[-1].text)
        if callable(self.script):
            reply: Any = self.script(prompt)
        else:
            replies: Sequence[Any] = self.script
            reply = replies[min(len(self._calls), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, AIMessage) else scripted_message(reply, prompt, self.probability)


def scripted_message(text: str, prompt: str = "", probability: float | None = 1.0, finish: str = "stop") -> AIMessage:
    """A reply with usage (a token per word) and, unless the probability is None, one token's log-probability."""
    words, read = len(text.split()), len(prompt.split())
    meta: dict[str, Any] = {"finish_reason": finish, "model_name": "scripted"}
    if probability is not None:
        logprob = math.log(max(probability, 1e-30))
        meta["logprobs"] = {"content": [{"token": text, "logprob": logprob, "top_logprobs": []}]}
    usage = UsageMetadata(input_tokens=read, output_tokens=words, total_tokens=read + words)
    return AIMessage(text, response_metadata=meta, usage_metadata=usage)


def scripted_pool(*scripts: Any, prices: Sequence[float] = (), **settings: Any) -> ModelPool:
    """A pool of scripted models ``m1``, ``m2``, ... at 1, 2, 4, ... USD per million tokens, each with its script."""
    models = []
    for number, script in enumerate(scripts, 1):
        usd = prices[number - 1] if prices else float(2 ** (number - 1))
        model = script if isinstance(script, BaseChatModel) else ScriptedChatModel(script=script)
        models.append(ModelSpec(name=f"m{number}", model=model, price=Price(input=usd, output=usd), **settings))
    return ModelPool(models, name="scripted")
