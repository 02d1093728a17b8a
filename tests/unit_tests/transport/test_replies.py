"""What a reply from a model behind our own HTTP has to have."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_r2.errors import InvalidReplyError
from langchain_r2.transport.bounds import Bounds
from langchain_r2.transport.replies import read_reply, usage_of

MOST = Bounds(100, 50)


def message(
    text: str = "fine", finish: str | None = "stop", counts: tuple[Any, Any] | None = (10, 5), **meta: Any
) -> AIMessage:
    made = AIMessage(text, response_metadata={**({"finish_reason": finish} if finish else {}), **meta})
    if counts:
        usage: Any = {"input_tokens": counts[0], "output_tokens": counts[1], "total_tokens": 15}
        made.usage_metadata = usage
    return made


def test_a_whole_reply() -> None:
    reply = read_reply(message(), MOST)
    assert (reply.text, reply.finish_reason) == ("fine", "stop")


@pytest.mark.parametrize(
    ("bad", "problem", "may_pass"),
    [
        (message(finish=None), "why it ended", True),
        (message(counts=None), "no usage", True),
        (message(""), "no text", False),
        (message("  \n"), "no text", False),
        (message(counts=(-15, 5)), "usage", True),
        (message(counts=(10, "5")), "usage", True),
        (message(counts=(10, True)), "usage", True),
        (message(counts=(10, 5.5)), "usage", True),
        (message(counts=(0, 5)), "usage", True),
        (message(counts=(10, 0)), "usage", True),
        (message(counts=(10**6, 5)), "usage", True),
        (message(counts=(10, 10**6)), "usage", True),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_not_whole_is_no_reply(bad: AIMessage, problem: str, may_pass: bool) -> None:
    with pytest.raises(InvalidReplyError, match=problem) as caught:
        read_reply(bad, MOST)
    assert caught.value.may_pass is may_pass


@pytest.mark.parametrize("finish", ["length", "content_filter"])
@pytest.mark.parametrize("text", ["", "cut o"])
def test_a_cut_or_refused_reply_is_one_and_says_so(text: str, finish: str) -> None:
    reply = read_reply(message(text, finish, (10, 5)), MOST)
    assert (reply.text, reply.finish_reason) == (text, finish)


def test_a_model_without_a_price_may_leave_usage_out() -> None:
    assert read_reply(message(counts=None), MOST, needs_usage=False).text == "fine"


def test_an_endpoint_may_ignore_the_limit_and_add_a_prompt_of_its_own() -> None:
    assert usage_of(message(counts=(900, 400)), MOST) is not None


def test_a_chat_model_of_any_kind_has_to_show_nothing() -> None:
    assert read_reply(message("", None, None)).finish_reason is None
    assert read_reply(message(counts=(0, 0))).text == "fine"


@pytest.mark.parametrize(
    ("meta", "finish"),
    [
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, None),
    ],
    ids=str,
)
def test_the_responses_api_says_why_it_ended_in_its_own_way(meta: dict[str, Any], finish: str | None) -> None:
    assert read_reply(message(finish=None, **meta)).finish_reason == finish
