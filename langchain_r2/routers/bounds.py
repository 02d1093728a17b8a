"""What asking a router costs at most, for routers that say it or are ours."""

from collections.abc import Callable

from langchain_r2.confidence import Confidence
from langchain_r2.ledger import add_costs
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import instruct, prompts_for
from langchain_r2.routers.baselines import FixedAllocator, NoDecomposer, RandomAllocator
from langchain_r2.routers.calibrated import CalibratedAllocator
from langchain_r2.routers.pinned import PinnedAllocator
from langchain_r2.routers.prompted import PromptedAllocator, PromptedDecomposer
from langchain_r2.transport import worst_input_tokens

BYTES_PER_TOKEN = 8
"""Longest text that a token of a reply is taken for, in bytes, where the reply is put into another prompt."""
_SCHEMA_TOKENS = 2048
"""Bound on the JSON schema of a reply with structured output, without what it has per subtask."""
_TOKENS_PER_TOOL_CALL = 4
"""Shortest call of a tool that a model writes."""
_TOKENS_PER_SUBTASK = 64
"""Bound on what an allocator's prompt and schema have per subtask beside its text."""


def most_subtasks(decomposer: object) -> int | None:
    """Most subtasks of a plan; 0 where nothing is ever split, None where that is not known."""
    if isinstance(decomposer, NoDecomposer):
        return 0
    most = getattr(decomposer, "max_subtasks", None)
    return most if isinstance(most, int) else None


def router_worst_usd(router: object, tokens: int, subtasks: int) -> float | None:
    """What asking a decomposer or an allocator costs at most; None where that is not known.

    A router of another class may have a method ``worst_usd(tokens, subtasks)`` of its own.

    Args:
        router: Either.
        tokens: Bound on the tokens of the query, and of the plan where there is one.
        subtasks: Most subtasks of the plan.
    """
    if isinstance(router, (NoDecomposer, FixedAllocator, RandomAllocator)):
        return 0.0
    if isinstance(router, PinnedAllocator):
        return router_worst_usd(router.otherwise, tokens, subtasks)
    if isinstance(router, PromptedDecomposer):
        prompt = prompts_for(router.spec.prompt_style).decompose("", max_subtasks=router.max_subtasks)
        return _times(_once(router.spec, worst_input_tokens(prompt) + _SCHEMA_TOKENS + tokens), router)
    if isinstance(router, PromptedAllocator):
        prompt = prompts_for(router.spec.prompt_style).allocate("", "", cards=router.cards(""))
        read = worst_input_tokens(prompt) + _SCHEMA_TOKENS + tokens + subtasks * _TOKENS_PER_SUBTASK
        return _times(_once(router.spec, read), router)
    if isinstance(router, CalibratedAllocator):
        prompt = prompts_for(router.evaluator.prompt_style).subtask("", query="", known={})
        read = worst_input_tokens(prompt) + tokens
        one = executed_worst_usd(router.evaluator, read, router.confidence, router.pool, router.transport.max_tries)
        return None if one is None else one * subtasks
    said: Callable[[int, int], float | None] | None = getattr(router, "worst_usd", None)
    return said(tokens, subtasks) if said is not None else None


def executed_worst_usd(
    spec: ModelSpec, tokens: int, confidence: Confidence, pool: ModelPool, max_tries: int
) -> float | None:
    """What one try of a subtask on a model costs at most, with the calls that say how sure its answer is.

    Args:
        spec: The model.
        tokens: Most tokens that it reads.
        confidence: What else may be asked.
        pool: Has the verifier.
        max_tries: How often a call is sent while its error may pass; what came broken may have been billed.
    """
    if spec.tools:  # every round reads all that was said in it
        tokens = max(tokens, spec.context_tokens)
    once = _once(spec, tokens)
    rounds = _rounds(spec, once)
    if spec.prompt_style != "plain" and confidence.asks == "agreement":
        once = None if once is None else once * (1 + confidence.samples)
    elif spec.prompt_style != "plain" and confidence.asks == "verifier":
        verifier = pool[confidence.verifier or ""]
        read = worst_input_tokens(instruct.verify("", "")) + tokens + spec.max_output_tokens * BYTES_PER_TOKEN
        once = add_costs(once, _once(verifier, read))
    total = add_costs(once, rounds)
    return None if total is None else total * max_tries


def _rounds(spec: ModelSpec, once: float | None) -> float | None:
    """What the rounds of a model with tools cost at most, before it answers: a reply may call many tools."""
    if not spec.tools:
        return 0.0
    costs = [_once(tool, spec.max_output_tokens * BYTES_PER_TOKEN) for tool in spec.tools]
    known = [cost for cost in costs if cost is not None]
    if once is None or len(known) < len(costs):
        return None
    most_calls = spec.max_output_tokens // _TOKENS_PER_TOOL_CALL + 1
    return spec.max_tool_rounds * (once + most_calls * max(known))


def _once(spec: ModelSpec, tokens: int) -> float | None:
    return spec.price.cost_usd(tokens, spec.max_output_tokens)


def _times(once: float | None, router: PromptedDecomposer | PromptedAllocator) -> float | None:
    return None if once is None else once * router.max_samples * router.transport.max_tries
