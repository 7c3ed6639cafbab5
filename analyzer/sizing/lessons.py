"""What steps teach each other: the part of the evidence that is not of the step itself.

What comes in: counts. What goes out: a frozen :class:`Lessons`, and from it the workspace in which a step is sized.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.learner import Mean, Settings, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping


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


ALONE = Lessons()
"""Nothing is known of other steps."""
