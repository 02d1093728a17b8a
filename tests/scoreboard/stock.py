"""The same faults for ChatOpenAI as it comes: its own retries, a timeout of one second, no router."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_openai import ChatOpenAI
from openai import OpenAIError
from pydantic import SecretStr

from tests.scoreboard.fault_server import FaultServer
from tests.scoreboard.faults import FAULTS, Fault
from tests.scoreboard.row import Outcome, judged

TIMEOUT_S: Final = 1.0
TRIES: Final = 3
"""Its own default: two retries."""
AT_ONCE: Final = 4
_numbers = itertools.count()


def stock_model(url: str, name: str, **fields: Any) -> ChatOpenAI:
    """ChatOpenAI with a key, an address and a timeout, else as it comes."""
    return ChatOpenAI(model=name, base_url=url, api_key=SecretStr("none"), timeout=TIMEOUT_S, **fields)


def stock_faults(quick: bool) -> Iterator[Outcome]:
    """Every fault on the first request, sync and async."""
    faults = FAULTS[::6] if quick else FAULTS
    with FaultServer() as server, ThreadPoolExecutor(AT_ONCE) as threads:
        yield from threads.map(partial(_tried, server), faults)
        yield from asyncio.run(_all(server, faults))


async def _all(server: FaultServer, faults: Sequence[Fault]) -> list[Outcome]:
    """On one event loop: its clients are shared and do not outlive one."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def turn(fault: Fault) -> Outcome:
        async with turns:
            return await _atried(server, fault)

    return await asyncio.gather(*map(turn, faults))


def _tried(server: FaultServer, fault: Fault) -> Outcome:
    name = _scripted(server, fault)
    came: AIMessage | Exception
    started = time.monotonic()
    try:
        came = _said(stock_model(server.url, name), fault, name)
    except Exception as raised:  # noqa: BLE001 - what it raises is what is looked at
        came = raised
    return _judged(server, fault, "sync", name, came, time.monotonic() - started)


async def _atried(server: FaultServer, fault: Fault) -> Outcome:
    name = _scripted(server, fault)
    came: AIMessage | Exception
    started = time.monotonic()
    try:
        came = await _asaid(stock_model(server.url, name), fault, name)
    except Exception as raised:  # noqa: BLE001 - what it raises is what is looked at
        came = raised
    return _judged(server, fault, "async", name, came, time.monotonic() - started)


def _scripted(server: FaultServer, fault: Fault) -> str:
    name = f"s{next(_numbers)}"
    server.script(name, [fault.play])
    return name


def _judged(
    server: FaultServer, fault: Fault, way: str, name: str, came: AIMessage | Exception, wall_s: float
) -> Outcome:
    failed = isinstance(came, Exception)
    wrong = {
        "malformed accepted": isinstance(came, AIMessage) and not _good(came, name),
        "error where another try helps": failed and "error" not in fault.alone,
        "untyped error": failed and not isinstance(came, OpenAIError),
        "sent again": not fault.again and len(server.of(name)) > 1,
        "redirect followed": any(e.model == name for e in server.elsewhere),
        "past the deadline": fault.deadline_s is not None and wall_s > TRIES * (TIMEOUT_S + 1.0),
    }
    shown = type(came).__name__
    return judged("R1", f"{fault.name}, {way}", wrong, came=shown, wall_s=round(wall_s, 3))


def _said(model: ChatOpenAI, fault: Fault, name: str) -> AIMessage:
    if not fault.streamed:
        return model.invoke(f"id={name}")
    return _joined(list(model.stream(f"id={name}")))


async def _asaid(model: ChatOpenAI, fault: Fault, name: str) -> AIMessage:
    if not fault.streamed:
        return await model.ainvoke(f"id={name}")
    return _joined([piece async for piece in model.astream(f"id={name}")])


def _joined(pieces: list[AIMessageChunk]) -> AIMessage:
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    return whole


def _good(message: AIMessage, name: str) -> bool:
    """Right, whole, and with usage that can be."""
    usage = message.usage_metadata
    counts: list[Any] = [usage["input_tokens"], usage["output_tokens"]] if usage else [None]
    counted = all(isinstance(count, int) and count > 0 for count in counts)
    return message.text == f"answer: {name}" and message.response_metadata.get("finish_reason") == "stop" and counted
