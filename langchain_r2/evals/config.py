"""What an evaluation's records follow from, as data and as a hash: a run goes on only with the same."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from langchain_r2._version import __version__
from langchain_r2.evals.items import Item
from langchain_r2.evals.methods.base import Router
from langchain_r2.model_spec import ModelSpec
from langchain_r2.pool import ModelPool
from langchain_r2.routers.base import FlowRunnable
from langchain_r2.transport import Transport
from langchain_r2.transport.identity import model_hash

_DEEPEST: Final = 8


def items_hash(items: Iterable[Item]) -> str:
    """Of ids, queries and right answers."""
    return _sha256([[item.id, item.query, item.gold, list(item.aliases)] for item in items])


def config_hash(config: Mapping[str, Any]) -> str:
    """Of the configuration as data."""
    return _sha256(config)


def router_config(router: Router) -> dict[str, Any]:
    """A router as data: its models by their weights or addresses, its prices, thresholds and calibrations."""
    described = {name: _described(part, 0) for name, part in router.items() if name != "transport"}
    return {"version": __version__, **described}


def with_transport(router: Router, transport: Transport) -> dict[str, Any]:
    """A router all of whose calls go through one transport; the router that was given is not changed."""
    return {name: _moved(part, transport) for name, part in router.items()} | {"transport": transport}


def _moved(part: Any, transport: Transport) -> Any:  # noqa: ANN401 - any part of a router
    if not isinstance(part, FlowRunnable):
        return part
    moved = copy.copy(part)
    for name, value in vars(part).items():
        if isinstance(value, Transport):
            setattr(moved, name, transport)
        elif isinstance(value, FlowRunnable):
            setattr(moved, name, _moved(value, transport))
    return moved


def _described(value: Any, depth: int) -> Any:  # noqa: ANN401, PLR0911 - any value, one return a kind
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, ModelSpec):
        named = {"capabilities": sorted(value.capabilities), "group": value.group}
        return {"name": value.name, "model": model_hash(value), "price": asdict(value.price), **named}
    if isinstance(value, ModelPool):
        return [_described(spec, depth) for spec in (*value.models, *value.executors)]
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
    if depth > _DEEPEST or isinstance(value, Transport):
        return type(value).__name__
    if isinstance(value, Mapping):
        return {str(key): _described(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        described = [_described(inner, depth + 1) for inner in value]
        return sorted(described, key=str) if isinstance(value, (set, frozenset)) else described
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _described(getattr(value, f.name), depth + 1) for f in fields(value)}
    if isinstance(value, (type, Path)) or not hasattr(value, "__dict__"):
        return getattr(value, "__name__", type(value).__name__)
    public = {name: inner for name, inner in vars(value).items() if not name.startswith("_")}
    return {"class": getattr(value, "__qualname__", type(value).__name__)} | _described(public, depth + 1)


def _sha256(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
