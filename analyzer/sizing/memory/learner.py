"""Steps that learn from their tasks and from each other: requests for tasks to come.

What comes in: tasks to size, and finished ones, a batch at a time. What goes out: requests, in bytes. Holds the history
of each step, nothing of the lake; asks no clock, draws no lots.

A workspace is what shares its experience: the flows of a lake, or the rows of one file of a backtest. What a failure
costs is said in tasks: ``failure_price`` times the byte hours that a typical task of the flow uses. A failure of a
small task costs as much attention as one of a large task, while memory for the small one is nearly free: so the small
get wide margins and the large get narrow ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.cold_start import below_request, from_siblings
from stepsize.analyzer.sizing.memory.competition import Competition
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.history import History
from stepsize.analyzer.sizing.memory.predictors.base import WINDOW, Evidence
from stepsize.analyzer.sizing.memory.predictors.by_input import AlongCurve, Neighbours, line_in, power_of
from stepsize.analyzer.sizing.memory.predictors.constant import Constant, Recent
from stepsize.analyzer.sizing.memory.predictors.growing import Growing
from stepsize.analyzer.sizing.memory.predictors.same_item import SameItem
from stepsize.analyzer.sizing.memory.predictors.same_word import SameWord
from stepsize.analyzer.sizing.memory.proposal import Terms
from stepsize.analyzer.sizing.memory.regime import Regime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Stopped, Task
    from stepsize.analyzer.sizing.memory.predictors.base import Predictor
    from stepsize.analyzer.sizing.memory.proposal import Proposal

_ROUNDING = 1e-9
_FEW_BATCHES = 256
"""A step with no more is fitted whenever it is due; with more, so that its tasks pay the same each, however many."""
_FLOW_WEIGHT = 10.0
"""As many typical tasks of the workspace stand in for a flow's own while it has few."""


def every_predictor() -> tuple[Predictor, ...]:
    """The predictors that compete where tasks are sized one by one; the first always has something to say."""
    return (
        Constant(),
        Recent(),
        SameItem(),
        AlongCurve(line_in),
        AlongCurve(power_of),
        Neighbours(),
        SameWord(),
    )


def static_predictors(ahead: int = 1) -> tuple[Predictor, ...]:
    """What sizes a step that has one request for all of its tasks of so many runs to come, where what is too small
    fails its run.

    It alone: one that looks at the newest runs only loses what comes again now and then (a month's end).
    """
    return (Growing(ahead),)


@dataclass(frozen=True, slots=True)
class Settings:
    """How steps learn.

    Attributes:
        failure_price: what a failed attempt costs, in typical tasks of the flow.
        time_to_failure: the share of the run time after which an attempt that is too small fails.
        cold_start: whether siblings help a step that has not run yet.
        below_request: whether a step that has not run yet may get less than was asked for it before any sibling ran.
        predictors: makes those that compete on a step; the first always has something to say.
        preference: how much of the first one's cost another may have before it is followed.
        window: how many tasks predictors look back.
        new_share: predictors are fitted again when so large a share of the batches is new, or a task went above its
            request; 0 is at every batch.
        chance_of_change: so unlikely have the newest tasks to be to count as a change of the step that nobody
            announced; 0 looks for changes at new versions of the code only (:mod:`.regime`).
        fewest_below: so many batches have to lie below all others to show that less is needed now.
    """

    failure_price: float
    time_to_failure: float = 1.0
    cold_start: bool = True
    below_request: bool = True
    predictors: Callable[[], Sequence[Predictor]] = every_predictor
    preference: float = 0.97
    window: int = WINDOW
    new_share: float = 1 / 32
    chance_of_change: float = 0.0
    fewest_below: int = 1


@dataclass(frozen=True, slots=True)
class Sized:
    """A task and what was asked for it: in ``requests`` by every predictor, in ``proposal`` by the one followed."""

    task: Task
    request_bytes: float
    requests: tuple[float | None, ...] = ()
    proposal: Proposal | None = None
    predictor: int = 0


@dataclass(slots=True)
class Mean:
    """A mean of byte hours over tasks."""

    byte_hours: float = 0.0
    tasks: int = 0

    def add(self, finished: Finished) -> None:
        """One more task."""
        self.byte_hours += finished.used_byte_hours
        self.tasks += 1


@dataclass(slots=True, kw_only=True)
class Workspace:
    """Everything learned of the steps of its flows.

    Attributes:
        settings: how its steps learn.
        exceedances: how tasks of all steps went above what was known of theirs.
        first: the first finished task of each step.
        all_flows, flows: what a task holds on average, over all and by flow.
        is_taught: whether all of this is known beforehand, so that what its steps learn adds nothing to it.
    """

    settings: Settings
    exceedances: Exceedances = field(default_factory=Exceedances)
    first: list[Finished] = field(default_factory=list)
    all_flows: Mean = field(default_factory=Mean)
    flows: dict[str, Mean] = field(default_factory=dict)
    is_taught: bool = False

    def step(self, flow: str, *, lost_share: float = 1.0) -> StepLearner:
        """A step of ``flow`` of which nothing is known yet.

        ``lost_share``: of what a failed attempt did, the share that has to be done again; less than all of it where
        checkpoints save the rest.
        """
        return StepLearner(self, flow, lost_share)

    def terms(self, flow: str, lost_share: float = 1.0, typical: float = 0.0) -> Terms:
        """What a failure costs in ``flow`` that loses so large a share of what was done.

        ``typical`` byte hours are what a task holds, as long as none is known.
        """
        if self.all_flows.tasks:
            typical = self.all_flows.byte_hours / self.all_flows.tasks
        own = self.flows.get(flow, Mean())
        mean = (own.byte_hours + _FLOW_WEIGHT * typical) / (own.tasks + _FLOW_WEIGHT)
        return Terms(self.settings.failure_price * mean * lost_share, self.settings.time_to_failure * lost_share)

    def learn(self, flow: str, known_batches: int, log_ratios: Floats | None, batch: Sequence[Finished]) -> None:
        """Tasks of a step of ``flow``, known at once, and their peaks over the largest before; None where they are the
        first."""
        if self.is_taught:
            return
        if log_ratios is None:
            self.first.append(batch[0])
        else:
            self.exceedances.add(known_batches, log_ratios)
        own = self.flows.setdefault(flow, Mean())
        for finished in batch:
            self.all_flows.add(finished)
            own.add(finished)


class StepLearner:
    """One step of a workspace."""

    def __init__(self, workspace: Workspace, flow: str, lost_share: float) -> None:
        settings = workspace.settings
        self.history = History(Regime(settings.chance_of_change, settings.fewest_below))
        self._workspace = workspace
        self._flow = flow
        self._lost_share = lost_share
        self._own = Exceedances(workspace.exceedances.prior)
        self._predictors = tuple(workspace.settings.predictors())
        self._competition = Competition(len(self._predictors), workspace.settings.preference)
        self._fitted_at = 0
        self._fitted_tasks = 0
        self._surprised = False

    def size(self, task: Task) -> Sized:
        """A request for ``task``, from what is known now."""
        if not self.history.count:
            return self._first(task)
        self._fit_where_due()
        proposals = [predictor.propose(task) for predictor in self._predictors]
        requests = tuple(None if proposal is None else proposal.request_bytes for proposal in proposals)
        best = self._competition.best(requests, self.history.count)
        proposal = proposals[best]
        if proposal is None:
            raise AssertionError("the first predictor always has something to say")
        return Sized(task, proposal.request_bytes, requests, proposal, best)

    def retry(self, sized: Sized, failed_bytes: float) -> float:
        """What to allocate after an attempt of ``sized`` with ``failed_bytes`` was too small."""
        return 2 * failed_bytes if sized.proposal is None else sized.proposal.after(failed_bytes)

    def learn(self, batch: Sequence[tuple[Sized, Finished]]) -> None:
        """Tasks that ended well, known at the same time, each with what had been asked for it."""
        tasks = [finished for _, finished in batch]
        history, terms = self.history, self._terms()
        above = None
        if history.count:
            above = np.log(np.array([finished.peak_bytes for finished in tasks])) - math.log(history.largest_bytes)
            self._own.add(history.batches, above)
        self._workspace.learn(self._flow, history.batches, above, tasks)
        for sized, finished in batch:
            if sized.requests:
                self._competition.learn(sized.requests, finished.peak_bytes, finished.hours, terms)
            self._surprised = self._surprised or finished.peak_bytes > sized.request_bytes
        history.add(tasks)

    def learn_stopped(self, batch: Sequence[Stopped]) -> None:
        """Tasks that never ended well; a request is not lower for any of them."""
        for stopped in batch:
            self.history.add_stopped(stopped)
        self._surprised = self._surprised or bool(batch)

    def _first(self, task: Task) -> Sized:
        workspace = self._workspace
        asked = max([task.requested_bytes, *(_enough_after(stopped) for _, stopped in self.history.stopped)])
        if not workspace.settings.cold_start or self.history.stopped:
            return Sized(task, asked)
        if task.request_known and math.isfinite(asked) and workspace.settings.below_request:
            proposal: Proposal | None = below_request(workspace.first, task, self._terms)
        else:
            proposal = from_siblings(workspace.first, self._terms())
        if proposal is None or proposal.request_bytes >= asked * (1 - _ROUNDING):
            return Sized(task, asked)
        return Sized(task, proposal.request_bytes, (), proposal)

    def _fit_where_due(self) -> None:
        known, settings = self.history.batches, self._workspace.settings
        due = max(self._fitted_at + 1, self._fitted_at * (1 + settings.new_share))
        if (known < due and not self._surprised) or self._fits_too_often():
            return
        batches = self.history.alike_batches
        window = min(settings.window, self.history.tasks_in(batches))
        evidence = Evidence(self.history, self._own, self._workspace.exceedances, window, batches)
        terms = self._terms()
        for predictor in self._predictors:
            predictor.fit(evidence, terms)
        self._fitted_at, self._surprised = known, False
        self._fitted_tasks = self.history.count

    def _fits_too_often(self) -> bool:
        """Whether so few tasks of many are new that each would pay for too much of a fit, which goes through all."""
        history = self.history
        looked_at = min(history.count, self._workspace.settings.window)
        return history.batches > _FEW_BATCHES and (history.count - self._fitted_tasks) * WINDOW < looked_at

    def _terms(self, typical_byte_hours: float = 0.0) -> Terms:
        return self._workspace.terms(self._flow, self._lost_share, typical_byte_hours)


def _enough_after(stopped: Stopped) -> float:
    """What to give a step of which no task ended well: twice what ran out of memory, as much as others reached."""
    return 2 * stopped.at_least_bytes if stopped.ran_out else stopped.at_least_bytes
