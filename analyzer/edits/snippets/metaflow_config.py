"""Sizes as a Metaflow ``Config``: JSON that ``@resources(**sizes.train.resources)`` reads. Pure.

Source: docs.metaflow.org/metaflow/configuring-flows; ``metaflow/user_configs/config_parameters.py``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stepsize.analyzer.edits.snippets.sizes import in_units
from stepsize.analyzer.edits.wanted import SECONDS
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.snippets.sizes import StepSizes


def render(_flow: str, steps: Sequence[StepSizes]) -> str:
    """One object a step, with the arguments of ``@resources`` and, where there is one, of ``@timeout``."""
    return json.dumps({step.step: _decorators(step) for step in steps}, indent=2) + "\n"


def _decorators(step: StepSizes) -> dict[str, dict[str, float]]:
    amounts = {
        "cpu": step.cpu,
        "memory": None if step.memory_bytes is None else in_units(step.memory_bytes, step.memory_unit_bytes),
        "gpu": step.gpu,
        "disk": None if step.disk_bytes is None else in_units(step.disk_bytes, BYTES_PER_MB),
    }
    found = {"resources": {name: _number(value) for name, value in amounts.items() if value is not None}}
    if step.timeout_s is not None:
        seconds = step.timeout_s
        part = next(part for part in SECONDS if seconds % SECONDS[part] == 0)
        found["timeout"] = {part: seconds // SECONDS[part]}
    return found


def _number(value: float) -> float:
    return int(value) if value == int(value) else value
