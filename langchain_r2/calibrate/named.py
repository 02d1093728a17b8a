"""The router that goes with a pool that a user names: the embedded one, that of a calibration file, or the default."""

from collections.abc import Callable
from typing import Any

from langchain_r2.calibrate.routing import calibrated_router, summary
from langchain_r2.confidence.file import CalibrationFile, calibration_path
from langchain_r2.embedded import embedded_router
from langchain_r2.errors import ConfigurationError, PoolFileError
from langchain_r2.pool import ModelPool
from langchain_r2.pool_file import EMBEDDED_DOMAINS, resolve_pool


def named_router(pool: str, *, check: bool, note: Callable[[str, str], None]) -> dict[str, Any]:
    """The arguments of ``create_r2_graph`` for a pool; for a file with the calibration that lies beside it, if any.

    Args:
        pool: ``embedded``, ``embedded-scan``, ``paper``, or the path of a pool file.
        check: Whether every model of a file must be buildable, so that a missing key or package shows before any call.
        note: Gets a line about the calibration, and the style to show it in.

    Raises:
        ConfigurationError: The pool cannot be loaded, or one of its models cannot be built.
    """
    models = resolve_pool(pool)
    if pool in EMBEDDED_DOMAINS:
        return dict(embedded_router(EMBEDDED_DOMAINS[pool], pool=models))
    if check:
        _build_all(models, pool)
    calibration = calibration_path(pool)
    if calibration.is_file():
        router = calibrated_router(models, calibration)
        note(f"calibration {calibration}: {summary(models, router['pool'], CalibrationFile.read(calibration))}", "")
        return dict(router)
    note(f"Thresholds not calibrated for this pool; `langchain-r2 calibrate --pool {pool}` does it, once.", "yellow")
    return {"pool": models}


def _build_all(models: ModelPool, pool: str) -> None:
    for spec in models:
        try:
            spec.chat_model()
        except ConfigurationError:
            raise
        except Exception as error:
            problem = f"model {spec.name!r} cannot be made: {type(error).__name__}: {error}"
            raise PoolFileError(pool, problem) from error
