"""Steps of the tests: tasks that spent so many seconds at so many cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.analyzer.rows import evidence, tasks

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence


def step(cores: dict[float, float], requested: float | None = 8.0, count: int = 3, **values: Any) -> StepEvidence:
    """``count`` equal tasks that together spent ``cores``: seconds by cores in use; ``values`` are of each attempt."""
    seconds = sum(cores.values())
    used = sum(value * spent for value, spent in cores.items())
    each = {"cpu_seconds": used / count, "duration_s": seconds / count, "cpu_max": max(cores), **values}
    return evidence(*tasks([600] * count, requested_cpu=requested, **each), cores=cores)
