"""Reallocation downward: by record, by budget, down to the floor, never twice."""

from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from langchain_r2 import R2Context
from langchain_r2.records import NAMESPACE, kind_of
from langchain_r2.testing import scripted_message
from langchain_r2.types import ModelRecord

CHAIN = "1: add 3 and 4\n2: add 5 and #1\n3: add 6 and #2\n4: add 7 and #3"
ON_M3 = dict.fromkeys("1234", "m3")


def store_with(**tries: tuple[int, int, float]) -> InMemoryStore:
    store = InMemoryStore()
    for model, (count, accepted, confidence) in tries.items():
        record = ModelRecord(tries=count, accepted=accepted, confidence_sum=confidence)
        store.put(NAMESPACE, f"{model}\tadd 0 and 0", dict(record))
    return store


def test_kinds_mask_digits_and_names() -> None:
    assert kind_of("add 3 and 44") == "add 0 and 00"
    assert kind_of("How many has Ann?") == kind_of("Who many has Bob?")
    assert len(kind_of("x" * 999)) == 200


@pytest.mark.parametrize(
    ("records", "model", "reason"),
    [
        pytest.param({}, "m3", "allocated", id="nothing-known"),
        pytest.param({"m3": (2, 2, 2.0)}, "m2", "record", id="a-perfect-record"),
        pytest.param({"m3": (1, 1, 1.0)}, "m3", "allocated", id="too-few-tries"),
        pytest.param({"m3": (5, 4, 5.0)}, "m3", "allocated", id="not-always-accepted"),
        pytest.param({"m3": (5, 5, 4.0)}, "m3", "allocated", id="not-confident-enough"),
        pytest.param({"m3": (2, 2, 2.0), "m2": (1, 0, 0.0)}, "m3", "allocated", id="the-cheaper-one-failed"),
        pytest.param({"m2": (2, 2, 2.0)}, "m3", "allocated", id="another-models-record"),
    ],
)
@pytest.mark.parametrize("how", ["sync", "async"])
async def test_a_record_in_the_store_decides(
    make: Any, says: Any, tries: Any, records: Any, model: str, reason: str, how: str
) -> None:
    made = make(*[says("7")] * 3, plan="1: add 3 and 4", models=ON_M3, store=store_with(**records))
    graph, query = made.graph, {"query": "q"}
    output = await graph.ainvoke(query) if how == "async" else graph.invoke(query)
    assert tries(output) == [("1", model, "initial" if model == "m3" else "downward", reason)]


def test_runs_write_the_records_that_later_runs_read(make: Any, says: Any, tries: Any) -> None:
    store = InMemoryStore()
    made = make(*[says("7")] * 3, plan="1: add 3 and 4", models=ON_M3, store=store)
    models = [tries(made.graph.invoke({"query": "q"}))[0][1] for _ in range(4)]
    assert models == ["m3", "m3", "m2", "m2"]
    item = store.get(NAMESPACE, "m3\tadd 0 and 0")
    assert item is not None
    assert item.value == {"tries": 2, "accepted": 2, "confidence_sum": 2.0}


def test_a_failed_try_is_written_as_one(make: Any, says: Any) -> None:
    store = InMemoryStore()
    made = make(says("7", 0.1), says("8"), plan="1: add 3 and 4", store=store)
    made.graph.invoke({"query": "q"})
    values = {m: store.get(NAMESPACE, f"{m}\tadd 0 and 0") for m in ("m1", "m2")}
    assert values["m1"] is not None
    assert values["m2"] is not None
    assert (values["m1"].value["tries"], values["m1"].value["accepted"]) == (1, 0)
    assert (values["m2"].value["tries"], values["m2"].value["accepted"]) == (1, 1)


def test_a_model_name_with_a_full_stop_has_a_record_too(says: Any, tries: Any) -> None:
    from langchain_r2 import ModelPool, ModelSpec, Price, create_r2_graph
    from langchain_r2.routers.baselines import NoDecomposer, strongest
    from langchain_r2.testing import ScriptedChatModel

    price = Price(input=1.0, output=1.0)
    pool = ModelPool(
        [
            ModelSpec(name=n, model=ScriptedChatModel(script=says("7")), price=price)
            for n in ("qwen2.5-0.5b", "qwen2.5-7b")
        ]
    )
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=strongest(pool), store=InMemoryStore())
    models = [tries(graph.invoke({"query": "add 3 and 4"}))[0][1] for _ in range(3)]
    assert models == ["qwen2.5-7b", "qwen2.5-7b", "qwen2.5-0.5b"]


def test_the_record_of_a_subtasks_ancestors_counts(make: Any, says: Any, tries: Any) -> None:
    output = make(*[says("7")] * 3, plan=CHAIN, models=ON_M3).graph.invoke({"query": "q"})
    assert tries(output) == [
        ("1", "m3", "initial", "allocated"),
        ("2", "m3", "initial", "allocated"),
        ("3", "m2", "downward", "record"),
        ("4", "m2", "downward", "record"),
    ]


def test_other_subtasks_are_no_evidence(make: Any, says: Any, tries: Any) -> None:
    plan = "1: add 1 and 2\n2: add 3 and 4\n3: add 5 and 6"
    output = make(*[says("7")] * 3, plan=plan, models=ON_M3).graph.invoke({"query": "q"})
    assert [t[1] for t in tries(output)] == ["m3"] * 3


def test_what_counts_as_one_kind_is_a_setting(make: Any, says: Any, tries: Any) -> None:
    made = make(*[says("7")] * 3, plan=CHAIN, models=ON_M3, kind_of=lambda text: text)
    assert [t[1] for t in tries(made.graph.invoke({"query": "q"}))] == ["m3"] * 4


@pytest.mark.parametrize(("floor", "model"), [(None, "m2"), ("m1", "m2"), ("m2", "m2"), ("m3", "m3")])
def test_nothing_goes_below_the_floor(make: Any, says: Any, tries: Any, floor: str | None, model: str) -> None:
    store = store_with(m3=(2, 2, 2.0))
    made = make(*[says("7")] * 3, plan="1: add 3 and 4", models=ON_M3, store=store, floor=floor)
    assert tries(made.graph.invoke({"query": "q"}))[0][1] == model


def test_nothing_goes_down_twice(make: Any, says: Any, tries: Any) -> None:
    store = store_with(m3=(2, 2, 2.0), m2=(2, 2, 2.0))
    made = make(*[says("7")] * 3, plan="1: add 3 and 4", models=ON_M3, store=store)
    assert [t[1] for t in tries(made.graph.invoke({"query": "q"}))] == ["m2"]


def test_after_a_step_down_a_failed_try_climbs_again(make: Any, says: Any, tries: Any) -> None:
    store = store_with(m3=(2, 2, 2.0))
    made = make(says("x"), says("bad", 0.1), says("7"), plan="1: add 3 and 4", models=ON_M3, store=store)
    output = made.graph.invoke({"query": "q"})
    assert [t[1:] for t in tries(output)] == [("m2", "downward", "record"), ("m3", "upward", "low_confidence")]
    assert output["answer"] == "7"


def test_downward_can_be_switched_off(make: Any, says: Any, tries: Any) -> None:
    made = make(*[says("7")] * 3, plan="1: add 3 and 4", models=ON_M3, store=store_with(m3=(2, 2, 2.0)))
    output = made.graph.invoke({"query": "q"}, context=R2Context(reallocate_downward=False))
    assert tries(output)[0][1] == "m3"


def test_a_budget_that_cannot_pay_for_the_plan_sends_down(make: Any, tries: Any) -> None:
    """Ten subtasks of about 100 tokens at 4 USD per million are 4,000 micro-USD; there are 2,000 after the plan."""
    plan = "\n".join(f"{i}: part {i}" + (f" #{i - 1}" if i > 1 else "") for i in range(1, 11))
    script = lambda p: scripted_message("answer: " + "w " * 20, p)  # noqa: E731
    made = make(
        *[script] * 3, plan=plan, models={str(i): "m3" for i in range(1, 11)}, router_price=0.0,
        settings={"max_output_tokens": 70}, kind_of=lambda text: text,
    )  # fmt: skip
    output = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=2000e-6, max_replans=0))
    assert tries(output)[0] == ("1", "m2", "downward", "budget")
    rich = made.graph.invoke({"query": "q"}, context=R2Context(budget_usd=1.0))
    assert {t[1] for t in tries(rich)} == {"m3"}
