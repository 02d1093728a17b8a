"""Calibrating a pool: its models are asked checkable subtasks; confidence, order and routing follow."""

from langchain_r2.calibrate.exchange import exchanged_router
from langchain_r2.calibrate.routing import CalibratedRouter, calibrated_router, reordered

__all__ = ["CalibratedRouter", "calibrated_router", "exchanged_router", "reordered"]
