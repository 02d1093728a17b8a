"""Reallocation upward: what sends a subtask to a stronger model, and what ends the climb."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_r2 import R2Context
from langchain_r2.confidence import Confidence
from langchain_r2.testing import scripted_message


class HTTPError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def insane(prompt: str) -> AIMessage:
    message = scripted_message("answer: x", prompt)
    message.usage_metadata = {"input_tokens": -1, "output_tokens": 1, "total_tokens": 0}
    return message


FAILURES = [
    pytest.param(lambda p: scripted_message("answer: bad", p, 0.2), "low_confidence", None, id="low-confidence"),
    pytest.param(lambda p: scripted_message("", p), "invalid_output", None, id="empty"),
    pytest.param(lambda p: scripted_message("answer: ", p), "invalid_output", None, id="no-answer"),
    pytest.param(insane, "invalid_output", "InvalidReplyError", id="insane-usage"),
    pytest.param(lambda p: ValueError("x"), "invalid_output", "InvalidReplyError", id="broken-client"),
    pytest.param(lambda p: scripted_message("answer: b", p, finish="length"), "truncated", None, id="truncated"),
    pytest.param(
        lambda p: scripted_message("answer: b", p, finish="MAX_TOKENS"), "truncated", None, id="truncated-google"
    ),
    pytest.param(
        lambda p: scripted_message("answer: b", p, finish="max_tokens"), "truncated", None, id="truncated-anthropic"
    ),
    pytest.param(lambda p: scripted_message("no", p, finish="content_filter"), "refused", None, id="refused-by-filter"),
    pytest.param(lambda p: scripted_message("no", p, finish="refusal"), "refused", None, id="refused-by-model"),
    pytest.param(lambda p: HTTPError(400), "refused", "RejectedError", id="refused-by-endpoint"),
    pytest.param(lambda p: ConnectionError("down"), "unreachable", "UnreachableError", id="unreachable"),
    pytest.param(lambda p: TimeoutError("slow"), "unreachable", "DeadlineError", id="too-slow"),
]


@pytest.mark.parametrize(("script", "reason", "error"), FAILURES)
def test_a_failed_try_goes_to_the_next_stronger_model(
    make: Any, says: Any, tries: Any, script: Any, reason: str, error: str | None
) -> None:
    output = make(script, says("good"), says("never")).graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    assert tries(output) == [("1", "m1", "initial", "allocated"), ("1", "m2", "upward", reason)]
    assert (output["answer"], output["status"], output["error"]) == ("good", "ok", None)
    assert [a["error_type"] for a in output["attempts"] if a["role"] == "executor"] == [error, None]
    assert output["results"][0]["verdict"] == {"accepted": True, "reason": "confident"}
    assert output["results"][0]["model"] == "m2"


def test_an_accepted_try_stays(make: Any, says: Any, tries: Any) -> None:
    output = make(says("good"), says("never")).graph.invoke({"query": "q"})
    assert tries(output) == [("1", "m1", "initial", "allocated")]
    assert output["answer"] == "good"


def test_a_model_without_token_probabilities_is_accepted_without_signal(make: Any, says: Any) -> None:
    output = make(says("good", None), says("never")).graph.invoke({"query": "q"})
    assert output["results"][0]["verdict"] == {"accepted": True, "reason": "no_signal"}
    assert output["answer"] == "good"


@pytest.mark.parametrize(
    ("graph_threshold", "run_threshold", "model"),
    [(0.5, None, "m1"), (0.7, None, "m2"), (0.5, 0.7, "m2"), (0.7, 0.5, "m1"), (0.7, 0.0, "m1"), (0.6, None, "m1")],
)
def test_the_threshold_is_the_graphs_or_the_runs(
    make: Any, says: Any, graph_threshold: float, run_threshold: float | None, model: str
) -> None:
    made = make(says("a", 0.6000001), says("b"), confidence=Confidence(threshold=graph_threshold))
    output = made.graph.invoke({"query": "q"}, context=R2Context(threshold=run_threshold))
    assert output["results"][0]["model"] == model


def test_the_climb_goes_through_all_models(make: Any, says: Any, tries: Any) -> None:
    made = make(*[says(f"a{i}", 0.1) for i in range(4)], says("good"))
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_attempts=9))
    assert [t[1] for t in tries(output)] == ["m1", "m2", "m3", "m4", "m5"]
    assert output["answer"] == "good"


def test_at_the_top_the_most_confident_answer_is_kept(make: Any, says: Any) -> None:
    made = make(says("a", 0.1), says("b", 0.4), says("c", 0.3))
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    (result,) = output["results"]
    assert (output["answer"], output["status"]) == ("b", "best_effort")
    assert (result["model"], result["verdict"]) == ("m2", {"accepted": False, "reason": "top_of_pool"})
    assert "1: top_of_pool" in output["error"]


def test_a_cut_off_answer_is_not_kept_where_a_whole_one_is_there(make: Any, says: Any) -> None:
    made = make(says("the answer is", 0.9, "length"), says("whole", 0.3))
    assert made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))["answer"] == "whole"


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_tries_than_allowed(make: Any, says: Any, tries: Any, most: int) -> None:
    made = make(*[says(f"a{i}", 0.1 + i / 100) for i in range(6)])
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_attempts=most))
    assert len(tries(output)) == most
    assert output["results"][0]["verdict"] == {"accepted": False, "reason": "attempts_used"}
    assert output["answer"] == f"a{most - 1}"


def test_upward_can_be_switched_off(make: Any, says: Any, tries: Any) -> None:
    made = make(says("a", 0.1), says("b"))
    output = made.graph.invoke({"query": "q"}, context=R2Context(reallocate_upward=False, max_replans=0))
    assert len(tries(output)) == 1
    assert (output["answer"], output["status"]) == ("a", "best_effort")


def test_without_any_answer_the_status_is_error(make: Any) -> None:
    made = make(lambda p: ConnectionError("down"), lambda p: HTTPError(401))
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    assert (output["answer"], output["status"]) == (None, "error")
    assert "RejectedError, UnreachableError" in output["error"]
    assert [m.type for m in output["messages"]] == ["human", "ai"]
    assert output["messages"][-1].text.startswith("No answer: ")


def test_every_try_is_paid(make: Any, says: Any) -> None:
    output = make(says("a", 0.1), says("b")).graph.invoke({"query": "one two three"})
    costs = [a["cost_usd"] for a in output["attempts"]]
    assert [a["role"] for a in output["attempts"]] == ["decomposer", "executor", "executor"]
    # "one two three" in, "answer: a" out, at 1 and at 2 USD per million
    assert costs[1:] == [pytest.approx(5e-6), pytest.approx(10e-6)]


def test_only_the_failed_subtask_climbs(make: Any, says: Any, tries: Any) -> None:
    made = make(
        lambda p: scripted_message("answer: x", p, 0.1 if "hard" in p else 1.0),
        says("y"),
        plan="1: easy\n2: hard\n3: easy too",
    )
    output = made.graph.invoke({"query": "q"})
    assert [t[:2] for t in tries(output)] == [("1", "m1"), ("2", "m1"), ("2", "m2"), ("3", "m1")]


def test_blocked_subtasks_make_no_calls(make: Any, says: Any, tries: Any) -> None:
    down = lambda p: ConnectionError("down") if "first" in p else scripted_message("answer: fine", p)  # noqa: E731
    made = make(down, down, plan="1: first\n2: after #1\n3: alone\n4: after #2")
    output = made.graph.invoke({"query": "q"}, context=R2Context(max_replans=0))
    assert {t[0] for t in tries(output)} == {"1", "3"}
    verdicts = {r["id"]: r["verdict"]["accepted"] for r in output["results"]}
    assert verdicts == {"1": False, "2": False, "3": True, "4": False}
    assert output["status"] == "error"
