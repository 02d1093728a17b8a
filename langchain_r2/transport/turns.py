"""Turns at a model: how many calls run at a time, and how far apart they start."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from langchain_r2.flow import POLL_S, Flow, Sleep
from langchain_r2.pool import ModelSpec


@dataclass
class Gate:
    """Turns at one model: how many calls run, and when the next may start."""

    running: int = 0
    next_start: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def wait_for_turn(gate: Gate, spec: ModelSpec) -> Flow[None]:
    """Take a turn when there is one."""
    while True:
        with gate.lock:
            now = time.monotonic()
            free = spec.max_concurrency is None or gate.running < spec.max_concurrency
            if free and now >= gate.next_start:
                gate.running += 1
                if spec.requests_per_minute:
                    gate.next_start = max(now, gate.next_start) + 60 / spec.requests_per_minute
                return
            pause = max(POLL_S, gate.next_start - now) if free else POLL_S
        yield Sleep(pause)


@contextmanager
def turn(gate: Gate) -> Iterator[None]:
    """Give the turn back at the end."""
    try:
        yield
    finally:
        with gate.lock:
            gate.running -= 1
