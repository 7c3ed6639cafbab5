"""Which policy sizes a step where nobody names one: ``safe``, or the one by which ``@autosize`` sized its newest run.

What comes in: evidence. What goes out: a policy. An attempt under ``@autosize`` tells its policy as an annotation
(``docs/decisions/0044``): ``balanced`` where its retries are given more memory, on which advice may count then.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.sizing.policy import DEFAULT_POLICY
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.policy import Policy, Recommendation
    from stepsize.analyzer.usage import StepEvidence

ANNOTATION = "autosize"
"""The name of the annotation; the extension of Metaflow has it as ``plugins.sized.ANNOTATION``."""


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
                self._known[name] = self._load(name)
            except UsageError:  # not installed here, or it cannot be refined
                self._known[name] = None
        known = self._known[name]
        if known is None or known.name == self.name:
            return self._default, ()
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
