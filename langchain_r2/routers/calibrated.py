"""An allocator by difficulty: what an evaluation model's own confidence in a subtask says about how hard it is.

Source: METHOD 3.2, paper Eq. 7 (from DoT, where alpha = 0.4 and one threshold 0.9). Deviations: the signal is a
setting, thresholds are meant to be calibrated, and a subtask that needs an earlier answer is judged with the reference
in place.
"""

from langchain_core.runnables import RunnableConfig

from langchain_r2.confidence import Confidence
from langchain_r2.confidence.asking import read
from langchain_r2.errors import BadValueError, BudgetError
from langchain_r2.flow import Flow
from langchain_r2.parsing import parse_answer, resolve
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import prompts_for
from langchain_r2.routers.base import AllocatorInput, AllocatorOutput, FlowRunnable, budget_of
from langchain_r2.transport import Call, Transport
from langchain_r2.types import Allocation, Attempt, Group, Reason


class CalibratedAllocator(FlowRunnable[AllocatorInput, AllocatorOutput]):
    """Runs the evaluation model (``M_eval``) on every subtask; easy goes to the SLM group, medium to MLM, hard to LLM.

    The model is the middle one of the group. The evaluation model's calls are billed under the role ``evaluator``.
    """

    def __init__(
        self,
        pool: ModelPool,
        *,
        evaluator: str | None = None,
        confidence: Confidence | None = None,
        easy: float = 0.9,
        medium: float = 0.6,
        default_route: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Make an allocator.

        Args:
            pool: The models to choose from.
            evaluator: Pool model that judges; None: the cheapest.
            confidence: Signal and calibration of the judgement; None: the sequence probability, uncalibrated.
            easy: Confidence from which a subtask is easy (``tau_easy``).
            medium: Confidence from which it is medium (``tau_medium``).
            default_route: Pool model where there is no judgement; None: the middle of the MLM group.
            transport: Where calls go; None makes one.

        Raises:
            BadValueError: The thresholds are not ``0 <= medium <= easy <= 1``.
            UnknownModelError: The pool has no model ``evaluator`` or ``default_route``.
        """
        if not 0 <= medium <= easy <= 1:
            raise BadValueError("thresholds (medium, easy)", (medium, easy), "0 <= medium <= easy <= 1")
        self.pool, self.easy, self.medium = pool, easy, medium
        self.evaluator = pool[evaluator] if evaluator else pool.cheapest
        self.confidence = confidence or Confidence()
        self.default_route = pool[default_route].name if default_route else pool.middle("MLM").name
        self.transport = transport or Transport()

    def flow(self, value: AllocatorInput, config: RunnableConfig) -> Flow[AllocatorOutput]:
        """Judge every subtask; where money or the model fails, the default route is taken."""
        budget = budget_of(value)
        attempts: list[Attempt] = []
        models: dict[str, str] = {}
        reasons: dict[str, Reason] = {}
        note: str | None = None
        prompts = prompts_for(self.evaluator.prompt_style)
        within = value.get("subtask_id")
        for subtask in value["plan"]["subtasks"]:
            prompt = prompts.subtask(resolve(subtask["text"], {}, value["query"]), query=value["query"], known={})
            call = Call(
                spec=self.evaluator,
                prompt=prompts.in_conversation(prompt, digest=value.get("digest", "")),
                role="evaluator",
                budget=budget,
                config=config,
                subtask_id=f"{within}.{subtask['id']}" if within else subtask["id"],
                direction="replan" if within else "initial",
                top_logprobs=self.confidence.top_logprobs,
                deadline_s=value.get("deadline_s"),
                run_id=value.get("run_id"),
                ordinal=1,  # the samples of `read` must not be taken for those of the same subtask's execution
            )
            confidence, rows, problem = yield from self._judge(call)
            attempts += rows
            note = note or problem
            group = self._difficulty(confidence)
            models[subtask["id"]] = self.pool.middle(group).name if group else self.default_route
            reasons[subtask["id"]] = "allocated" if group else "default_route"
        return AllocatorOutput(allocation=Allocation(models=models, reasons=reasons, note=note), attempts=attempts)

    def _judge(self, call: Call) -> Flow[tuple[float | None, list[Attempt], str | None]]:
        """The evaluation model's confidence in a subtask, the calls it took, and why there is none."""
        try:
            outcome = yield from self.transport.call(call)
        except BudgetError:
            return None, [], "budget"
        if outcome.reply is None:
            return None, outcome.attempts, f"call_failed: {type(outcome.error).__name__}"
        answer, _ = parse_answer(outcome.reply.text)
        reading, asked = yield from read(
            self.confidence, outcome.reply, answer, call, kind=None, pool=self.pool, transport=self.transport
        )
        confidence = self.confidence.probability(reading, self.evaluator.name)
        if reading is not None and confidence is not None:
            outcome.attempts[-1]["confidence"], outcome.attempts[-1]["signal"] = confidence, reading.signal
        return confidence, [*outcome.attempts, *asked], None if confidence is not None else "no_signal"

    def _difficulty(self, confidence: float | None) -> Group | None:
        if confidence is None:
            return None
        return "SLM" if confidence >= self.easy else "MLM" if confidence >= self.medium else "LLM"
