"""How long an attempt may run: ``@timeout`` from how long those took that ended well.

What comes in: the evidence of a step. What goes out: frozen :class:`Times`, and an :class:`Advice` in seconds. Pure.

A timeout holds nothing. It costs where an attempt hangs, which is held until then, and where it ends an attempt that
would have ended well: all of its run time is lost. So it is the request that costs least over a predictive distribution
(``sizing.memory``) of the next duration, at a price of failures that is high beside that of a second more, and never
less than twice the longest time seen: a slow machine or a busy store makes a step slower than any history shows.

Metaflow's ``@timeout`` is per attempt, and so is every duration here. In the task it counts from the step's first line;
on Kubernetes the pod, on Batch the job is ended as well, which began before the step did: fetching images, code and
environments counts there, and is not in the durations (``metaflow/plugins/timeout_decorator.py``,
``kubernetes/kubernetes_job.py``, ``aws/batch/batch_client.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Terms, propose
from stepsize.analyzer.sizing.policy import Advice
from stepsize.analyzer.sizing.rounding import round_up_s
from stepsize.analyzer.sizing.targets import TARGETS
from stepsize.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.usage import Attempt, StepEvidence

FEWEST_TASKS = 8
"""Finished tasks before a step that has no timeout is given one, or a timeout falls."""
SETUP_S = 300.0
"""Room for what a pod or job does before the step begins."""
HANGS_PER_ATTEMPT = 1e-3
"""Attempts that hang: what a longer timeout costs. No record tells it; the answer hardly depends on it."""
FAILURE_PRICE = 4.0
"""What ending a task that would have ended well costs, in typical tasks of the step; that of ``balanced``."""
_OVER_LONGEST = 2.0
_WINDOW = 600
_KEPT_FROM, _KEPT_TO = 0.8, 4.0
"""A timeout between these shares of what would be advised stays: the edit would change little."""
_SETUP_SHARE = 0.1
_TOLERANCE_S = 1.0
_SHORTEST_S = 1.0
_TENTHS_BELOW_S, _SECONDS_BELOW_S = 10.0, 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the tasks took that ended well.

    Attributes:
        tasks, runs: how many.
        longest_s, longest_at: the longest, and whose it was.
        median_s: half of them took no longer.
        timeout_s: what the distribution asks for, before it is rounded and without :data:`SETUP_S`.
    """

    tasks: int
    runs: int
    longest_s: float
    longest_at: str
    median_s: float
    timeout_s: float


def times(evidence: StepEvidence) -> Times | None:
    """How long the step's tasks took that ended well; None where none did, or no duration is known."""
    ran_s: dict[tuple[str, str, str], tuple[float, float]] = {}
    for attempt in evidence.succeeded:
        if attempt.duration_s is not None:
            ran = (attempt.duration_s, attempt.started_at_s or 0.0)
            ran_s[attempt.task_key] = max(ran, ran_s.get(attempt.task_key, ran))
    if not ran_s:
        return None
    whose = max(ran_s, key=lambda task: (ran_s[task][0], task))
    longest_s = ran_s[whose][0]
    newest = sorted(ran_s.values(), key=lambda times: (times[1], times[0]))[-_WINDOW:]
    runs = len({task[:2] for task in ran_s})
    return Times(
        tasks=len(ran_s),
        runs=runs,
        longest_s=longest_s,
        longest_at=f"{whose[0]}/{evidence.step}/{whose[2]}",
        median_s=float(np.median([duration_s for duration_s, _ in ran_s.values()])),
        timeout_s=max(_OVER_LONGEST * longest_s, least_cost_s([duration_s for duration_s, _ in newest], runs)),
    )


def least_cost_s(durations_s: Sequence[float], runs: int) -> float:
    """The time that costs least for the next task after tasks that took so long, in so many runs.

    The engine's level is a duration, which each task holds alike: an allocation then costs what a hung attempt does.
    """
    seconds = np.sort(np.maximum(np.array(durations_s, dtype=np.float64), _SHORTEST_S))
    logs = np.log(seconds)
    killed = FAILURE_PRICE / HANGS_PER_ATTEMPT * float(seconds.mean())
    above = tail(logs, max(1, runs), None, None)
    return propose(logs, np.ones(len(logs)), 1.0, above, Terms(killed)).request_bytes


def advise(evidence: StepEvidence) -> Advice:
    """Seconds to give to ``@timeout``, or to leave it as it is, and why."""
    seen, ran_into = times(evidence), _ran_into(evidence)
    if seen is None:
        return Advice(None, _ended(ran_into, None))
    newest = evidence.newest
    now_s = newest.requested_timeout_s if newest else None
    slow = [attempt for attempt in ran_into if _may_need_longer(attempt, seen)]
    base_s = max([seen.timeout_s, *(_OVER_LONGEST * (attempt.requested_timeout_s or 0.0) for attempt in slow)])
    target_s = round_up_s(base_s + SETUP_S)
    ended = _ended(ran_into, seen)
    if now_s is None and seen.tasks < FEWEST_TASKS:
        return Advice(None, (*ended, _more_needed(seen.tasks)))
    if now_s is not None and _stands(now_s, target_s, seen, needs_longer=bool(slow)):
        return Advice(None, ended)
    how = (_how_long(seen), *_now(now_s, target_s, seen), *ended, _how_made(target_s, base_s, seen))
    return Advice(target_s, (*how, *_longer(evidence, ran_into, target_s), *_platform(newest, target_s)))


def _stands(now_s: float, target_s: float, seen: Times, *, needs_longer: bool) -> bool:
    """Whether the timeout that a step has may stay."""
    few = seen.tasks < FEWEST_TASKS
    if now_s < _KEPT_FROM * target_s:
        return few and not needs_longer and now_s >= _OVER_LONGEST * seen.longest_s
    return few or now_s <= _KEPT_TO * target_s


def said(duration_s: float) -> str:
    """A duration as a person would say it: ``0.3 s``, ``6 min 40 s``, ``45 min``, ``1 h 30 min``, ``2 d 6 h``.

    To the second below ten minutes, to the minute below two days, to the hour above.
    """
    if duration_s <= 120:
        return f"{round(duration_s, 3):.2g} s" if duration_s < _TENTHS_BELOW_S else f"{duration_s:.0f} s"
    if duration_s < _SECONDS_BELOW_S:
        minutes, seconds = divmod(round(duration_s), 60)
        return _joined((minutes, "min"), (seconds, "s"))
    days, hours = divmod(round(duration_s / 3600), 24)
    if days >= 2:
        return _joined((days, "d"), (hours, "h"))
    hours, minutes = divmod(round(duration_s / 60), 60)
    return _joined((hours, "h"), (minutes, "min"))


def _joined(*numbers: tuple[int, str]) -> str:
    return " ".join(f"{number} {unit}" for number, unit in numbers if number)


def decorator(timeout_s: int) -> str:
    """``@timeout`` with the arguments that make up these seconds."""
    minutes, seconds = divmod(timeout_s, 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"hours": hours, "minutes": minutes, "seconds": seconds}
    return f"@timeout({', '.join(f'{name}={number}' for name, number in parts.items() if number)})"


def _ran_into(evidence: StepEvidence) -> list[Attempt]:
    """The attempts that a timeout ended: it is known, and they did not end well when it was over.

    In the task it raises an error, which fails the attempt. A pod or job is killed instead, by a clock that began
    before the attempt's own, so that the attempt's time is a little short of it.
    """
    ended = []
    for attempt in evidence.ended:
        limit_s = attempt.requested_timeout_s
        if limit_s and attempt.outcome not in (Outcome.OK, Outcome.OOM) and attempt.duration_s is not None:
            killed = attempt.outcome is not Outcome.FAILED
            earlier_s = min(SETUP_S, _SETUP_SHARE * limit_s) if killed else _TOLERANCE_S
            if attempt.duration_s >= limit_s - earlier_s:
                ended.append(attempt)
    return ended


def _may_need_longer(attempt: Attempt, seen: Times) -> bool:
    """Whether others come so near to its timeout that it need not have hung."""
    return seen.longest_s * _OVER_LONGEST >= (attempt.requested_timeout_s or math.inf)


def _how_long(seen: Times) -> str:
    longest = f"took {said(seen.longest_s)} ({seen.longest_at})"
    if seen.tasks == 1:
        return f"The 1 task that ended well {longest}."
    return f"Of {seen.tasks:,} tasks that ended well the longest {longest}, half of them up to {said(seen.median_s)}."


def _now(now_s: float | None, target_s: float, seen: Times) -> tuple[str, ...]:
    if now_s is None:
        return ()
    if now_s > target_s:
        return (f"The step's timeout is {said(now_s)}, for which a task that hangs would be held.",)
    if now_s < seen.longest_s:
        return (f"The step's timeout is {said(now_s)}, which is less than that took.",)
    return (f"The step's timeout is {said(now_s)}, which a slow machine may make too short.",)


def _how_made(target_s: int, base_s: float, seen: Times) -> str:
    if base_s * _SETUP_SHARE < _SHORTEST_S:
        return f"{said(target_s)} is little more than the {said(SETUP_S)} that a pod or job may take to start."
    times_longest = base_s / seen.longest_s
    if base_s > seen.timeout_s:
        made = "twice the time that was not enough"
    elif times_longest <= _OVER_LONGEST * 1.01:
        made = "twice the longest"
    else:
        runs = "1 run leaves" if seen.runs == 1 else f"{seen.runs} runs leave"
        made = f"{times_longest:.1f} times the longest, which {runs} possible"
    return f"{said(target_s)} is {made}, and {said(SETUP_S)} for a pod or job to start."


def _ended(ran_into: Sequence[Attempt], seen: Times | None) -> tuple[str, ...]:
    if not ran_into:
        return ()
    limits = sorted({attempt.requested_timeout_s or 0.0 for attempt in ran_into})
    at = said(limits[-1]) if len(limits) == 1 else f"up to {said(limits[-1])}"
    count = "1 attempt was" if len(ran_into) == 1 else f"{len(ran_into):,} attempts were"
    ended = f"{count} ended by a timeout of {at}"
    if seen is None:
        return (f"{ended} and no task ended well: whether they hung or needed longer is not to be seen from here.",)
    if any(_may_need_longer(attempt, seen) for attempt in ran_into):
        return (f"{ended}: others took as much as {said(seen.longest_s)}, so that may have been too short.",)
    hung = "it seems to have hung" if len(ran_into) == 1 else "they seem to have hung"
    return (f"{ended}: those that ended well took {said(seen.longest_s)} at most, so {hung}.",)


def _longer(evidence: StepEvidence, ran_into: Sequence[Attempt], target_s: float) -> tuple[str, ...]:
    """The attempts that ran for longer than what is advised: they did not end well, or run still.

    Those that a timeout ended are told of already.
    """
    told = {(attempt.task_key, attempt.attempt) for attempt in ran_into}
    longer = [
        a
        for a in evidence.attempts
        if (a.duration_s or 0.0) > target_s and a.outcome is not Outcome.OK and (a.task_key, a.attempt) not in told
    ]
    if not longer:
        return ()
    count = "1 attempt" if len(longer) == 1 else f"{len(longer):,} attempts"
    longest_s = max(attempt.duration_s or 0.0 for attempt in longer)
    return (f"{count} that did not end well, or not yet, ran for longer: up to {said(longest_s)}.",)


def _platform(newest: Attempt | None, target_s: float) -> tuple[str, ...]:
    """That what ran the newest attempt may end it sooner."""
    target = TARGETS.get(newest.target or "") if newest else None
    if target is None or target.longest_s is None or target_s <= target.longest_s:
        return ()
    return (f"{target.title} may end what runs for longer than {said(target.longest_s)}.",)


def _more_needed(tasks: int) -> str:
    return f"A timeout is advised from {FEWEST_TASKS} finished tasks on, {FEWEST_TASKS - tasks} more needed."
