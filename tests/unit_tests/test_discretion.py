"""Keys in a run's config: not in its checkpoints, not in its traces, but where runnables look for them."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from langchain_r2 import create_r2_graph
from langchain_r2.discretion import discreet, without_keys
from langchain_r2.routers.baselines import NoDecomposer, cheapest
from langchain_r2.testing import scripted_pool

CANARY = "canary-5f3a9c1b7d"


class Everything(BaseCallbackHandler):
    """Keeps all that tracers are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.told.append(repr((args, kwargs)))

    on_chat_model_start = on_chain_end = on_llm_end = on_chain_start


def config(**more: Any) -> Any:
    return {
        "configurable": {"thread_id": "1", "openai_api_key": CANARY, "note": "kept"},
        "metadata": {"api_key": CANARY, "note": "kept", "link": f"http://user:{CANARY}@host/"},
        **more,
    }


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_no_key_of_a_config_is_kept_or_shown(way: str) -> None:
    pool, saver, seen = scripted_pool(["answer: a"]), InMemorySaver(), Everything()
    graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), checkpointer=saver)
    value: Any = {"query": "q"}
    options = config(callbacks=[seen])
    if way == "invoke":
        graph.invoke(value, options)
    elif way == "ainvoke":
        await graph.ainvoke(value, options)
    elif way == "stream":
        list(graph.stream(value, options))
    else:
        [_ async for _ in graph.astream(value, options)]
    stored = repr((dict(saver.storage), dict(saver.writes), dict(saver.blobs)))
    assert CANARY not in stored
    assert "kept" in stored
    assert CANARY not in "".join(seen.told)
    assert "'note': 'kept'" in "".join(seen.told)


def test_no_key_of_a_config_is_in_the_database(tmp_path: Path) -> None:
    pool = scripted_pool(["answer: a"])
    with SqliteSaver.from_conn_string(str(tmp_path / "runs.db")) as saver:
        graph = create_r2_graph(pool, decomposer=NoDecomposer(), allocator=cheapest(pool), checkpointer=saver)
        graph.invoke({"query": "q"}, config())
        graph.update_state(config(), {"query": "p"})
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert CANARY.encode() not in stored
    assert b"kept" in stored


def test_a_runnable_still_finds_its_key_in_the_config() -> None:
    pool = scripted_pool(["answer: a"])
    found: list[str] = []
    plans = NoDecomposer()

    def decompose(value: Any, config: RunnableConfig) -> Any:
        found.append((config.get("configurable") or {})["openai_api_key"])
        return plans.invoke(value)

    graph = create_r2_graph(
        pool, decomposer=RunnableLambda(decompose), allocator=cheapest(pool), checkpointer=InMemorySaver()
    )
    graph.invoke({"query": "q"}, config())
    assert found == [CANARY]


def test_a_config_without_keys_and_none_are_left() -> None:
    assert without_keys(None, "metadata") is None
    assert without_keys({"tags": ["a"]}, "metadata") == {"tags": ["a"]}


def test_the_users_own_saver_is_not_changed() -> None:
    saver = InMemorySaver()
    assert "put" in vars(discreet(saver))
    assert "put" not in vars(saver)
