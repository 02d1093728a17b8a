"""Plans are drawn, run and ranked; finer ones are made from right ones."""

import asyncio
from typing import Any

import pytest

from langchain_r2.errors import BadValueError, UnreachableError
from langchain_r2.parsing import parse_plan
from langchain_r2.pool import ModelPool
from langchain_r2.testing import scripted_message, scripted_pool
from langchain_r2.types import Subtask
from tests.training_tests.conftest import ITEM, knows, make_runner
from training.coherence import by_judge, coherence_named, mean_coherence, overlap
from training.executions import CachedTransport, ExecutionCache, Stored
from training.finer import finer_texts
from training.sampling import Drawn, Sampler, Terms, j_scores, ranked, reply_of, unique
from training.settings import SamplingSettings

PLAN = "1 : 2 plus 3\n2 : #1 times 2"


def _sampled(router: Any, pool: ModelPool | None = None, **settings: Any) -> list[dict[str, Any]]:
    pool = pool or scripted_pool(knows("plus"), knows("plus", "times"), prompt_style="bare")
    runner = make_runner(pool, router=router)
    wanted = SamplingSettings(**settings)
    sampler = Sampler(runner, wanted, pool.strongest, overlap)
    plans: list[dict[str, Any]] = asyncio.run(sampler.sample(ITEM))["plans"]
    return plans


def test_plans_are_drawn_run_and_ranked() -> None:
    texts = iter([PLAN, "1 : 2 plus 3", "no plan", PLAN])
    plans = _sampled(lambda prompt: next(texts), samples=4, finer=0)
    assert [(p["source"], p["times"], p["status"]) for p in plans] == [
        ("sample", 2, "right"),
        ("sample", 1, "wrong"),
        ("trivial", 1, "wrong"),
        ("sample", 1, "unusable"),
    ]
    best = plans[0]
    assert best["terms"] == {"subtasks": 2, "tokens": 16, "coherence": pytest.approx(2 / 3)}
    assert best["J"] == pytest.approx((1 + 1 + 1 / 3) / 3)
    assert best["router_usd"] == pytest.approx(1e-6 * (8 + 10))
    assert best["evaluator_usd"] == pytest.approx(2e-6 * 16)
    assert best["confidences"] == {"1": 1.0, "2": 1.0}
    assert reply_of(best) == Stored(PLAN, best["reply"]["input_tokens"], best["reply"]["output_tokens"])


def test_the_first_sample_is_greedy_and_the_others_are_warm_and_differ() -> None:
    pool = scripted_pool(knows("plus", "times"), prompt_style="bare")
    runner = make_runner(pool, router=lambda prompt: PLAN)
    asked: list[tuple[Any, Any]] = []

    class Watching(CachedTransport):
        def call(self, call: Any) -> Any:
            if call.role == "decomposer":
                asked.append((call.temperature, call.seed))
            return super().call(call)

    runner.transport = Watching(ExecutionCache())
    asyncio.run(Sampler(runner, SamplingSettings(samples=3, finer=0, seed=5), pool.strongest, overlap).sample(ITEM))
    assert asked == [(0.0, None), (1.0, 6), (1.0, 7)]


def test_a_decomposer_that_is_down_leaves_the_plan_that_does_not_decompose() -> None:
    plans = _sampled(lambda prompt: UnreachableError("down"), samples=2)
    assert [p["source"] for p in plans] == ["trivial"]


def test_a_subtask_of_a_right_plan_is_decomposed_in_turn() -> None:
    texts = {"two and three": PLAN, "5 times 2": "1 : 5 plus 5\n2 : #1 plus 0", "2 plus 3": "1 : 2 plus 3"}
    plans = _sampled(lambda prompt: next(t for part, t in texts.items() if part in prompt), samples=1)
    finer = next(p for p in plans if p["source"] == "finer")
    assert [s["text"] for s in finer["subtasks"]] == ["2 plus 3", "#1 plus #1", "#2 plus 0"]
    assert finer["status"] == "right"
    assert plans[0]["source"] == "sample"  # also right, and shorter


def _plan(*texts: str) -> list[Subtask]:
    return parse_plan("\n".join(f"{i}: {t}" for i, t in enumerate(texts, 1)), max_subtasks=9).subtasks


def test_finer_plans_name_earlier_subtasks_again() -> None:
    plan = _plan("33 times 50", "#1 times 12", "#2 plus #1")
    parts = {"1": _plan("33 times 5", "#1 times 10"), "2": _plan("1650 times 2", "1650 times 10", "#1 plus #2")}
    made = finer_texts(plan, parts, {"1": "1650", "2": "19800"}, most=9)
    both = ["33 times 5", "#1 times 10", "#2 times 2", "#2 times 10", "#3 plus #4", "#5 plus #2"]
    assert made[0] == both
    assert made[1] == ["33 times 5", "#1 times 10", "#2 times 12", "#3 plus #2"]
    assert made[2] == ["33 times 50", "#1 times 2", "#1 times 10", "#2 plus #3", "#4 plus #1"]
    assert finer_texts(plan, parts, {"1": "1650", "2": "19800"}, most=1) == [both]


@pytest.mark.parametrize(
    ("step", "part"),
    [
        ("12 times #1", ("12 times 7", "12 times 40", "#1 plus #2")),  # parts of the answer: worked out, not given
        ("47 times #1", ("47 times 3", "#1 plus 1")),  # which 47 is it?
        ("#1 times 2", ("#query plus 47", "#1 plus 0")),
    ],
)
def test_parts_that_do_not_name_the_answer_are_not_taken(step: str, part: tuple[str, ...]) -> None:
    assert finer_texts(_plan("40 plus 7", step), {"2": _plan(*part)}, {"1": "47"}, most=3) == []


def test_equal_plans_count_once() -> None:
    rows = [Drawn("sample", Stored("1 : a\n2 : b #1")), Drawn("trivial", Stored("1: a\n2: b #1"))]
    assert unique(rows, 9) == [Drawn("sample", rows[0].reply, 2)]


def test_j_weighs_its_terms_over_the_group() -> None:
    settings = SamplingSettings(weight_conciseness=0.5, weight_practicality=0.3, weight_coherence=0.2)
    scores = j_scores([Terms(1, 100, 1.0), Terms(4, 50, 0.5)], settings)
    assert scores == pytest.approx([0.5 / 4 + 0.3, 0.5 + 0.15 + 0.1])


def test_right_plans_come_before_all_others() -> None:
    def row(status: str, subtasks: int) -> dict[str, Any]:
        return {"status": status, "terms": {"subtasks": subtasks, "tokens": 1, "coherence": 1.0}}

    made = ranked([row("wrong", 1), row("right", 5), row("unusable", 0), row("right", 3)], SamplingSettings())
    assert [(r["status"], r["terms"]["subtasks"]) for r in made] == [
        ("right", 3),
        ("right", 5),
        ("wrong", 1),
        ("unusable", 0),
    ]


async def test_coherence_by_words_embeddings_and_a_judge() -> None:
    from langchain_core.embeddings import DeterministicFakeEmbedding

    from training.coherence import by_embeddings

    one, two = _plan("count the eggs", "double #1 eggs")
    assert await overlap(one, two) == pytest.approx(2 / 3)
    assert await overlap(two, Subtask(id="3", text="why", depends_on=[])) == 0.0
    assert await mean_coherence([one, two], overlap) == pytest.approx(2 / 3)
    assert await mean_coherence([one], overlap) == 1.0
    cosine = by_embeddings(DeterministicFakeEmbedding(size=8))
    assert await cosine(one, one) == pytest.approx(1.0)
    pool = scripted_pool(["about 0.75"])
    cache = ExecutionCache()
    judged = by_judge(pool.cheapest, CachedTransport(cache))
    assert await judged(one, two) == 0.75
    assert cache.spending.sent == 1
    mute = scripted_pool([scripted_message("no idea")]).cheapest
    assert await by_judge(mute, CachedTransport(ExecutionCache()))(one, two) is None


@pytest.mark.parametrize("name", ["feeling", "judge:", "judge:m1"])
def test_an_unknown_coherence_is_refused(name: str, pool: ModelPool) -> None:
    with pytest.raises(BadValueError, match="coherence"):
        coherence_named(name, pool, CachedTransport(ExecutionCache()))
