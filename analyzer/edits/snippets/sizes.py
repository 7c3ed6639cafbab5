"""What a step is to be given, all of it: what is recommended, and what is kept as it was asked for. Pure.

What comes in: advice. What goes out: :class:`StepSizes`, in bytes and whole units. A resource of which nothing is known
is None, and in no format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.edits.wanted import RESOURCES, amount, memory_unit_bytes, numbers
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from stepsize.analyzer.edits.wanted import Wanted
    from stepsize.analyzer.sizing.targets import Target

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSizes:
    """``memory_unit_bytes`` is what a MB of ``@resources(memory=…)`` is where the step runs. ``gpu`` is 0 where GPUs
    that were asked for are taken, None where none were.
    """

    step: str
    runs: int
    cpu: float | None = None
    memory_bytes: int | None = None
    gpu: int | None = None
    disk_bytes: int | None = None
    timeout_s: int | None = None
    memory_unit_bytes: int = BYTES_PER_MB

    @property
    def is_known(self) -> bool:
        """Whether there is anything to say."""
        return any(
            value is not None for value in (self.cpu, self.memory_bytes, self.gpu, self.disk_bytes, self.timeout_s)
        )

    @property
    def grounds(self) -> str:
        """Where the sizes come from, for a comment."""
        return f"from {self.runs} {'run' if self.runs == 1 else 'runs'}"


def sizes_of(advice: Wanted, target: Target | None, *, drop_gpus: bool, timeout: bool) -> StepSizes | str:
    """Everything to give a step, or a sentence where ``target`` has no such size.

    GPUs that were never used stay unless ``drop_gpus``, timeouts are given with ``timeout``.
    """
    changed = numbers(advice, target)
    if isinstance(changed, str):
        return changed
    unit = memory_unit_bytes(target)
    given = {name: value for name in RESOURCES if (value := amount(advice.recommended, name)) is not None}
    if "memory" in given:
        given["memory"] = given["memory"] * BYTES_PER_MB / unit
    given |= changed
    if keeps_gpus(advice) and not drop_gpus:
        given["gpu"] = advice.requested.gpu or 0
    return StepSizes(
        step=advice.step,
        runs=advice.runs,
        cpu=given.get("cpu"),
        memory_bytes=_whole(given.get("memory"), unit),
        gpu=_whole(given.get("gpu"), 1) if given.get("gpu") or advice.requested.gpu else None,
        disk_bytes=_whole(given.get("disk"), BYTES_PER_MB),
        timeout_s=_whole(advice.recommended_timeout_s, 1) if timeout else None,
        memory_unit_bytes=unit,
    )


def keeps_gpus(advice: Wanted) -> bool:
    """Whether GPUs that were never used stay unless it is said otherwise."""
    return advice.recommended.gpu == 0 and bool(advice.requested.gpu)


def in_units(size_bytes: int, unit_bytes: int) -> int:
    """Whole units that cover ``size_bytes``."""
    return -(-size_bytes // unit_bytes)


def plain(amount: float) -> str:
    """An amount without a fraction that it does not have: 2, 0.5."""
    return f"{amount:g}"


def quantity(size_bytes: int) -> str:
    """As Kubernetes writes it: whole MB (600M), or whole MiB where it is these (4096Mi)."""
    if size_bytes % BYTES_PER_MB and size_bytes % MIB == 0:
        return f"{size_bytes // MIB}Mi"
    return f"{in_units(size_bytes, BYTES_PER_MB)}M"


def _whole(value: float | None, unit: int) -> int | None:
    """``value`` whole units, in what they are made of."""
    return None if value is None else math.ceil(value * unit - 1e-6)
