"""A step's attempts as runs of finished tasks: what the memory engine learns from.

What comes in: evidence, and which level to read (memory, VRAM, disk). What goes out: frozen :class:`Run` values in the
order in which the runs began. Pure.

An attempt of a task is one observation of what the task takes, if it ended well; a task that never did says what was
too little. Of a task that went well in the end, an attempt that ran out of memory still counts where its limit is above
what the task then took: it may take as much again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.history import Finished, Task
from stepsize.analyzer.sizing.memory.static import Run, need_bytes
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.usage import Attempt, StepEvidence

_SECONDS_PER_HOUR = 3600
_SHORTEST_S = 1e-3


Reader = Callable[["Attempt"], "int | None"]
"""Takes a level in bytes from an attempt; None where it was not read."""


def runs_of(evidence: StepEvidence, read: Reader, requested: Reader, *, kills: bool = False) -> list[Run]:
    """The runs of a step, by the level that ``read`` takes from an attempt.

    ``requested`` takes what it asked for of that level; ``kills`` says whether too little of it kills a task.
    """
    level = _Level(read, requested, kills=kills)
    runs: dict[tuple[str, str], dict[tuple[str, str, str], list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    began: dict[tuple[str, str], float] = {}
    for attempt in evidence.ended:
        runs[attempt.run_key][attempt.task_key].append(attempt)
        started = -math.inf if attempt.started_at_s is None else attempt.started_at_s
        began[attempt.run_key] = min(started, began.get(attempt.run_key, math.inf))
    in_order = sorted(runs, key=lambda run: (began[run], run))
    return [level.run(run[0], [runs[run][task] for task in sorted(runs[run])]) for run in in_order]


@dataclass(frozen=True, slots=True)
class _Level:
    read: Reader
    requested: Reader
    kills: bool

    def run(self, run: str, tasks: Sequence[Sequence[Attempt]]) -> Run:
        finished: list[Finished] = []
        needs, again = [], []
        for attempts in tasks:
            ended_well = [attempt for attempt in attempts if attempt.outcome is Outcome.OK]
            if not ended_well:
                needs.append(max(self._need(attempt) for attempt in attempts))
                continue
            of_task = self._finished(ended_well)
            finished += of_task
            took = max((one.peak_bytes for one in of_task), default=math.inf)
            again += [self._need(attempt) for attempt in attempts if self._limit(attempt) > took]
        return Run(
            run=run,
            finished=tuple(finished),
            needs_bytes=tuple(need for need in needs if need > 0),
            again_bytes=tuple(again),
        )

    def _finished(self, attempts: Sequence[Attempt]) -> list[Finished]:
        """One task that ended well; nothing where its peak was not read or is zero, of which a size has no ratio."""
        peak = max((self.read(attempt) or 0.0 for attempt in attempts), default=0.0)
        if peak <= 0:
            return []
        newest = max(attempts, key=lambda attempt: attempt.attempt)
        asked = self.requested(newest)
        seconds = max(attempt.duration_s or 0.0 for attempt in attempts)
        task = Task(
            requested_bytes=math.inf if asked is None else float(asked),
            item=newest.item,
            run=newest.run,
            code_version=newest.code_version,
        )
        return [Finished(task, float(peak), max(seconds, _SHORTEST_S) / _SECONDS_PER_HOUR)]

    def _limit(self, attempt: Attempt) -> float:
        """What an attempt ran out of; zero where it did not."""
        return float(attempt.memory_limit_bytes or self.requested(attempt) or 0) if self._ran_out(attempt) else 0.0

    def _need(self, attempt: Attempt) -> float:
        reached = float(self.read(attempt) or 0)
        return need_bytes(reached, max(self._limit(attempt), reached)) if self._ran_out(attempt) else reached

    def _ran_out(self, attempt: Attempt) -> bool:
        return self.kills and attempt.outcome is Outcome.OOM
