"""The seam between evidence and advice: what a policy is given and what it answers, and which ones are installed.

What comes in: a policy's name. What goes out: the policy. Policies are plug-ins: one file, one entry point in the group
``stepsize.policies`` that names a callable which makes the policy, and the shared contract test
(``tests/analyzer/test_policies.py``); see ``docs/policies.md``. A policy touches no disk, clock or network.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.memory.static import Replayed
    from stepsize.analyzer.usage import StepEvidence

ENTRY_POINTS = "stepsize.policies"
DEFAULT_POLICY = "safe"


class Confidence(Enum):
    """How far the evidence carries; ``docs/policies.md`` says what each takes."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to ask for of one resource: a ``value``, or None to keep the request; ``reasons`` are sentences.

    ``held`` is the one of them that says why a request is kept which use alone does not justify; else empty.
    """

    value: int | None
    reasons: tuple[str, ...] = ()
    held: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """A policy's answer, in the units that ``@resources`` takes: whole cores and devices, whole MB (10^6 bytes).

    ``timeout_s`` is apart: how long an attempt may run is no resource, and its reasons are not among the others.
    ``reasons`` are those about the step as a whole; each resource's own are in its :class:`Advice`.
    ``failures_expected_per_1000`` is of tasks that would run out of memory, ``failures_range_per_1000`` its 90 %
    interval; None where nothing can be said. ``replayed`` are the newest of the step's own runs, each under the memory
    that would have been asked for before it.
    """

    cpu: Advice
    memory_mb: Advice
    gpu: Advice
    vram_mb: Advice
    disk_mb: Advice
    timeout_s: Advice = Advice(None)
    reasons: tuple[str, ...] = ()
    confidence: Confidence = Confidence.NONE
    failures_expected_per_1000: float | None = None
    failures_range_per_1000: tuple[float, float] | None = None
    replayed: tuple[Replayed, ...] = ()

    @property
    def all_reasons(self) -> tuple[str, ...]:
        """Every sentence, memory first since it is what breaks and what costs."""
        return tuple(reason for _, part in self.parts for reason in part.reasons) + self.reasons

    @property
    def held(self) -> tuple[str, ...]:
        """Why requests are kept that use alone does not justify; in the order of :attr:`all_reasons`."""
        return tuple(part.held for _, part in self.parts if part.held)

    @property
    def parts(self) -> tuple[tuple[str, Advice], ...]:
        """The advice on each resource by the name of its field, memory first."""
        return tuple((name, getattr(self, name)) for name in ("memory_mb", "cpu", "gpu", "vram_mb", "disk_mb"))


class Policy(Protocol):
    """Sizes a step from its evidence. The same evidence, in whatever order, gets the same answer."""

    @property
    def name(self) -> str:
        """The name that ``--policy`` takes."""
        ...

    def recommend(self, evidence: StepEvidence, lessons: Lessons = ALONE) -> Recommendation:
        """What the step should ask for, and why. ``lessons``: what other steps teach (``Lessons.beside``)."""
        ...


def installed() -> tuple[str, ...]:
    """The names of every installed policy."""
    return tuple(sorted({point.name for point in metadata.entry_points(group=ENTRY_POINTS)}))


def load(name: str = DEFAULT_POLICY) -> Policy:
    """The policy called ``name``, with its default settings.

    Raises:
        UsageError: no such policy is installed; the message names those that are.
    """
    for point in metadata.entry_points(group=ENTRY_POINTS, name=name):
        policy: Policy = point.load()()
        return policy
    raise UsageError(f"no policy is called {name!r}; installed are {', '.join(installed())}")
