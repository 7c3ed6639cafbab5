"""What the live page shows, as frozen records.

What comes in: nothing. What goes out: types. Pure. Memory is in bytes, CPU in cores; None is "not known".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

BUCKETS = 60
"""Parts of a curve."""
WINDOW_S = 600
"""What a curve covers."""


@dataclass(frozen=True, slots=True)
class StepName:
    """A step of a run."""

    flow: str
    run: str
    step: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The highest value of each part of the last `WINDOW_S`, the oldest first; None where there is no point."""

    values: Sequence[float | None]

    @property
    def newest(self) -> float | None:
        """The newest value."""
        return next((value for value in reversed(self.values) if value is not None), None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a task, as `tasks` has it."""

    of: StepName
    task: str
    attempt: int
    item: str | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    outcome: str | None
    cpu_mean: float | None
    requested_cpu: float | None
    cpu_limit: float | None
    memory_peak_bytes: int | None
    requested_memory_bytes: int | None
    memory_limit_bytes: int | None
    gpus: float | None
    """Asked for, or in use."""
    has_gpus: bool | None
    """Whether any are, or anything was told of them."""
    host: str | None
    project: str | None
    branch: str | None
    user: str | None
    is_shared: bool
    """Whether another one that runs has the same names."""


@dataclass(frozen=True, slots=True)
class Group:
    """The running attempts of one step of one run, and those of them that are listed."""

    of: StepName
    running: int
    hosts: int
    since: dt.datetime | None
    cpu: float | None
    """Their mean cores, added up."""
    memory_peak_bytes: int | None
    """The highest peak of one of them."""
    memory_share: float | None
    """The highest peak as a share of what that attempt may have."""
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class Curves:
    """CPU, memory, GPUs (busy, all together) and their memory, of one attempt."""

    cpu: Curve
    memory: Curve
    gpu: Curve
    gpu_memory: Curve


@dataclass(frozen=True, slots=True)
class Totals:
    """What runs, and when anything was last heard of a running attempt."""

    running: int
    groups: int
    newest: dt.datetime | None
