"""Sizes as a part of a Snakemake profile. Pure.

Memory grows with the attempt where the workflow retries (``retries``). ``mem_mb`` and ``disk_mb`` are of 10^6
bytes, ``runtime`` of minutes.

Source: snakemake.readthedocs.io/en/stable/executing/cli.html#profiles and
/snakefiles/rules.html#standard-resources; ``snakemake/resources.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from stepsize.analyzer.edits.snippets.sizes import in_units
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes

_MINUTE_S = 60


def render(_flow: str, steps: Sequence[StepSizes]) -> str:
    """``set-threads`` and ``set-resources`` of each rule."""
    threads = {step.step: int(-(-step.cpu // 1)) for step in steps if step.cpu is not None}
    resources = {step.step: amounts for step in steps if (amounts := _resources(step))}
    parts = {name: part for name, part in (("set-threads", threads), ("set-resources", resources)) if part}
    return yaml.safe_dump(parts, sort_keys=False)


def _resources(step: StepSizes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if step.memory_bytes is not None:
        found["mem_mb"] = f"{in_units(step.memory_bytes, BYTES_PER_MB)} * attempt"
    if step.disk_bytes is not None:
        found["disk_mb"] = in_units(step.disk_bytes, BYTES_PER_MB)
    if step.gpu is not None:
        found["gpu"] = step.gpu
    if step.timeout_s is not None:
        found["runtime"] = in_units(step.timeout_s, _MINUTE_S)
    return found
