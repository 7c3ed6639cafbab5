"""What a step asks for, read from its Metaflow decorators.

What comes in: the step's decorators, as they are once Metaflow has initialised them. What goes out: a `Request`.
Touches nothing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.model import Request

REMOTE = {"kubernetes": 10**6, "batch": 2**20}
"""Compute decorators and what each takes for a MB."""
_LOCAL_MB = 10**6


def requested(decorators: Iterable[Any]) -> Request:
    """What the step asks for, as Metaflow merges it.

    ``@kubernetes`` and ``@batch`` hold the merged values by the time a task runs; elsewhere ``@resources`` is the
    request, or Metaflow's defaults. A MB is 10^6 bytes, on Batch 2^20.
    """
    from stepsize.model import (  # noqa: PLC0415 - absent in isolated interpreters
        METAFLOW_DEFAULT_CPU,
        METAFLOW_DEFAULT_MEMORY_MB,
        Request,
    )

    by_name = {decorator.name: decorator.attributes for decorator in decorators}
    target = next((name for name in REMOTE if name in by_name), "resources")
    megabyte = REMOTE.get(target, _LOCAL_MB)
    attributes = by_name.get(target, {})

    def number(key: str, default: float | None = None) -> float | None:
        value = attributes.get(key)
        if value is None:
            return default
        with suppress(TypeError, ValueError):
            return float(value)
        return None  # it says something that is no number: not known, which is not the default

    def in_bytes(key: str, default: float | None = None) -> int | None:
        value = number(key, default)
        return None if value is None else round(value * megabyte)

    return Request(
        cpu=number("cpu", METAFLOW_DEFAULT_CPU),
        memory_bytes=in_bytes("memory", METAFLOW_DEFAULT_MEMORY_MB),
        gpu=number("gpu"),
        disk_bytes=in_bytes("disk"),
    )
