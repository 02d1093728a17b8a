"""The prompted allocator: aliases, coverage, and what happens where it says nothing usable."""

import math
import re
from typing import Any

import pytest

from langchain_r2.errors import BadValueError, BudgetError, UnknownModelError
from langchain_r2.model_spec import ModelSpec, Price
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import prompts_for
from langchain_r2.routers.prompted import ALIASES, PromptedAllocator
from langchain_r2.testing import ScriptedChatModel, scripted_message, scripted_pool
from langchain_r2.transport import Transport, worst_usd
from langchain_r2.types import Plan, Subtask

POOL = scripted_pool(["x"], ["x"], ["x"])
PLAN = Plan(
    subtasks=[Subtask(id="1", text="a", depends_on=[]), Subtask(id="2", text="b #1", depends_on=["1"])],
    parse="clean", confidence=None, rejected=[],
)  # fmt: skip


def asked(query: str = "q", **more: Any) -> Any:
    return dict(query=query, plan=PLAN, **more)


def allocator(script: Any, *, pool: ModelPool = POOL, **options: Any) -> PromptedAllocator:
    model = ScriptedChatModel(script=script)
    price = Price(input=1.0, output=1.0)
    spec = ModelSpec(name="r", model=model, price=price, capabilities=frozenset({"logprobs"}))
    return PromptedAllocator(spec, pool, **{"shuffle_aliases": False, "transport": Transport(max_tries=1), **options})


@pytest.mark.parametrize(
    ("reply", "models", "reasons", "note"),
    [
        pytest.param("1: a\n2: d", ["m1", "m3"], ["allocated"] * 2, None, id="clean"),
        pytest.param('{"1": "c", "2": "d"}', ["m2", "m3"], ["allocated"] * 2, None, id="json"),
        pytest.param(
            "1: a\n2: zz", ["m1", "m2"], ["allocated", "default_route"], "unknown_model: 'zz'", id="unknown-model"
        ),
        pytest.param("2: d", ["m2", "m3"], ["default_route", "allocated"], "not_allocated: 1", id="missing"),
        pytest.param("no", ["m2", "m2"], ["default_route"] * 2, "unparsable", id="malformed"),
        pytest.param(
            ValueError("x"), ["m2", "m2"], ["default_route"] * 2, "call_failed: InvalidReplyError", id="failed"
        ),
    ],
)
def test_every_subtask_gets_a_model(reply: Any, models: list[str], reasons: list[str], note: str | None) -> None:
    output = allocator([reply]).invoke(asked())
    allocation = output["allocation"]
    assert allocation["models"] == dict(zip("12", models, strict=True))
    assert allocation["reasons"] == dict(zip("12", reasons, strict=True))
    assert allocation["note"] == note
    again = note is not None and not isinstance(reply, Exception)  # the transport has tried a failed call again
    assert [(a["role"], a["model"]) for a in output["attempts"]] == [("allocator", "r")] * (2 if again else 1)


def test_an_unusable_allocation_is_asked_for_once_more() -> None:
    output = allocator(["1: d\n2: zz", "1: a\n2: c", "1: d\n2: d"]).invoke(asked())
    assert output["allocation"]["models"] == {"1": "m1", "2": "m2"}
    assert output["allocation"]["note"] is None
    assert len(output["attempts"]) == 2


def test_what_either_answer_gives_is_kept() -> None:
    output = allocator(["1: d", "2: c\n1: zz"]).invoke(asked())
    assert output["allocation"]["models"] == {"1": "m3", "2": "m2"}
    assert len(output["attempts"]) == 2


def test_no_money_for_a_second_answer_keeps_the_first() -> None:
    router = allocator(["1: d"])
    prompt = prompts_for("instruct").allocate("q", "1 : a\n2 : b #1", cards=router.cards("q"))
    output = router.invoke(asked(budget_usd=worst_usd(router.spec, prompt)))
    assert output["allocation"]["models"] == {"1": "m3", "2": "m2"}
    assert len(output["attempts"]) == 1


def test_max_samples_is_checked() -> None:
    with pytest.raises(BadValueError, match="max_samples"):
        allocator(["x"], max_samples=0)


def test_the_default_route_is_a_setting() -> None:
    assert allocator(["no"], default_route="m3").invoke(asked())["allocation"]["models"] == {"1": "m3", "2": "m3"}


def test_lines_are_numbered_whatever_the_ids_are() -> None:
    plan = Plan(subtasks=[Subtask(id="x", text="a", depends_on=[]), Subtask(id="9", text="b", depends_on=[])],
                parse="clean", confidence=None, rejected=[])  # fmt: skip
    output = allocator(["1: a\n2: d"]).invoke({"query": "q", "plan": plan})
    assert output["allocation"]["models"] == {"x": "m1", "9": "m3"}


def test_aliases_are_shuffled_with_the_query_and_only_with_it() -> None:
    router = allocator(["x"], shuffle_aliases=True)
    queries = [f"query {i}" for i in range(40)]
    seen = {tuple((c.alias, c.rank) for c in router.cards(q)) for q in queries}
    assert [router.cards(q) for q in queries] == [allocator(["x"], shuffle_aliases=True).cards(q) for q in queries]
    assert {rank for cards in seen for alias, rank in cards if alias == "a"} == {1, 2, 3}
    assert {cards[0][1] for cards in seen} == {1, 2, 3}


def test_without_shuffling_the_aliases_are_in_the_pools_order() -> None:
    assert [(c.alias, c.rank, c.group) for c in allocator(["x"]).cards("q")] == [
        ("a", 1, "SLM"),
        ("c", 2, "MLM"),
        ("d", 3, "LLM"),
    ]


@pytest.mark.parametrize("query", [f"query {i}" for i in range(5)])
def test_a_shuffled_alias_means_the_model_whose_card_has_it(query: str) -> None:
    router = allocator(["x"], shuffle_aliases=True)
    for card in router.cards(query):
        chosen = allocator([f"1: {card.alias}\n2: {card.alias}"], shuffle_aliases=True).invoke(asked(query))
        assert chosen["allocation"]["models"]["1"] == POOL.models[card.rank - 1].name


def test_a_prompt_that_says_weakest_first_shows_the_weakest_first() -> None:
    router = allocator(["x"], shuffle_aliases=True)
    for query in (f"query {i}" for i in range(10)):
        cards = router.cards(query)
        shown = prompts_for("instruct").allocate(query, "1: a", cards=cards).user
        order = [c.rank for alias in re.findall(r"^(\w): \wLM", shown, re.MULTILINE) for c in cards if c.alias == alias]
        assert sorted(order) == [1, 2, 3]
        assert "weakest first" not in shown or order == [1, 2, 3]


def test_the_prompt_shows_prices_groups_and_skills() -> None:
    pool = scripted_pool(["x"], ["x"], skills="sums")
    router = allocator(["1: a\n2: a"], pool=pool)
    router.invoke(asked("count them"))
    assert isinstance(router.spec.model, ScriptedChatModel)
    shown = router.spec.model.call_history[0][-1].text
    for part in ("a: SLM, 1/1", "c: MLM, 2/2", ", sums", "count them", "1 : a\n2 : b #1"):
        assert part in shown


def test_a_price_that_is_unknown_is_not_shown_as_none() -> None:
    pool = ModelPool([ModelSpec(name="m", model=ScriptedChatModel(script=["x"]), price=Price(input=None, output=None))])
    assert "None" not in allocator(["x"], pool=pool).cards("q")[0].price


def with_alternatives(*spots: dict[str, float], text: str = "1: a\n2: a") -> Any:
    """A reply with one distribution per subtask among tokens that are no alias."""
    rows: list[dict[str, Any]] = []
    for number, spot in enumerate(spots, 1):
        rows.append({"token": f"{number}:", "logprob": 0.0, "top_logprobs": [{"token": f"{number}:", "logprob": 0.0}]})
        top = [{"token": f" {t}", "logprob": math.log(p)} for t, p in spot.items()]
        rows.append({"token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top})
    message = scripted_message(text)
    message.response_metadata["logprobs"] = {"content": rows}
    return message


@pytest.mark.parametrize(
    ("coverage", "models"),
    [(None, ["m1", "m1"]), (0.5, ["m1", "m3"]), (0.75, ["m2", "m3"]), (0.95, ["m3", "m3"])],
)
def test_coverage_takes_the_cheapest_that_is_probably_enough(coverage: float | None, models: list[str]) -> None:
    reply = with_alternatives({"a": 0.6, "c": 0.3, "d": 0.1}, {"d": 0.8, "a": 0.1, "c": 0.1})
    output = allocator([reply], coverage=coverage).invoke(asked())
    assert list(output["allocation"]["models"].values()) == models


def test_coverage_counts_shares_of_what_was_shown() -> None:
    reply = with_alternatives({"a": 0.3, "c": 0.1, "zz": 0.05}, {"a": 0.3, "c": 0.1}, text="1: d\n2: d")
    assert allocator([reply], coverage=0.7).invoke(asked())["allocation"]["models"] == {"1": "m1", "2": "m1"}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param("1: a\n2: d", id="no-alternatives"),
        pytest.param(with_alternatives({"c": 1.0}, text="1: a\n2: d"), id="one-spot-too-few"),
        pytest.param(with_alternatives({"c": 1.0}, {"c": 1.0}, {"c": 1.0}, text="1: a\n2: d"), id="one-spot-too-many"),
    ],
)
def test_coverage_without_a_distribution_per_subtask_takes_the_written_names(reply: Any) -> None:
    assert allocator([reply], coverage=0.9).invoke(asked())["allocation"]["models"] == {"1": "m1", "2": "m3"}


class Options(ScriptedChatModel):
    seen: list[Any] = []  # noqa: RUF012 - pydantic copies it

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append((kwargs.get("logprobs"), kwargs.get("top_logprobs")))
        return super()._generate(*args, **kwargs)


@pytest.mark.parametrize(
    ("coverage", "capabilities", "expected"),
    [(0.5, {"logprobs"}, (True, 3)), (None, {"logprobs"}, (None, None)), (0.5, set(), (None, None))],
)
def test_alternatives_are_asked_for_only_where_used_and_possible(
    coverage: Any, capabilities: Any, expected: Any
) -> None:
    model = Options(script=["1: a\n2: a"])
    spec = ModelSpec(name="r", model=model, price=Price(input=1, output=1), capabilities=frozenset(capabilities))
    PromptedAllocator(spec, POOL, coverage=coverage).invoke(asked())
    assert model.seen == [expected]


def test_no_money_for_the_call_raises() -> None:
    with pytest.raises(BudgetError):
        allocator(["1: a\n2: a"]).invoke(asked(budget_usd=1e-9))


def test_a_replan_is_billed_to_its_subtask() -> None:
    (row,) = allocator(["1: a\n2: a"]).invoke(asked(subtask_id="2"))["attempts"]
    assert (row["direction"], row["subtask_id"]) == ("replan", "2")


@pytest.mark.parametrize("coverage", [0, 1, -0.5, 1.5])
def test_coverage_is_checked(coverage: float) -> None:
    with pytest.raises(BadValueError, match="coverage"):
        allocator(["x"], coverage=coverage)


def test_the_default_route_is_checked() -> None:
    with pytest.raises(UnknownModelError, match="m9"):
        allocator(["x"], default_route="m9")


def test_a_pool_with_more_models_than_names_is_refused() -> None:
    scripts = [["x"]] * (len(ALIASES) + 1)
    prices = [1.0] * len(scripts)
    with pytest.raises(BadValueError, match="at most 24"):
        allocator(["x"], pool=scripted_pool(*scripts, prices=prices))
    assert allocator(["x"], pool=scripted_pool(*scripts[1:], prices=prices)).cards("q")[-1].alias == ALIASES[-1]


def test_an_undivided_query_goes_to_its_model_without_a_call() -> None:
    whole = Plan(subtasks=PLAN["subtasks"][:1], parse="clean", confidence=None, rejected=[])
    router = allocator(["1: a\n2: a"], undivided="m3")
    made = router.invoke(asked() | {"plan": whole})
    assert made["allocation"] == {"models": {"1": "m3"}, "reasons": {"1": "allocated"}, "note": None}
    assert made["attempts"] == []
    assert router.invoke(asked())["allocation"]["models"] == {"1": "m1", "2": "m1"}


def test_an_undivided_query_s_model_is_one_of_the_pool() -> None:
    with pytest.raises(UnknownModelError):
        allocator(["1: a"], undivided="m9")
