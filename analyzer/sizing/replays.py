"""A step's own history in words: what would have been asked for before each of its runs, and what came of it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.rounding import two_figures
from stepsize.model import BYTES_PER_MB
from stepsize.sizes import GIB, gb_hours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.static import Replayed

NEWEST_RUNS = 20
"""Runs that are looked at: what came before says little of what comes next."""
_FEWEST_RUNS = 2


def replays(replayed: Sequence[Replayed], *, taught: bool) -> tuple[str, ...]:
    """A sentence on these runs, where there are two of them; ``taught``: other steps, as known today, had a say."""
    if len(replayed) < _FEWEST_RUNS:
        return ()
    asked = sorted(run.request_bytes / BYTES_PER_MB for run in replayed)
    sizes = f"{asked[0]:,.0f} MB" if asked[0] == asked[-1] else f"{asked[0]:,.0f} to {asked[-1]:,.0f} MB"
    tasks, missed = sum(run.tasks for run in replayed), sum(run.too_small for run in replayed)
    likely = math.fsum(run.expected_too_small for run in replayed)
    held = gb_hours(math.fsum(run.allocated_byte_hours for run in replayed) / GIB)
    used = gb_hours(math.fsum(run.used_byte_hours for run in replayed) / GIB)
    requested = [run.requested_byte_hours for run in replayed if run.requested_byte_hours is not None]
    beside = f", {gb_hours(math.fsum(requested) / GIB)} requested" if len(requested) == len(replayed) else ""
    least = f"{missed:,} of {tasks:,} tasks ({two_figures(likely)} expected)"
    others = " (other steps as known today)" if taught else ""
    asked_for = f"Its last {len(replayed)} runs under what would have been asked for before each{others}"
    return (f"{asked_for}: {sizes}, too little for {least}; {held} held{beside}, {used} used.",)
