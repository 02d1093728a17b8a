"""Finds out what the models of a pool really give, by a few tiny calls of each; no key is in what it reports."""

import time
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable
from typing_extensions import TypedDict

from langchain_r2.errors import ConfigurationError, InvalidReplyError, ModelCallError, RejectedError, UnreachableError
from langchain_r2.flow import Flow, Gather, Invoke, arun
from langchain_r2.json_text import whole_json
from langchain_r2.ledger import add_costs
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.scrubbing import scrubbed, secrets_of
from langchain_r2.structured import with_schema
from langchain_r2.transport import classify, read_reply, reply_limit

CAPABILITIES: Final = ("logprobs", "structured_output", "tools")
"""What is tried beyond a plain call; a spec declares it by the same names."""

_MOST_TOKENS: Final = 256
_SCHEMA: Final[Mapping[str, Any]] = {
    "title": "sum",
    "type": "object",
    "properties": {"r2_sum": {"type": "integer"}},
    "required": ["r2_sum"],
    "additionalProperties": False,
}
_TOOL: Final[Mapping[str, Any]] = {
    "type": "function",
    "function": {
        "name": "temperature_in",
        "description": "The temperature in a city now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class ModelCheck(TypedDict):
    """What one model gives. None: not tried, because the model could not be reached."""

    model: str
    reachable: bool
    logprobs: bool | None
    usage: bool | None
    structured_output: bool | None
    tools: bool | None
    price_known: bool
    cost_usd: float | None
    """Of the check; None where a price or a usage that it needs is unknown."""
    wall_s: float
    ok: bool
    """Whether it can be used as its spec says."""
    verdict: str


async def check_pool(pool: ModelPool, *, deadline_s: float = 60.0) -> list[ModelCheck]:
    """Call every model of a pool, all at the same time: one plain call, one for a JSON schema, one with a tool.

    A model that fails does not stop the others: its row says why.

    Args:
        pool: The models.
        deadline_s: Seconds that one call may take.
    """

    def flow() -> Flow[list[ModelCheck]]:
        rows: list[ModelCheck] = yield Gather([_Probe(spec, deadline_s).flow() for spec in pool])
        return rows

    return await arun(flow())


class _Probe:
    """The calls of one model."""

    def __init__(self, spec: ModelSpec, deadline_s: float) -> None:
        self.spec, self.deadline_s = spec, deadline_s
        self.found: dict[str, bool | None] = dict.fromkeys((*CAPABILITIES, "usage"))
        self.cost_usd: float | None = 0.0
        self.started = time.perf_counter()
        self.secrets = secrets_of(spec.model, spec.api_key_env)

    def flow(self) -> Flow[ModelCheck]:
        """Make the calls, a reachable model's three or four."""
        try:
            model = self.spec.chat_model()
        except Exception as error:  # noqa: BLE001 - whatever a provider's package raises
            return self._row(error)
        self.secrets += secrets_of(model)
        options = reply_limit(model, min(_MOST_TOKENS, self.spec.max_output_tokens))
        plain = yield from self._plain(model, options)
        if not isinstance(plain, AIMessage):
            return self._row(plain)
        self.found["usage"] = bool(plain.usage_metadata)
        self.found["logprobs"] = read_reply(plain).token_logprobs is not None
        self.found["structured_output"] = yield from self._structured(model, options)
        self.found["tools"] = yield from self._tools(model, options)
        return self._row(None)

    def _plain(self, model: BaseChatModel, options: Mapping[str, Any]) -> Flow[AIMessage | ModelCallError]:
        """A reply, with token probabilities if the endpoint takes the question."""
        prompt = "Reply with the word: ready"
        reply = yield from self._ask(model.bind(**options, logprobs=True), prompt)
        if isinstance(reply, (RejectedError, InvalidReplyError)):  # some refuse to be asked for them
            reply = yield from self._ask(model.bind(**options), prompt)
        return reply

    def _structured(self, model: BaseChatModel, options: Mapping[str, Any]) -> Flow[bool]:
        """Whether a reply keeps to a schema that the prompt does not speak of."""
        try:
            bound = with_schema(model, _SCHEMA, options)
        except ConfigurationError:
            return False
        reply = yield from self._ask(bound, "What is 2 plus 3?")
        value = whole_json(reply.text) if isinstance(reply, AIMessage) else None
        return isinstance(value, dict) and isinstance(value.get("r2_sum"), int)

    def _tools(self, model: BaseChatModel, options: Mapping[str, Any]) -> Flow[bool]:
        try:
            bound = model.bind_tools([dict(_TOOL)], **options)
        except NotImplementedError:
            return False
        reply = yield from self._ask(bound, "What is the temperature in Lima now? Use the tool.")
        return isinstance(reply, AIMessage) and any(call["name"] == "temperature_in" for call in reply.tool_calls)

    def _ask(self, runnable: Runnable[Any, Any], prompt: str) -> Flow[AIMessage | ModelCallError]:
        try:
            message: AIMessage = yield Invoke(runnable, [HumanMessage(prompt)], None, self.deadline_s)
            read_reply(message)
        except Exception as raised:  # noqa: BLE001 - the boundary to code that is not ours
            error = classify(raised)
            if not isinstance(error, (UnreachableError, RejectedError)):
                self.cost_usd = None  # it may have been generated and billed
            return error
        usage = message.usage_metadata
        cost = self.spec.price.cost_usd(usage["input_tokens"], usage["output_tokens"]) if usage else None
        self.cost_usd = add_costs(self.cost_usd, cost)
        return message

    def _row(self, error: Exception | None) -> ModelCheck:
        ok, verdict = _verdict(self.spec, self.found, error)
        return ModelCheck(
            model=self.spec.name,
            reachable=error is None,
            logprobs=self.found["logprobs"],
            usage=self.found["usage"],
            structured_output=self.found["structured_output"],
            tools=self.found["tools"],
            price_known=self.spec.price.cost_usd(0, 0) is not None,
            cost_usd=self.cost_usd,
            wall_s=time.perf_counter() - self.started,
            ok=ok,
            verdict=_short(scrubbed(verdict, self.secrets)),
        )


def _verdict(spec: ModelSpec, found: Mapping[str, bool | None], error: Exception | None) -> tuple[bool, str]:
    if error is not None:
        return False, f"not usable: {' '.join(str(error).split())}"
    absent = [name for name in CAPABILITIES if name in spec.capabilities and not found[name]]
    more = [name for name in CAPABILITIES if name not in spec.capabilities and found[name]]
    notes = []
    if absent:
        notes.append(f"take {', '.join(absent)} out of its capabilities")
    if not found["usage"]:
        notes.append("it reports no usage, so costs are unknown")
    if spec.price.cost_usd(0, 0) is None:
        notes.append("its price is unknown: no budget can pay for it")
    if more:
        notes.append(f"its capabilities may also name {', '.join(more)}")
    ok = not absent and bool(found["usage"])
    return ok, "; ".join(["ready" if ok else "not as its entry says", *notes])


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:299]}…"
