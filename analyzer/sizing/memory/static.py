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
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.between_runs import between_runs
from stepsize.analyzer.sizing.memory.history import Task
from stepsize.analyzer.sizing.memory.learner import Settings, Sized, static_predictors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.sizing.memory.between_runs import BetweenRuns
    from stepsize.analyzer.sizing.memory.history import Finished
    from stepsize.analyzer.sizing.memory.learner import StepLearner
    from stepsize.analyzer.sizing.memory.proposal import Growth, Proposal

OOM_BUMP = 1.25
"""How much more than the limit it had a task that ran out of memory is taken to need."""
_NEEDS_KEPT_RUNS = 30
"""A task that never ended well raises the request for so many runs; whatever made it so is gone by then."""
_EVERY_TASK = 100_000
_RUN_LOST = 2.0
"""A failed task fails its run: it costs so many times what it costs where only the task goes again."""
_CHANCE_OF_CHANGE = 0.002
"""Runs that lie apart from all those before them so unlikely by chance are of another step, from then on."""
FEWEST_BELOW = 5
"""Less is asked for after so many runs that all needed less: to wait costs memory, to be wrong costs a run."""
_ONE_SIDE = 0.05
_HALVINGS = 40
_BEYOND_SHARE, _BEYOND_INDEX = 0.05, 2.0
"""Of the tasks that went above all before them, the share that went above e times the largest, and how fast it falls
from there (a Pareto index). Of 42,361 records 3 to 7 % did, after whatever number of tasks (``docs/sizing.md``)."""
_FEW_RUNS = 4
_ANY = Task(requested_bytes=math.inf)
_UNSIZED = Sized(_ANY, math.inf)
"""A static request knows nothing of the task, and is no news to the learner: it proposes the same to every task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run tells of a step.

    Attributes:
        run: which.
        finished: its tasks that ended well.
        needs_bytes: of those that never did (:func:`need_bytes`).
        again_bytes: what tasks needed that ended well in the end, though an attempt had run out of more than they took.
    """

    run: str
    finished: tuple[Finished, ...] = ()
    needs_bytes: tuple[float, ...] = ()
    again_bytes: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One past run under the request that would have stood before it.

    Attributes:
        run: which.
        request_bytes: what would have been asked for.
        tasks: those that ended, and those that never ended well.
        too_small: for how many of them it would not have been enough.
        expected_too_small: how many of them were to be expected.
        allocated_byte_hours: it, held for the run time of each task that ended well; those it was too small for are
            counted with what they used.
        requested_byte_hours: the same of what had been asked for; None where that is not known of all of them.
        used_byte_hours: their peaks, held for their run times.
    """

    run: str
    request_bytes: float
    tasks: int
    too_small: int
    expected_too_small: float
    allocated_byte_hours: float
    requested_byte_hours: float | None
    used_byte_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Static:
    """The request for the next run.

    Attributes:
        request_bytes: what to ask for.
        tasks, runs: what it stands on: those that ended well since the last change of the step.
        largest_bytes: the largest peak since then.
        highs_bytes: the largest peak of each of these runs; where the step grows, as they would be in the next.
        needs_bytes: of attempts that never ended well, the largest of each of the newest runs.
        next_run: how far these runs lie apart, and so the next one.
        replayed: the runs but the first, each under the request that would have stood before it.
    """

    request_bytes: float
    tasks: int
    runs: int
    largest_bytes: float
    highs_bytes: tuple[float, ...]
    needs_bytes: tuple[float, ...]
    proposal: Proposal
    next_run: BetweenRuns
    replayed: tuple[Replayed, ...] = ()

    def failure_share(self, request_bytes: float) -> float:
        """Of next tasks, those expected to need more than ``request_bytes``; tasks that never ended well count in.

        The larger of what tasks and runs say: tasks of a run are alike, the next run need not be.
        """
        return max(
            self.share_by_tasks(request_bytes), self._with_unmet(self._share_of_runs(request_bytes), request_bytes)
        )

    @property
    def growth(self) -> Growth | None:
        """What runs to come are expected to take, where the step grows from run to run."""
        return self.proposal.growth

    def share_of_last(self, request_bytes: float) -> float:
        """Of the tasks of the last run that is sized for, those expected to need more by their distribution."""
        growth = self.growth
        return self.share_by_tasks(request_bytes) if growth is None else growth.last.share_above(request_bytes)

    def share_by_tasks(self, request_bytes: float) -> float:
        """The same by the distribution that the request was picked from."""
        share = max(self.proposal.share_above(request_bytes), self._share_beyond(request_bytes))
        return self._with_unmet(share, request_bytes)

    def _with_unmet(self, share: float, request_bytes: float) -> float:
        unmet = sum(need > request_bytes for need in self.needs_bytes)
        return (self.tasks * share + unmet) / (self.tasks + unmet)

    def _share_of_runs(self, request_bytes: float) -> float:
        """By how far runs lie apart; no more than how often tasks did go above the largest peak before leaves.

        It counts the less the more of the step's own next runs were seen: on recorded tasks it expects too much.
        """
        reference = self.proposal.reference_bytes
        often = self.proposal.share_above(reference)
        above, of_largest = self.next_run.share_above(request_bytes), self.next_run.share_above(reference)
        weight = min(1.0, _FEW_RUNS / self.runs)
        return weight * min(above, often * min(1.0, above / of_largest)) if of_largest > 0 else 0.0

    def _share_beyond(self, request_bytes: float) -> float:
        """The least share above a request however large: the tail of the grid ends at e times the largest peak."""
        reference = self.proposal.reference_bytes
        beyond = min(1.0, math.e * reference / request_bytes) ** _BEYOND_INDEX
        return float(_BEYOND_SHARE * self.proposal.share_above(reference) * beyond)

    def failure_range(self, request_bytes: float) -> tuple[float, float]:
        """Between which shares :meth:`failure_share` may well lie: 90 % of the time at least, if runs are alike.

        Each run is one observation, whatever it holds, and nothing is taken for granted of how peaks are spread: the
        upper end is that of the share of *runs* with a task that needs more (Clopper and Pearson), of which tasks are
        no larger share. Where none needed more, none may.
        """
        above = sum(peak > request_bytes for peak in (*self.highs_bytes, *self.needs_bytes))
        runs = self.runs + len([need for need in self.needs_bytes if need > request_bytes])
        share = self.failure_share(request_bytes)
        low = share * _least_share(above, runs) * runs / above if above else 0.0
        return low, max(share, 1.0 - _least_share(runs - above, runs))


def static_settings(
    failure_price: float, time_to_failure: float = 1.0, *, cold_start: bool = True, ahead: int = 1
) -> Settings:
    """How steps learn that have one request for all of their tasks of so many runs to come."""
    return Settings(
        _RUN_LOST * failure_price,
        time_to_failure,
        cold_start,
        below_request=False,
        predictors=partial(static_predictors, ahead),
        window=_EVERY_TASK,
        new_share=0.0,
        chance_of_change=_CHANCE_OF_CHANGE,
        fewest_below=FEWEST_BELOW,
    )


def need_bytes(reached_bytes: float, exceeded_limit_bytes: float | None) -> float:
    """The least that a task needed which never ended well: what it reached, or more than the limit that it exceeded."""
    return max(reached_bytes, OOM_BUMP * (exceeded_limit_bytes or 0.0))


def size_step(
    step: StepLearner,
    runs: Sequence[Run],
    *,
    fewest_tasks: int = 1,
    replays: int | None = None,
    round_up: Callable[[float], float] = lambda size_bytes: size_bytes,
    taught: Callable[[int], bool] = lambda runs: False,  # noqa: ARG005 -- for however many runs
) -> Static | None:
    """One request for the run after these; None where no task ended well.

    The newest ``replays`` runs (None: all) are replayed, as far as ``fewest_tasks`` had ended well before them, under a
    request that was ``round_up``. ``taught``: whether other steps teach what came after so many runs.
    """
    replayed = []
    seen = _Seen(taught)
    for number, run in enumerate(runs):
        is_replayed = replays is None or number >= len(runs) - replays
        if is_replayed and run.finished and step.history.count >= max(1, fewest_tasks):
            before = seen.static(step)
            replayed.append(_replay(run, before, round_up(before.request_bytes)))
        if run.finished:
            seen.starts.append(step.history.count)
            seen.highs_bytes.append(max(finished.peak_bytes for finished in run.finished))
            step.learn([(_UNSIZED, finished) for finished in run.finished])
        seen.needs_bytes.append(max([*run.needs_bytes, *run.again_bytes], default=0.0))
    return replace(seen.static(step), replayed=tuple(replayed)) if step.history.count else None


@dataclass(slots=True)
class _Seen:
    """What was seen beside the step's history: of each run with a task that ended well, how many tasks were known
    before and its largest peak; of each of the newest, what was too little."""

    taught: Callable[[int], bool]
    starts: list[int] = field(default_factory=list)
    highs_bytes: list[float] = field(default_factory=list)
    needs_bytes: deque[float] = field(default_factory=lambda: deque(maxlen=_NEEDS_KEPT_RUNS))

    def static(self, step: StepLearner) -> Static:
        proposal = step.size(_ANY).proposal
        if proposal is None:
            raise AssertionError("a step with a history is sized from it")
        history, growth = step.history, proposal.growth
        runs = history.alike_batches
        first = self.starts[-runs]
        highs_bytes = self.highs_bytes[-runs:]
        largest_bytes = max(highs_bytes)
        log_peaks, starts = history.log_peaks(history.count - first), [start - first for start in self.starts[-runs:]]
        if growth is not None:
            log_peaks, starts = growth.log_peaks, list(growth.starts)
            highs_bytes = np.exp(np.maximum.reduceat(log_peaks, starts)).tolist()
        return Static(
            request_bytes=max([proposal.request_bytes, *self.needs_bytes]),
            tasks=len(log_peaks),
            runs=len(starts),
            largest_bytes=largest_bytes,
            highs_bytes=tuple(highs_bytes),
            needs_bytes=tuple(need for need in self.needs_bytes if need),
            proposal=proposal,
            next_run=between_runs(log_peaks, starts, taught=self.taught(len(starts))),
        )


def _replay(run: Run, before: Static, request_bytes: float) -> Replayed:
    """The run, under a request that knew nothing of it."""
    needed = [*(finished.peak_bytes for finished in run.finished), *run.needs_bytes]
    requested = math.fsum(finished.task.requested_bytes * finished.hours for finished in run.finished)
    return Replayed(
        run=run.run,
        request_bytes=request_bytes,
        tasks=len(needed),
        too_small=sum(need > request_bytes for need in needed),
        expected_too_small=len(needed) * before.failure_share(request_bytes),
        allocated_byte_hours=math.fsum(max(request_bytes, f.peak_bytes) * f.hours for f in run.finished),
        requested_byte_hours=requested if math.isfinite(requested) else None,
        used_byte_hours=math.fsum(finished.used_byte_hours for finished in run.finished),
    )


def _least_share(seen: int, of: int) -> float:
    """The lower end, at 95 %, of a share of which ``seen`` were seen among so many (Clopper, Pearson, Biometrika 26(4),
    1934)."""
    if not seen:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        as_many = math.fsum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(seen, of + 1))
        low, high = (share, high) if as_many < _ONE_SIDE else (low, share)
    return low
