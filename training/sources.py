"""Opens what settings name: the pool, the router's models, a runner of plans on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from langchain_r2.confidence import Confidence
from langchain_r2.config import R2Context
from langchain_r2.embedded.bundle import HOME, embedded_router, router_spec
from langchain_r2.embedded.chat import read_json
from langchain_r2.errors import BadValueError
from langchain_r2.evals.grading import open_grader
from langchain_r2.model_spec import ModelSpec, Price, PromptStyle
from langchain_r2.pool import ModelPool
from langchain_r2.pool_file import EMBEDDED, load_pool
from langchain_r2.prompts import Card, prompts_for
from langchain_r2.routers.prompted import PromptedAllocator
from training.embedded.supervised import SUPERVISED
from training.executions import CachedTransport, ExecutionCache, model_hash
from training.items import grader_named
from training.lines import short_hash
from training.plan_requests import AS_ALLOCATED
from training.plan_runs import PlanRunner
from training.settings import DataSettings, PoolSettings

Role = Literal["decomposer", "allocator"]

_OF_POOL: Final = "pool:"


class Opened(NamedTuple):
    """What a stage works with."""

    pool: ModelPool
    runner: PlanRunner
    cache: ExecutionCache

    @property
    def transport(self) -> CachedTransport:
        """How calls are made."""
        return self.runner.transport


@contextmanager
def opened(
    settings: PoolSettings,
    data: DataSettings,
    cache_file: Path | str,
    *,
    decomposer: ModelSpec | None = None,
    allocator: ModelSpec | None = None,
    with_allocator: bool = False,
    context: R2Context = AS_ALLOCATED,
) -> Iterator[Opened]:
    """Open pool, cache and runner, and close what has to be closed.

    Args:
        settings: Of the pool and the router.
        data: Names the grader.
        cache_file: Where executions are kept.
        decomposer: In place of the one in the settings.
        allocator: In place of the one in the settings.
        with_allocator: Whether the runner needs one.
        context: Limits of a run.

    Raises:
        ConfigurationError: Something that the settings name is not there.
    """
    pool, confidence = open_pool(settings)
    cache = ExecutionCache(cache_file)
    transport = CachedTransport(cache)
    writer = decomposer or router_model("decomposer", settings, pool)
    router: PromptedAllocator | None = None
    if with_allocator or allocator is not None:
        spec = allocator or router_model("allocator", settings, pool)
        router = open_allocator(spec, pool, transport, embedded=settings.allocator == EMBEDDED)
    try:
        with open_grader(grader_named(data.grader)) as grader:
            runner = PlanRunner(
                pool,
                grader,
                transport,
                decomposer=writer,
                allocator=router,
                confidence=confidence,
                context=context,
                max_subtasks=settings.max_subtasks,
                concurrency=settings.concurrency,
                timeout_s=settings.timeout_s,
            )
            yield Opened(pool, runner, cache)
    finally:
        cache.close()


def open_pool(settings: PoolSettings) -> tuple[ModelPool, Confidence | None]:
    """The pool, and the confidence that is shipped with it, if any."""
    if settings.source == EMBEDDED:
        router = embedded_router()
        return router["pool"], router["confidence"]
    return load_pool(settings.source), None


def open_allocator(
    spec: ModelSpec, pool: ModelPool, transport: CachedTransport, *, embedded: bool = False
) -> PromptedAllocator:
    """An allocator as it is trained: it takes the names that were written, in one try."""
    return PromptedAllocator(spec, pool, max_samples=1, shuffle_aliases=not embedded, transport=transport)


def router_model(role: Role, settings: PoolSettings, pool: ModelPool) -> ModelSpec:
    """The model that a router's role is played by.

    Raises:
        UnknownModelError: The pool has no such model.
        BadValueError: There is no such folder or id.
    """
    named = settings.decomposer if role == "decomposer" else settings.allocator
    adapter = settings.decomposer_adapter if role == "decomposer" else settings.allocator_adapter
    if named == EMBEDDED:
        return router_spec(HOME, role, read_json(HOME / "router.json"), SUPERVISED / role)
    if named.startswith(_OF_POOL):
        return pool[named.removeprefix(_OF_POOL)]
    return local_model(role, named, settings, pool, adapter=adapter)


def local_model(
    role: Role,
    path: str,
    settings: PoolSettings,
    pool: ModelPool,
    *,
    adapter: str | None = None,
    prompt_style: PromptStyle = "bare",
) -> ModelSpec:
    """A folder or Hugging Face id as the model of a role."""
    from langchain_r2.routers.local import local_spec

    cheapest = pool.cheapest.price
    price = Price(
        input=cheapest.input if settings.price_input is None else settings.price_input,
        output=cheapest.output if settings.price_output is None else settings.price_output,
    )
    return local_spec(
        f"r2-router-{role}",
        path,
        price=price,
        adapter=adapter,
        tokenizer_path=settings.tokenizer,
        max_output_tokens=settings.max_output_tokens,
        prompt_style=prompt_style,
    )


def pool_hash(pool: ModelPool) -> str:
    """What a pool consists of: models, order, groups and prices."""
    return short_hash([[model_hash(m), m.group, str(m.price.input), str(m.price.output)] for m in pool])


def prompts_hash(style: PromptStyle) -> str:
    """The version of a style's prompts: what they make of a sample."""
    prompts = prompts_for(style)
    cards = [Card("a", 1, "SLM", "1/2", "sums"), Card("c", 2, "LLM", "3/4", "")]
    shown: list[Any] = [
        prompts.decompose("q ?", max_subtasks=9),
        prompts.allocate("q ?", "1 : one", cards=cards),
        prompts.subtask("one of 5", query="q ?", known={"1": "2"}, template="one of #2", inline={"2": "5"}),
    ]
    return short_hash([list(prompt) for prompt in shown])


def evaluator_of(pool: ModelPool, name: str) -> ModelSpec:
    """``M_eval``: a pool model, or ``strongest`` or ``cheapest``. It must do subtasks as any other model does.

    Raises:
        UnknownModelError: The pool does not have it.
        BadValueError: It is a tool.
    """
    spec = {"strongest": pool.strongest, "cheapest": pool.cheapest}.get(name) or pool[name]
    if spec.prompt_style == "plain":
        raise BadValueError("evaluator", name, pool.names, "A tool cannot do any subtask.")
    return spec
