"""A step's attempts as runs of finished tasks: what the memory engine learns from.

What comes in: evidence, and which level to read (memory, VRAM, disk). What goes out: frozen :class:`Run` values in the
order in which the runs began. Pure.

An attempt of a task is one observation of what the task takes, if it ended well; a task that never did says what was
too little. Attempts that were overtaken by a success of their task say nothing more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.static import Run, need_bytes
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.usage import Attempt, StepEvidence

_SECONDS_PER_HOUR = 3600
_SHORTEST_S = 1e-3
_TASK = Task(requested_bytes=math.inf)


def runs_of(evidence: StepEvidence, read: Callable[[Attempt], int | None], *, oom: bool = False) -> list[Run]:
    """The runs of a step by the level that ``read`` takes from an attempt; ``oom``: whether its limit kills."""
    runs: dict[tuple[str, str], dict[tuple[str, str, str], list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    began: dict[tuple[str, str], float] = {}
    for attempt in evidence.ended:
        runs[attempt.run_key][attempt.task_key].append(attempt)
        started = -math.inf if attempt.started_at_s is None else attempt.started_at_s
        began[attempt.run_key] = min(started, began.get(attempt.run_key, math.inf))
    in_order = sorted(runs, key=lambda run: (began[run], run))
    return [_run(run[0], [runs[run][task] for task in sorted(runs[run])], read, oom=oom) for run in in_order]


def _run(run: str, tasks: Sequence[Sequence[Attempt]], read: Callable[[Attempt], int | None], *, oom: bool) -> Run:
    finished, needs = [], []
    for attempts in tasks:
        ended_well = [attempt for attempt in attempts if attempt.outcome is Outcome.OK]
        peaks = [peak for attempt in ended_well if (peak := read(attempt))]
        if peaks:
            seconds = max((attempt.duration_s or 0.0 for attempt in ended_well), default=0.0)
            finished.append(Finished(_TASK, float(max(peaks)), max(seconds, _SHORTEST_S) / _SECONDS_PER_HOUR))
        elif not ended_well:
            needs.append(max(_need(attempt, read, oom=oom) for attempt in attempts))
    return Run(run=run, finished=tuple(finished), needs_bytes=tuple(need for need in needs if need > 0))


def _need(attempt: Attempt, read: Callable[[Attempt], int | None], *, oom: bool) -> float:
    reached = float(read(attempt) or 0)
    if not oom or attempt.outcome is not Outcome.OOM:
        return reached
    limit = attempt.memory_limit_bytes or attempt.requested_memory_bytes
    return need_bytes(reached, max(float(limit or 0), reached))
