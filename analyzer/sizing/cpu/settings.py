"""What waiting costs: the one knob of the advice on cores, its presets, and a budget in its place.

What comes in: names and numbers. What goes out: frozen settings. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSettings:
    """What the advice on cores is weighed by.

    Args:
        name: how the reasons call it.
        waiting_cores: what a second costs in which a task has fewer cores than it could use: as much as so many cores
            held for that second. A price in cores is the same in every cloud and currency.
        budget: where it is given, waiting has no price: the fastest number of cores is taken whose core time is at
            most so many times that of the cheapest one.

    Raises:
        UsageError: a price that is negative or not finite, a budget below one or not finite.
    """

    name: str
    waiting_cores: float
    budget: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.waiting_cores < math.inf:
            raise UsageError(f"the price of waiting is {self.waiting_cores:g} cores; it must be 0 or more")
        if self.budget is not None and not 1 <= self.budget < math.inf:
            raise UsageError(f"a budget of {self.budget:g} times the cheapest; it must be 1 or more, and finite")


CHEAP = CpuSettings(name="cheap", waiting_cores=4.0)
BALANCED = CpuSettings(name="balanced", waiting_cores=16.0)
SAFE = CpuSettings(name="safe", waiting_cores=64.0)
PRESETS: Mapping[str, CpuSettings] = {settings.name: settings for settings in (CHEAP, BALANCED, SAFE)}
"""By the names of the memory policies. ``benchmarks/results/cpu.md`` says what they were chosen by."""


def preset(name: str) -> CpuSettings:
    """The settings of a preset; those of ``safe`` for a policy of another name."""
    return PRESETS.get(name, SAFE)
