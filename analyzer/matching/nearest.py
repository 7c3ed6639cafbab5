"""Where nothing fits: what would have to give, in words.

What comes in: a need and a row of ``match_nearest.sql``. What goes out: a :class:`Relaxation`. Pure. Sizes that are
offered are rounded down, so that asking for what is written finds the server.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.matching.need import CONSTRAINTS, Relaxation
from stepsize.sizes import MIB, format_mib, parse_size

if TYPE_CHECKING:
    from stepsize.analyzer.matching.need import Need


@dataclass(frozen=True, slots=True)
class Nearest:
    """The bits of what an offer falls short of, and what it has; cores and memory are those left for tasks."""

    shortfalls: int
    vendor_id: str
    region: str
    allocation: str
    cpu_architecture: str
    cores_free: float
    memory_free_mib: float
    gpu_count: float
    vram_mib: float | None
    storage_gb: int
    gpu_model: str | None


def relaxation(need: Need, nearest: Nearest) -> Relaxation:
    """What ``nearest`` asks ``need`` to give."""
    asked_and_there = {
        "cpu": (f"{need.cpu:.10g}", f"{math.floor(nearest.cores_free * 100) / 100:g}"),
        "memory": (format_mib(need.memory_mib), _down(nearest.memory_free_mib)),
        "gpu": (f"{need.gpu:g}", f"{math.floor(nearest.gpu_count)}"),
        "vram": (format_mib(need.vram_mib), _down(nearest.vram_mib or 0)),
        "disk": (f"{need.disk_gb:.10g}GB", f"{nearest.storage_gb}GB"),
        "arch": (str(need.architecture), nearest.cpu_architecture),
        "vendor": (" or ".join(need.vendors), nearest.vendor_id),
        "region": (" or ".join(need.regions), nearest.region),
        "allocation": (str(need.allocation), nearest.allocation),
        "burstable": ("no", "yes"),
        "gpu-model": (" or ".join(need.gpu_models), nearest.gpu_model or "none"),
    }
    names = [name for bit, name in enumerate(CONSTRAINTS) if nearest.shortfalls >> bit & 1]
    return Relaxation(tuple((name, *asked_and_there[name]) for name in names))


def _down(memory_mib: float) -> str:
    """``memory_mib`` as :func:`format_mib` writes it, never rounded up: what is read of it is rounded up to a byte."""
    unit = next((unit for unit in (1024.0**2, 1024.0) if memory_mib >= unit), 1.0)
    hundredths = math.floor(memory_mib / unit * 100)
    text = format_mib(hundredths / 100 * unit)
    while parse_size(text) > memory_mib * MIB:
        hundredths -= 1
        text = format_mib(hundredths / 100 * unit)
    return text
