"""Turns at a model: how many calls run at a time, how far apart they start, and whether any may start at all."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from langchain_r2.flow import Flow, Signal, Sleep
from langchain_r2.model_spec import ModelSpec
from langchain_r2.transport.breaker import Breaker


@dataclass
class Gate:
    """Turns at one model: how many calls run, and when the next may start."""

    breaker: Breaker = field(default_factory=Breaker)
    running: int = 0
    next_start: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    changed: Signal = field(default_factory=Signal)


def wait_for_turn(gate: Gate, spec: ModelSpec, ends: float | None) -> Flow[bool]:
    """Take a turn when there is one; False where there was none before ``ends``."""
    while True:
        seen = gate.changed.count
        with gate.lock:
            now = time.monotonic()
            free = spec.max_concurrency is None or gate.running < spec.max_concurrency
            if free and now >= gate.next_start:
                gate.running += 1
                if spec.requests_per_minute:
                    gate.next_start = max(now, gate.next_start) + 60 / spec.requests_per_minute
                return True
            pause = gate.next_start - now
        left = None if ends is None else ends - now
        if left is not None and (left <= 0 or (free and pause > left)):
            return False
        yield Sleep(pause) if free else gate.changed.after(seen, left)


@contextmanager
def turn(gate: Gate, spec: ModelSpec) -> Iterator[None]:
    """Give the turn back at the end."""
    try:
        yield
    finally:
        with gate.lock:
            gate.running -= 1
        if spec.max_concurrency is not None:
            gate.changed.notify()
