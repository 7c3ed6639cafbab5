"""One request for every task of a step, as ``@resources`` carries it, and what it would have been before each past run.

What comes in: the runs of a step in the order in which they began, with the tasks that ended well, and the needs of
tasks that never did. What goes out: a frozen :class:`Static`. Pure.

Metaflow gives a task that ran out of memory no more of it on a retry, so what is too small fails the whole run: a
failure costs twice what it costs where tasks are sized one by one, and a request is never under the largest peak that
it stands on.

A task that never ended well still says how much was too little. Its need is the least that will do: what it had reached
when it was cut off, or, where it ran out of memory, a quarter more than the limit that was not enough (the bump of
Robusta's KRR; Kubernetes' VPA takes a fifth). So such a task can raise a request and never lower it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.history import Task
from stepsize.analyzer.sizing.memory.learner import Settings, Sized, static_predictors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.history import Finished
    from stepsize.analyzer.sizing.memory.learner import StepLearner
    from stepsize.analyzer.sizing.memory.proposal import Proposal

OOM_BUMP = 1.25
"""How much more than the limit it had a task that ran out of memory is taken to need."""
_EVERY_TASK = 100_000
_RUN_LOST = 2.0
"""A failed task fails its run: it costs so many times what it costs where only the task goes again."""
_PREFERENCE = 0.85
_Z_90 = 1.645
_ANY = Task(requested_bytes=math.inf)
_UNSIZED = Sized(_ANY, math.inf)
"""A first run is learned from without having been sized."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run tells of a step. ``needs_bytes``: of its tasks that never ended well (:func:`need_bytes`)."""

    run: str
    finished: tuple[Finished, ...] = ()
    needs_bytes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One past run under the request that would have stood before it."""

    run: str
    request_bytes: float
    tasks: int
    too_small: int
    """Tasks whose peak was above the request."""
    allocated_byte_hours: float
    """The request held for each task's run time, those it was too small for at what they used."""
    used_byte_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """The request for the next run.

    Attributes:
        request_bytes: what to ask for.
        expected_bytes: the part of it that tasks which ended well stand behind; less where needs raised it.
        tasks, runs: what it stands on.
        needs_bytes: of the tasks that never ended well.
        replayed: the runs but the first, each under the request that would have stood before it.
    """

    request_bytes: float
    expected_bytes: float
    tasks: int
    runs: int
    needs_bytes: tuple[float, ...]
    replayed: tuple[Replayed, ...]
    proposal: Proposal

    def failure_share(self, request_bytes: float) -> float:
        """Of next tasks, those expected to need more than ``request_bytes``; tasks that never ended well count in."""
        unmet = sum(need > request_bytes for need in self.needs_bytes)
        return (self.tasks * self.proposal.share_above(request_bytes) + unmet) / (self.tasks + unmet)

    def failure_range(self, request_bytes: float) -> tuple[float, float]:
        """The 90 % interval of :meth:`failure_share`."""
        return _wilson(self.failure_share(request_bytes), self.tasks + 1)


def static_settings(failure_price: float, time_to_failure: float = 1.0, *, cold_start: bool = True) -> Settings:
    """How steps learn that have one request for all of their tasks."""
    return Settings(
        _RUN_LOST * failure_price,
        time_to_failure,
        cold_start,
        predictors=static_predictors,
        preference=_PREFERENCE,
        window=_EVERY_TASK,
    )


def need_bytes(reached_bytes: float, exceeded_limit_bytes: float | None) -> float:
    """The least that a task needed which never ended well: what it reached, or more than the limit that it exceeded."""
    return max(reached_bytes, OOM_BUMP * (exceeded_limit_bytes or 0.0))


def size_step(step: StepLearner, runs: Sequence[Run]) -> Static | None:
    """One request for the run after these; None where no task ended well."""
    replayed = []
    needs: list[float] = []
    before: Sized | None = None
    for run in runs:
        if run.finished:
            before = step.size(_ANY) if step.history.count else None
            if before is not None:
                replayed.append(_replay(run, max([before.request_bytes, *needs])))
            step.learn([(before or _UNSIZED, finished) for finished in run.finished])
        needs.extend(run.needs_bytes)
    if not step.history.count:
        return None
    now = step.size(_ANY)
    if now.proposal is None:
        raise AssertionError("a step with a history is sized from it")
    return Static(
        request_bytes=max([now.request_bytes, *needs]),
        expected_bytes=now.request_bytes,
        tasks=step.history.count,
        runs=step.history.batches,
        needs_bytes=tuple(needs),
        replayed=tuple(replayed),
        proposal=now.proposal,
    )


def _replay(run: Run, request_bytes: float) -> Replayed:
    """The run, under a request that knew nothing of it."""
    return Replayed(
        run=run.run,
        request_bytes=request_bytes,
        tasks=len(run.finished),
        too_small=sum(finished.peak_bytes > request_bytes for finished in run.finished),
        allocated_byte_hours=math.fsum(max(request_bytes, f.peak_bytes) * f.hours for f in run.finished),
        used_byte_hours=math.fsum(finished.used_byte_hours for finished in run.finished),
    )


def _wilson(share: float, tasks: int) -> tuple[float, float]:
    """A 90 % interval of a share that so many tasks stand behind (Wilson, J. Am. Stat. Assoc. 22(158), 1927)."""
    square = _Z_90**2 / tasks
    middle = (share + square / 2) / (1 + square)
    half = _Z_90 / (1 + square) * math.sqrt(share * (1 - share) / tasks + square / (4 * tasks))
    return max(0.0, middle - half), min(1.0, middle + half)
