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
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.usage import Attempt, StepEvidence

_SECONDS_PER_HOUR = 3600
_SHORTEST_S = 1e-3


Reader = Callable[["Attempt"], "int | None"]
"""Takes a level in bytes from an attempt; None where it was not read."""


def runs_of(
    evidence: StepEvidence, read: Reader, requested: Reader, *, newest: int | None = None, kills: bool = False
) -> list[Run]:
    """The runs of a step (the ``newest`` of them), by the level that ``read`` takes from an attempt.

    ``requested`` takes what it asked for of that level; ``kills`` says whether too little of it kills a task.
    """
    level = _Level(read, requested, kills=kills)
    runs: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in evidence.ended:
        runs[attempt.run, attempt.owner].append(attempt)
    in_order = sorted(runs, key=lambda run: (min(map(_started_s, runs[run])), run))
    return [level.run(run[0], _by_task(runs[run])) for run in in_order[-(newest or 0) :]]


def _started_s(attempt: Attempt) -> float:
    return -math.inf if attempt.started_at_s is None else attempt.started_at_s


def _by_task(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    """The attempts of each task of a run."""
    tasks: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        tasks.setdefault(attempt.task, []).append(attempt)
    return [tasks[task] for task in sorted(tasks)]


@dataclass(frozen=True, slots=True)
class _Level:
    read: Reader
    requested: Reader
    kills: bool

    def run(self, run: str, tasks: Sequence[Sequence[Attempt]]) -> Run:
        finished: list[Finished] = []
        needs, again = [], []
        alike: dict[tuple[int | None, str | None], Task] = {}
        for attempts in tasks:
            ended_well = [attempt for attempt in attempts if attempt.outcome is Outcome.OK]
            if not ended_well:
                needs.append(max(self._need(attempt) for attempt in attempts))
                continue
            of_task = self._finished(run, ended_well, alike)
            took = math.inf
            if of_task is not None:
                finished.append(of_task)
                took = of_task.peak_bytes
            if len(attempts) > len(ended_well):
                again += [self._need(attempt) for attempt in attempts if self._limit(attempt) > took]
        return Run(
            run=run,
            finished=tuple(finished),
            needs_bytes=tuple(need for need in needs if need > 0),
            again_bytes=tuple(again),
        )

    def _finished(
        self, run: str, attempts: Sequence[Attempt], alike: dict[tuple[int | None, str | None], Task]
    ) -> Finished | None:
        """One task that ended well; None where its peak was not read or is zero, of which a size has no ratio.

        ``alike``: the tasks of the run by what one request for all of them may know of each, so that a thousand of
        them are one object.
        """
        newest = attempts[0]
        peak, seconds = self.read(newest) or 0, newest.duration_s or 0.0
        for attempt in attempts[1:]:
            newest = max(newest, attempt, key=lambda one: one.attempt)
            peak, seconds = max(peak, self.read(attempt) or 0), max(seconds, attempt.duration_s or 0.0)
        if peak <= 0:
            return None
        known = self.requested(newest), newest.code_version
        task = alike.get(known)
        if task is None:
            asked = math.inf if known[0] is None else float(known[0])
            task = alike[known] = Task(requested_bytes=asked, run=run, code_version=newest.code_version)
        return Finished(task, float(peak), max(seconds, _SHORTEST_S) / _SECONDS_PER_HOUR)

    def _limit(self, attempt: Attempt) -> float:
        """What an attempt ran out of; zero where it did not."""
        return float(attempt.memory_limit_bytes or self.requested(attempt) or 0) if self._ran_out(attempt) else 0.0

    def _need(self, attempt: Attempt) -> float:
        reached = float(self.read(attempt) or 0)
        return need_bytes(reached, max(self._limit(attempt), reached)) if self._ran_out(attempt) else reached

    def _ran_out(self, attempt: Attempt) -> bool:
        return self.kills and attempt.outcome is Outcome.OOM
