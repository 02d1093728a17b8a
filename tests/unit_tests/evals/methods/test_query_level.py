"""Baselines that send whole queries: easy ones to the small model, hard ones to the large one."""

from functools import partial
from typing import Any

import numpy as np
import pytest

from langchain_r2.evals.methods import NotApplicable
from langchain_r2.evals.methods.automix import SAMPLES, automix
from langchain_r2.evals.methods.datashunt import datashunt
from langchain_r2.evals.methods.fitting import fit_head, out_of_fold
from langchain_r2.evals.methods.frugal import frugal
from langchain_r2.evals.methods.query_router import query_router
from langchain_r2.evals.methods.tot import LEVELS, tot
from langchain_r2.evals.methods.validation import Candidate, Outcome, choose, pair, thresholds
from langchain_r2.model_spec import Price
from langchain_r2.pool import ModelPool
from langchain_r2.testing import scripted_message
from tests.unit_tests.evals.methods.pools import easy, items, large, models, router, runs, small, tuned

silent = partial(small, probability=None)


def test_the_query_router_reads_the_query_and_asks_one_model() -> None:
    method = tuned(query_router, router())
    for item, run in runs(method):
        assert models(run) == ["m1" if easy(item.query) else "m2"]
        assert run.answer == item.gold
    assert (method.settings["small"], method.settings["large"]) == ("m1", "m2")
    assert method.settings["tried_settings"] > 2
    assert method.settings["validation_accuracy"] == 1.0


def test_thresholds_are_chosen_on_what_a_head_says_of_items_that_it_was_not_fitted_on() -> None:
    rng = np.random.default_rng(0)
    texts = [f"word{i} other{i % 7}" for i in range(80)]
    noise = (rng.random((80, 1)) < 0.5).astype(float)
    own = fit_head(["x"], texts, noise).of_texts(texts)[:, 0]
    held_out = out_of_fold(texts, noise)[:, 0]
    assert np.corrcoef(own, noise[:, 0])[0, 1] > 0.3
    assert abs(np.corrcoef(held_out, noise[:, 0])[0, 1]) < 0.25


def test_a_head_learns_what_the_texts_show() -> None:
    texts = [item.query for item in items("x", 60)]
    right = np.array([[float(easy(text))] for text in texts])
    said = out_of_fold(texts, right)[:, 0]
    assert said[right[:, 0] == 1].min() > said[right[:, 0] == 0].max()


def test_datashunt_goes_by_the_small_model_s_certainty() -> None:
    method = tuned(datashunt, router())
    for item, run in runs(method):
        assert models(run) == (["m1"] if easy(item.query) else ["m1", "m2"])
        assert run.answer == item.gold


def test_datashunt_asks_a_small_model_that_shows_no_probabilities() -> None:
    def judge(prompt: str) -> Any:
        if prompt.startswith("Task:"):
            return scripted_message("easy" if easy(prompt) else "hard", prompt, None)
        return silent(prompt)

    method = tuned(datashunt, router(judge, large))
    for item, run in runs(method):
        assert [row["role"] for row in run.attempts] == ["evaluator", "executor"]
        assert models(run) == ["m1" if easy(item.query) else "m2"]
    with pytest.raises(NotApplicable, match="never trained to judge"):
        tuned(datashunt, router(silent, large, prompt_style="bare"))


@pytest.mark.parametrize("first", [small, silent])
def test_frugalgpt_stops_at_the_first_trusted_answer(first: Any) -> None:
    method = tuned(frugal, router(first, large))
    assert method.settings["models"] == ["m1", "m2"]
    for item, run in runs(method):
        assert models(run) == (["m1"] if easy(item.query) else ["m1", "m2"])
        assert run.answer == item.gold
        assert run.facts["stages"] == len(models(run))


def test_frugalgpt_needs_no_second_model_where_the_first_is_always_right() -> None:
    method = tuned(frugal, router(large, large))
    assert method.settings["models"] == ["m1"]


def test_automix_escalates_what_it_does_not_verify() -> None:
    method = tuned(automix, router())
    for item, run in runs(method):
        assert models(run) == (["m1"] if easy(item.query) else ["m1", "m2"])
        assert [row["role"] for row in run.attempts].count("evaluator") == SAMPLES
        assert run.answer == item.gold


def test_what_a_pool_was_never_trained_for_is_not_applicable() -> None:
    bare = router(prompt_style="bare")
    with pytest.raises(NotApplicable, match="m1 was never trained to verify"):
        tuned(automix, bare)
    with pytest.raises(NotApplicable, match="m2 was never trained"):
        tot(bare)


@pytest.mark.parametrize("make", [datashunt, query_router, frugal, automix])
def test_without_validation_items_there_is_nothing_to_tune_on(make: Any) -> None:
    with pytest.raises(NotApplicable, match="--validation"):
        tuned(make, router(), count=0)


def test_an_unknown_price_is_not_tuned_by() -> None:
    made = dict(router())
    unknown = [
        type(spec)(name=spec.name, model=spec.model, price=Price(input=None, output=None)) for spec in made["pool"]
    ]
    with pytest.raises(NotApplicable, match="a price of the pool is unknown"):
        tuned(frugal, {**made, "pool": ModelPool(unknown)})


def test_tree_of_thoughts_draws_two_steps_and_votes() -> None:
    asked: list[str] = []

    def thinking(prompt: str) -> Any:
        asked.append(prompt)
        if "Option 1" in prompt:
            return scripted_message("2", prompt)
        depth = prompt.count("Step ")
        return scripted_message(f"step {depth} of {len(asked)}" if depth < 1 else "so it is\nanswer: 1", prompt)

    method = tot(router(lambda _: "x", thinking))
    [(_, run)] = runs(method, 1)
    # Two different steps, a vote for the second; then two equal ones, which end it without a vote.
    assert [row["role"] for row in run.attempts] == ["executor", "executor", "evaluator", "executor", "executor"]
    assert run.answer == "1"
    assert "step 0 of 2" in asked[-1]
    assert "step 0 of 1" not in asked[-1]


def test_tree_of_thoughts_ends_after_its_levels() -> None:
    def endless(prompt: str) -> Any:
        last = "from the steps" in prompt or prompt.count("Step ") == LEVELS
        return scripted_message("answer: 1" if last else "go on", prompt)

    [(_, run)] = runs(tot(router(lambda _: "x", endless)), 1)
    assert run.answer == "1"
    assert len(run.attempts) == 2 * LEVELS + 1


def test_the_rule_takes_the_cheapest_of_the_best() -> None:
    candidates = [Candidate({"n": 1}, 0.5, 1), Candidate({"n": 2}, 0.895, 5), Candidate({"n": 3}, 0.9, 9)]
    assert choose(candidates).settings == {"n": 2}  # within a point
    assert choose([*candidates, Candidate({"n": 4}, 0.95, 99)]).settings == {"n": 4}


def test_the_pair_is_the_one_that_a_perfect_router_would_have() -> None:
    def row(scores: str, cost: float) -> list[Outcome]:
        return [Outcome(float(s), cost, None, "") for s in scores]

    table = {"a": row("0000", 1), "b": row("0111", 2), "c": row("0111", 3), "d": row("1111", 10)}
    assert pair(table) == ("b", "d")
    with pytest.raises(NotApplicable, match="two models"):
        pair({"d": table["d"]})


def test_thresholds_reach_from_all_to_none() -> None:
    values = thresholds([0.1, 0.5, 0.5, 0.9])
    assert [sum(v >= t for v in (0.1, 0.5, 0.5, 0.9)) for t in (values[0], values[-1])] == [4, 0]
    assert len(thresholds(list(range(1000)))) < 30
