"""Which policy sizes a step where nobody names one: ``safe``, or the one by which ``@autosize`` sized its newest run.

What comes in: evidence. What goes out: a policy. An attempt under ``@autosize`` tells its policy as an annotation
(``docs/decisions/0044``): ``balanced`` where its retries are given more memory, on which advice may count then; else
``safe``. Nobody reads that before it is followed: there it is `Unattended`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.least_cost import LeastCostPolicy
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.sizing.levels import MEMORY, Sized, learned
from stepsize.analyzer.sizing.policy import DEFAULT_POLICY, Advice
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.errors import UsageError
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.policy import Policy, Recommendation
    from stepsize.analyzer.usage import StepEvidence

ANNOTATION = "autosize"
"""The name of the annotation; the extension of Metaflow has it as ``plugins.sized.ANNOTATION``."""


MOST_FAILING_PER_1000 = 25.0
"""How many of a step's tasks may be expected to need more than a fall of its request leaves them."""
_MOST_FAILING = MOST_FAILING_PER_1000 / 1000
_STEP = 1.1
"""A fall is looked for in such steps, and is none that is smaller."""


def launching(name: str) -> Policy:
    """The policy by which a launch sizes a step.

    Raises:
        UsageError: no policy is called so.
    """
    return _unattended(policies.load(name))


class Unattended:
    """``safe``, but that memory falls only to where few tasks are expected to fail: a failure ends a run.

    A failure's price is in typical tasks of the flow: in one of many small steps and a large one, it is next to nothing
    to the large one. Where more would fail, the fall ends at the first size at which few do, in steps of a tenth; the
    request stays where that is none. What asks for as much as the request or more is the policy's own answer.
    """

    def __init__(self, policy: LeastCostPolicy) -> None:
        self._policy = policy
        self.name = policy.name

    def recommend(self, evidence: StepEvidence, lessons: Lessons = ALONE) -> Recommendation:
        """What the step should ask for, and why."""
        found = self._policy.recommend(evidence, lessons)
        value = found.memory_mb.value
        requested = evidence.newest.requested_memory_bytes if evidence.newest else None
        if value is None or requested is None or value * BYTES_PER_MB >= requested or _few_fail(found):
            return found
        static = learned(evidence, lessons, self._policy.settings, MEMORY)
        if static is None:
            return found
        said = f"at {value:,} MB {found.failures_expected_per_1000:g} of 1,000 tasks would be expected to need more"
        size_mb = value
        while (
            size_mb * BYTES_PER_MB < requested / _STEP and static.failure_share(size_mb * BYTES_PER_MB) > _MOST_FAILING
        ):
            size_mb = round_up_mb(size_mb * BYTES_PER_MB * _STEP)
        stays = size_mb * BYTES_PER_MB >= requested / _STEP
        asked = Sized(advice=Advice(None), asked_bytes=requested if stays else size_mb * BYTES_PER_MB, static=static)
        why = f"Memory stays as it is: {said}." if stays else f"Memory falls to {size_mb:,} MB and no further: {said}."
        reasons = (*found.memory_mb.reasons, why)
        return replace(
            found,
            memory_mb=Advice(None, reasons, held=why) if stays else Advice(size_mb, reasons),
            failures_expected_per_1000=asked.failures_per_1000,
            failures_range_per_1000=asked.failures_range_per_1000,
        )


def _few_fail(found: Recommendation) -> bool:
    failing = found.failures_expected_per_1000
    return failing is None or failing <= MOST_FAILING_PER_1000


def _unattended(policy: Policy) -> Policy:
    """Plug-ins, and the presets that a failure may cost, are what their names say, but that the next launch sizes anew;
    a deployment, which may stand for a week, is sized by the default."""
    if isinstance(policy, LeastCostPolicy):
        return Unattended(policy) if policy.name == DEFAULT_POLICY else replace(policy, runs_ahead=1)
    return policy


class AsLaunched:
    """The policy of each step's newest run under ``@autosize``, and the default for the others.

    ``refine`` makes of that policy the one that is asked; what it raises is raised where it is made.
    """

    name = DEFAULT_POLICY

    def __init__(self, refine: Callable[[Policy], Policy] | None = None) -> None:
        self._refine = refine
        self._default = self._load(DEFAULT_POLICY)
        self._known: dict[str, Policy | None] = {}

    def recommend(self, evidence: StepEvidence, lessons: Lessons = ALONE) -> Recommendation:
        """What the step's policy says."""
        return self.of(evidence)[0].recommend(evidence, lessons)

    def of(self, evidence: StepEvidence) -> tuple[Policy, tuple[str, ...]]:
        """The step's policy, and the sentence that says why it is another than the default."""
        name = _told(evidence)
        if name is None:
            return self._default, ()
        if name not in self._known:
            try:
                self._known[name] = _unattended(self._load(name))
            except UsageError:  # not installed here, or it cannot be refined
                self._known[name] = None
        known = self._known[name]
        if known is None:
            return self._default, ()
        if known.name == self.name:
            return known, ()
        return known, (f"Sized by {name}, as @autosize sized its newest run.",)

    def _load(self, name: str) -> Policy:
        loaded = policies.load(name)
        return self._refine(loaded) if self._refine else loaded


def of_step(policy: Policy, evidence: StepEvidence) -> tuple[Policy, tuple[str, ...]]:
    """The policy that sizes the step where ``policy`` was asked for, and a sentence where that is another."""
    return policy.of(evidence) if isinstance(policy, AsLaunched) else (policy, ())


def _told(evidence: StepEvidence) -> str | None:
    """What the newest run tells of itself; anybody may annotate anything, so it may be no name at all."""
    newest = evidence.newest
    said = json.loads(newest.annotations) if newest and newest.annotations else None
    name = said.get(ANNOTATION) if isinstance(said, dict) else None
    return name if isinstance(name, str) else None
