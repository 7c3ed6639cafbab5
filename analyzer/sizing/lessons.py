"""What steps teach each other: the part of the evidence that is not of the step itself.

What comes in: counts. What goes out: a frozen :class:`Lessons`, and from it the workspace in which a step is sized.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.learner import Mean, Settings, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.analyzer.usage import StepEvidence


class FlowKey(NamedTuple):
    """A flow of one history: its project, whether it is production, its name."""

    project: str | None
    production: bool
    flow: str


@dataclass(frozen=True, slots=True)
class Lessons:
    """How tasks went above what was known of their steps, and what a typical task of each flow holds.

    Without an argument: nothing is known of other steps, and a step is sized from its own tasks alone.
    """

    exceedances: Exceedances = field(default_factory=Exceedances)
    flows: Mapping[FlowKey, Mean] = field(default_factory=dict)

    def batches(self, known_batches: int) -> float:
        """How many runs of all steps were compared with as many runs before them as ``known_batches``, or about."""
        return self.exceedances.at(known_batches)[0]

    def beside(self, evidence: StepEvidence) -> Lessons:
        """What the others teach the step of ``evidence``: all but what it did itself.

        Its own runs are counted where it is sized; what came after one of them would else be known before it.
        """
        own = _counted(evidence)
        return replace(self, exceedances=self.exceedances.without(own)) if self.flows else self

    def workspace(self, settings: Settings, flow: FlowKey) -> Workspace:
        """A workspace for steps of ``flow`` that knows these lessons; steps sized in it add nothing to them.

        What a failure costs is said in typical tasks of this flow alone: others of the lake may be a thousand times as
        large or small.
        """
        mean = self.flows.get(flow)
        if mean is None:
            return Workspace(settings=settings)
        return Workspace(
            settings=settings, exceedances=self.exceedances, all_flows=mean, flows={flow.flow: mean}, is_taught=True
        )


def _counted(evidence: StepEvidence) -> Exceedances:
    """How tasks went above what was known of the step, counted as ``sql/lessons.sql`` does over all steps."""
    runs: dict[tuple[str, str], dict[str, int]] = {}
    began: dict[tuple[str, str], float] = {}
    for attempt in evidence.succeeded:
        peak = attempt.memory_peak_bytes
        if peak and attempt.duration_s:
            run = attempt.run, attempt.owner
            tasks = runs.setdefault(run, {})
            tasks[attempt.task] = max(peak, tasks.get(attempt.task, 0))
            started_s = -math.inf if attempt.started_at_s is None else attempt.started_at_s
            began[run] = min(started_s, began.get(run, math.inf))
    own, largest = Exceedances(), 0
    for known, run in enumerate(sorted(runs, key=lambda run: (began[run], run))):
        peaks = np.array(list(runs[run].values()), dtype=np.float64)
        if known:
            own.add(known, np.log(peaks / largest))
        largest = max(largest, int(peaks.max()))
    return own


ALONE = Lessons()
"""Nothing is known of other steps."""
