"""Turns of a conversation: digests, what a model needs, which replies will do, what they may cost."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage, message_to_dict

from langchain_r2.ledger import Budget
from langchain_r2.model_spec import FREE, ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.prompts import Prompt
from langchain_r2.transport import Call
from langchain_r2.transport.bounds import bounds
from langchain_r2.transport.journal import key_of
from langchain_r2.turns import answer_of, digest, is_answer, needs_of, query_text
from langchain_r2.types import ChatTurn, OutputForm

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def turn(**fields: Any) -> ChatTurn:
    empty = ChatTurn(
        messages=[],
        system="",
        digest="",
        whole=False,
        model=None,
        tools=[],
        tool_choice=None,
        output=None,
        options={},
        stream="no",
    )
    return ChatTurn(**{**empty, **fields})  # type: ignore[typeddict-item]


def reply(text: str = "", *calls: str) -> dict[str, Any]:
    return message_to_dict(AIMessage(text, tool_calls=[{"name": c, "args": {}, "id": "1"} for c in calls]))


HISTORY: list[AnyMessage] = [
    SystemMessage("secret rules"),
    HumanMessage("first " * 200),
    AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": "c"}]),
    ToolMessage("3", tool_call_id="c", name="add"),
    AIMessage("It is 3."),
    HumanMessage("and now?"),
]


class TestDigest:
    def test_has_all_but_the_query_and_system_prompts(self) -> None:
        lines = digest(HISTORY, 10_000).splitlines()
        assert lines[1:] == ['assistant: calls add({"a": 1})', "tool add: 3", "assistant: It is 3."]
        assert lines[0].startswith("user: first first")
        assert len(lines[0]) < 420

    @pytest.mark.parametrize("limit", [0, 10, 40, 100])
    def test_keeps_its_bound_and_the_newest(self, limit: int) -> None:
        text = digest(HISTORY, limit)
        assert len(text) <= limit
        assert text == "" or text.endswith("assistant: It is 3.")

    def test_the_query_is_the_users_last_text(self) -> None:
        assert query_text(HISTORY[:-1]) == "first " * 200
        assert query_text([AIMessage("only this")]) == "only this"
        assert query_text([HumanMessage("")]) == "(no text)"


JSON = OutputForm(method="json_schema", schema={"title": "T", "required": ["a"]}, strict=None)


def test_what_a_turn_needs() -> None:
    by_tools = OutputForm(method="function_calling", schema={}, strict=None)
    assert needs_of(None) == needs_of(turn()) == frozenset()
    assert needs_of(turn(tools=[TOOL])) == needs_of(turn(output=by_tools)) == {"tools"}
    assert needs_of(turn(output=JSON)) == {"structured_output"}


@pytest.mark.parametrize(
    ("asked", "text", "calls", "good"),
    [
        ({}, "hi", (), True),
        ({}, " ", (), False),
        ({"tools": [TOOL]}, "", ("add",), True),
        ({"tools": [TOOL]}, "", ("sub",), False),
        ({"tools": [TOOL]}, "no need", (), True),
        ({"tools": [TOOL], "tool_choice": "any"}, "no need", (), False),
        ({"tools": [TOOL], "tool_choice": "none"}, "no need", (), True),
        ({"output": JSON}, '{"a": 1}', (), True),
        ({"output": JSON}, '{"b": 1}', (), False),
        ({"output": JSON}, "[1]", (), False),
        ({"output": JSON}, "a: 1", (), False),
    ],
)
def test_which_replies_will_do(asked: dict[str, Any], text: str, calls: tuple[str, ...], good: bool) -> None:
    assert is_answer(turn(**asked), text, reply(text, *calls)) is good


def test_a_call_that_cannot_be_read_will_not_do() -> None:
    message = AIMessage("", invalid_tool_calls=[{"name": "add", "args": "{", "id": "1", "error": "no JSON"}])
    assert not is_answer(turn(tools=[TOOL]), "", message_to_dict(message))


def test_calls_are_shown_as_text() -> None:
    assert answer_of("", reply("", "add")) == '[{"name": "add", "args": {}}]'
    assert answer_of(" hi ", reply("hi")) == "hi"


def spec(name: str, *capabilities: str) -> ModelSpec:
    return ModelSpec(
        name=name, model="x", base_url="http://127.0.0.1:1/v1", price=FREE, capabilities=frozenset(capabilities)
    )


class TestBounds:
    def test_tools_pictures_and_all_messages_are_counted(self) -> None:
        shown = [HumanMessage("x" * 1000), AIMessage("y" * 1000)]
        prompt = Prompt("q", chat=tuple(message_to_dict(m) for m in shown))
        plain = bounds(spec("m"), prompt, None, turn()).input_tokens
        assert plain >= 2000
        assert bounds(spec("m"), prompt, None, turn(tools=[TOOL])).input_tokens > plain + 50
        picture = HumanMessage([{"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}])
        assert bounds(spec("m"), Prompt("q", chat=(message_to_dict(picture),)), None, turn()).input_tokens > 16_000

    def test_a_shorter_reply_is_a_smaller_bound(self) -> None:
        assert bounds(spec("m"), Prompt("q"), None, turn(options={"max_tokens": 5})).output_tokens == 5
        assert bounds(spec("m"), Prompt("q"), None, turn(options={"max_tokens": 10**6})).output_tokens == 1024

    def test_calls_with_other_tools_are_other_calls(self) -> None:
        def key(asked: ChatTurn | None) -> str:
            prompt = Prompt("q", chat=(message_to_dict(HumanMessage("q")),) if asked else ())
            return key_of(Call(spec=spec("m"), prompt=prompt, role="executor", budget=Budget(None), turn=asked))

        assert len({key(None), key(turn()), key(turn(tools=[TOOL])), key(turn(options={"stop": ["x"]}))}) == 4
        assert key(turn()) == key(turn(stream="first"))


def test_the_nearest_model_that_can() -> None:
    pool = ModelPool([spec("a"), spec("b", "tools"), spec("c"), spec("d", "tools"), spec("e")])
    needs = frozenset({"tools"})
    assert [pool.fitting(name, needs) for name in "abcde"] == ["b", "b", "d", "d", "d"]
    assert (pool.up("b", needs), pool.up("d", needs), pool.down("d", needs=needs), pool.down("b", needs=needs)) == (
        "d",
        None,
        "b",
        None,
    )
    assert pool.fitting("a", frozenset({"sight"})) is None
    assert pool.down("d", "c", needs) is None
