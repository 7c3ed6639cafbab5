"""The request of a level (memory, VRAM, disk): one size for all tasks of a step, and how sure it is.

What comes in: the evidence of a step, what other steps teach, how steps learn, and which level. What goes out: a frozen
:class:`Sized`. Pure. How a size is found is told in ``docs/sizing.md``; how fast a request may fall, in ``restraint``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.lessons import FlowKey
from stepsize.analyzer.sizing.memory.static import OOM_BUMP, size_step
from stepsize.analyzer.sizing.policy import Advice
from stepsize.analyzer.sizing.replays import NEWEST_RUNS
from stepsize.analyzer.sizing.restraint import LESSONS_ENOUGH, Falling, restrain, tasks_to_fall
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.analyzer.sizing.step_runs import runs_of
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.memory.learner import Settings
    from stepsize.analyzer.sizing.memory.static import Replayed, Static
    from stepsize.analyzer.sizing.peaks import Peaks
    from stepsize.analyzer.sizing.step_runs import Reader
    from stepsize.analyzer.usage import StepEvidence

MEMORY_FLOOR_MB = 250
"""Before the step's own process starts, a remote task's container fetches and unpacks the code package; installing what
that takes with pip peaks at 93 MB (pip 23, boto3 and requests), none of which is in the step's process tree."""
_SAME = 1.001
"""Two sizes that differ by less are the same: one went through a logarithm."""
RUNS_LEARNED = 365
"""The newest runs that are learned from, a year of a daily flow: what came before says little of what comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is sized.

    Attributes:
        what: its name in reasons, as a sentence begins.
        read, requested: take what an attempt reached, and asked for, in bytes.
        kills: whether too little of it kills a task.
        floor_bytes: never ask for less.
    """

    what: str
    read: Reader
    requested: Reader
    kills: bool = False
    floor_bytes: float = 0.0


MEMORY = Level(
    what="Memory",
    read=lambda attempt: attempt.memory_peak_bytes,
    requested=lambda attempt: attempt.requested_memory_bytes,
    kills=True,
    floor_bytes=MEMORY_FLOOR_MB * BYTES_PER_MB,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What to ask for of a level: the advice, and what it stands on, where tasks ended well."""

    advice: Advice
    asked_bytes: float | None = None
    static: Static | None = None

    def because(self, *reasons: str) -> Sized:
        """The same, for these reasons too."""
        return replace(self, advice=replace(self.advice, reasons=(*self.advice.reasons, *reasons)))

    @property
    def failures_per_1000(self) -> float | None:
        """Of next tasks, those expected to need more than is asked for; None where nothing can be said."""
        if self.static is None or self.asked_bytes is None:
            return None
        return round(1000 * self.static.failure_share(self.asked_bytes), 1)

    @property
    def failures_range_per_1000(self) -> tuple[float, float] | None:
        """The 90 % interval of them."""
        if self.static is None or self.asked_bytes is None:
            return None
        low, high = self.static.failure_range(self.asked_bytes)
        return round(1000 * low, 1), round(1000 * high, 1)

    @property
    def replayed(self) -> tuple[Replayed, ...]:
        """The step's own runs, each under what would have been asked for before it."""
        return () if self.static is None else self.static.replayed


def learned(evidence: StepEvidence, lessons: Lessons, settings: Settings, level: Level) -> Static | None:
    """What the step's tasks say of a level; None where none ended well with it read."""
    key = FlowKey(evidence.project, evidence.production, evidence.flow)
    step = lessons.workspace(settings, key).step(evidence.flow)
    return size_step(
        step,
        runs_of(evidence, level.read, level.requested, newest=RUNS_LEARNED, kills=level.kills),
        fewest_tasks=tasks_to_fall(lessons, 1),
        replays=NEWEST_RUNS,
        round_up=lambda size_bytes: round_up_mb(max(size_bytes, level.floor_bytes)) * float(BYTES_PER_MB),
        taught=lambda runs: lessons.batches(runs) >= LESSONS_ENOUGH,
    )


def size(evidence: StepEvidence, lessons: Lessons, settings: Settings, level: Level, peaks: Peaks) -> Sized:
    """What to ask for, or to keep the request, and why."""
    static = learned(evidence, lessons, settings, level)
    newest = evidence.newest
    requested = level.requested(newest) if newest else None
    needed = static.request_bytes if static else peaks.needed_bytes(OOM_BUMP)
    enough = max(needed, level.floor_bytes)
    target = round_up_mb(enough)
    most = max([static.largest_bytes, *static.needs_bytes]) if static else needed
    value, held = restrain(
        Falling(
            target=target,
            enough=enough / BYTES_PER_MB,
            requested=None if requested is None else requested / BYTES_PER_MB,
            tasks=peaks.tasks,
            fewest_tasks=tasks_to_fall(lessons, static.runs if static else 0),
            exceeded=requested is not None and most > requested,
            failing=static.failure_share(requested) if static and requested else 0.0,
            failing_alike=static.share_by_tasks(requested) if static and requested else 0.0,
            failing_later=static.share_of_last(requested) if static and requested else 0.0,
            what=level.what,
        )
    )
    reasons = [*_peak_reasons(level.what, peaks), *_oom_reasons(peaks, static), *_changed(peaks, static)]
    reasons += _grows(level.what, static)
    if static and value is not None and static.growth is None:
        reasons += _taught(lessons, static.runs)
    if enough > needed:
        reasons.append(f"That is under the {mb(level.floor_bytes)} that starting a task takes.")
    elif static and value is not None and static.request_bytes == static.proposal.request_bytes:
        priced = f", a failure counted as {settings.failure_price:g} tasks" if level.kills else ""
        reasons.append(f"At {target:,} MB the cost is least{priced}.")
    if held:
        reasons.append(held)
    elif value is None:
        reasons.append("The request covers that: it stays as it is.")
    asked = requested if value is None else value * BYTES_PER_MB
    advice = Advice(value, tuple(reasons), held=held if value is None else "")
    return Sized(advice=advice, asked_bytes=asked, static=static)


def mb(size_bytes: float) -> str:
    """``1,234 MB``."""
    return f"{size_bytes / BYTES_PER_MB:,.0f} MB"


def _peak_reasons(what: str, peaks: Peaks) -> tuple[str, ...]:
    if not peaks.highest_at:
        return ()
    level = what if what.isupper() else what.lower()
    among = {0: "no task finished", 1: "1 task finished"}.get(peaks.tasks, f"{peaks.tasks:,} tasks finished")
    return (f"The highest {level} peak was {mb(peaks.highest_bytes)} (task {peaks.highest_at}; {among}).",)


def _oom_reasons(peaks: Peaks, static: Static | None) -> tuple[str, ...]:
    count = len(peaks.exceeded_limits_bytes)
    if not count:
        return ()
    limit = peaks.exceeded_limits_bytes[-1]
    ran = "1 attempt ran" if count == 1 else f"{count} attempts ran"
    if static and OOM_BUMP * limit > static.request_bytes:
        since = "since then the task ended well with more, or thirty runs went by"
        return (f"{ran} out of memory at up to {mb(limit)}: {since}, so that it no longer counts.",)
    counted = f"counted as {mb(limit * OOM_BUMP)} ({OOM_BUMP:g} times the limit)"
    return (f"{ran} out of memory at up to {mb(limit)}: more was needed, {counted}.",)


def _changed(peaks: Peaks, static: Static | None) -> tuple[str, ...]:
    """That not all of what was seen counts any more, where it would have asked for more."""
    if static is None or not peaks.finished_bytes or peaks.finished_bytes[-1] <= static.largest_bytes * _SAME:
        return ()
    runs = "1 run counts" if static.runs == 1 else f"{static.runs} runs count"
    return (
        f"The step has changed since: its last {runs}, in which no task took more than {mb(static.largest_bytes)}.",
    )


def _grows(what: str, static: Static | None) -> tuple[str, ...]:
    """By how much, where more is expected than any run has reached."""
    growth = static.growth if static else None
    if static is None or growth is None or growth.last_bytes <= static.largest_bytes:
        return ()
    if growth.per_run_bytes < BYTES_PER_MB:
        return ()
    last = f", the last of the next {growth.ahead} {mb(growth.last_bytes)}" if growth.ahead > 1 else ""
    by = f"{what} grows by about {mb(growth.per_run_bytes)} a run"
    return (f"{by}: the next is expected to reach {mb(growth.next_bytes)}{last}.",)


def _taught(lessons: Lessons, runs: int) -> tuple[str, ...]:
    """What the size stands on beside the step itself."""
    batches, above, _ = lessons.exceedances.at(runs)
    if batches < LESSONS_ENOUGH:
        return ()
    seen = f"After about as many runs, {above / batches:.1%} of the tasks of other steps took more than any before"
    return (f"{seen} ({batches:,.0f} runs seen).",)
