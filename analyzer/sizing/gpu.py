"""How many GPUs to ask for, and how much of those that were held stood idle.

What comes in: the evidence of a step. What goes out: a frozen :class:`GpuUse`, and an :class:`Advice`. Pure.

What the data can show: of each attempt the most devices that its processes were on at once, and the mean and the
highest sample of how busy they were, summed over devices. Not which device was idle when. A driver calls a device busy
while at least one kernel runs on it, however small (NVML API reference, ``nvmlUtilization_t``): so little use is proof
of little use, and much of it is no proof that the device was needed. Programs take the devices that they find: only
tasks that asked for as many as the newest does say whether that is too many or too few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.policy import Advice
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL
from stepsize.model import BYTES_PER_MB, Outcome

if TYPE_CHECKING:
    from stepsize.analyzer.usage import Attempt, StepEvidence

LITTLE_USE = 0.2
"""Up to this share of the time busy, a smaller device or a part of one would do."""
WITNESS_S = 10.0
"""What ran for less may have been on a device between two samples: it does not show that none was used."""
_IDLE_WORTH_SAYING = 0.1
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """What a step's attempts that ended held of GPUs and what they used, of tasks that asked for as many as the newest.

    Attributes:
        attempts: those of which it could be read on how many devices they were.
        unread: those that asked for a GPU and of which it could not.
        tasks: that finished, were read, and ran for long enough to show that no more was used.
        most_at_once: devices that the processes of an attempt were on, the most at once.
        held_device_hours: devices asked for, or used where that was more, for as long as each attempt ran.
        never_used_device_hours: the part of these on devices that the attempt was never on.
        idle_device_hours: the part on devices that it was on, while nothing ran on them; where that was told.
        unused_share: both over what was held, of the attempts of which both are known; None without any.
        utilization: how busy a device in use was, mean over time and devices; None where that was never told.
        utilization_max: devices busy, the highest sample of an attempt, summed over its devices.
        memory_peak_bytes: the highest peak of GPU memory, summed over an attempt's devices.
    """

    attempts: int
    unread: int
    tasks: int
    most_at_once: int
    held_device_hours: float
    never_used_device_hours: float
    idle_device_hours: float
    unused_share: float | None = None
    utilization: float | None = None
    utilization_max: float | None = None
    memory_peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """Of one attempt, in device hours; ``busy`` is None where it was not told."""

    held: float
    used: float
    busy: float | None

    @property
    def idle(self) -> float | None:
        return None if self.busy is None else max(0.0, self.used - self.busy)


def use(evidence: StepEvidence) -> GpuUse | None:
    """What the step held and used of GPUs; None where of no attempt that counts it could be read."""
    counted = alike(evidence)
    read = [attempt for attempt in counted if attempt.gpu_count is not None]
    if not read:
        return None
    held = [_held(attempt) for attempt in read]
    told = [(one, idle) for one in held if (idle := one.idle) is not None]
    told_held = math.fsum(one.held for one, _ in told)
    told_unused = math.fsum(one.held - one.used + idle for one, idle in told)
    on_devices = math.fsum(one.used for one, _ in told)
    return GpuUse(
        attempts=len(read),
        unread=sum(1 for attempt in counted if attempt.gpu_count is None and attempt.requested_gpu),
        tasks=len({attempt.task_key for attempt in read if _is_witness(attempt)}),
        most_at_once=math.ceil(max(attempt.gpu_count or 0.0 for attempt in read)),
        held_device_hours=math.fsum(one.held for one in held),
        never_used_device_hours=math.fsum(one.held - one.used for one in held),
        idle_device_hours=math.fsum(idle for _, idle in told),
        unused_share=told_unused / told_held if told_held else None,
        utilization=min(1.0, math.fsum(one.busy or 0.0 for one, _ in told) / on_devices) if on_devices else None,
        utilization_max=max((a.gpu_utilization_max for a in read if a.gpu_utilization_max is not None), default=None),
        memory_peak_bytes=max((a.gpu_memory_peak_bytes for a in read if a.gpu_memory_peak_bytes), default=None),
    )


def alike(evidence: StepEvidence) -> list[Attempt]:
    """The attempts that ended, of tasks whose first attempts asked for as many devices as the newest."""
    newest = evidence.newest
    first: dict[tuple[str, str, str], float] = {}
    for attempt in evidence.attempts:
        if attempt.attempt == 0:  # of rows that name one twice the larger, in any order
            first[attempt.task_key] = max(_asked(attempt), first.get(attempt.task_key, 0.0))
    return [a for a in evidence.ended if newest and first.get(a.task_key, _asked(a)) == _asked(newest)]


def _asked(attempt: Attempt) -> float:
    return attempt.requested_gpu or 0.0


def _held(attempt: Attempt) -> _Held:
    hours = (attempt.duration_s or 0.0) / _SECONDS_PER_HOUR
    count = attempt.gpu_count or 0.0
    busy = 0.0 if count == 0 else attempt.gpu_utilization_mean
    return _Held(
        max(attempt.requested_gpu or 0.0, count) * hours, count * hours, None if busy is None else busy * hours
    )


def _is_witness(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.OK and (attempt.duration_s or 0.0) >= WITNESS_S


def advise(evidence: StepEvidence) -> Advice:
    """Devices to ask for (0: none), or to keep the request, and why."""
    used, newest = use(evidence), evidence.newest
    asked = _asked(newest) if newest else 0.0
    if used is None:
        unread = "GPUs stay as they are: none could be read where the step ran."
        if not alike(evidence):
            unread = f"GPUs stay at {asked:g}: no attempt that asked for so many has ended."
        return Advice(None, (unread,), held=unread) if asked else Advice(None)
    most = used.most_at_once
    if most > math.ceil(asked):
        return Advice(most, (_at_once(most), _beyond(evidence, asked), *_little_use(used)))
    if most == math.ceil(asked):
        return Advice(None, (_at_once(most), *_unused(used), *_little_use(used), *_unread(used)) if asked else ())
    seen = (_never_used(used, asked),) if most == 0 else (_at_once(most), *_unused(used))
    reasons = (*seen, *_unread(used))
    if used.tasks < TASKS_TO_FALL:
        held = (
            f"GPUs stay at {asked:g} until {TASKS_TO_FALL} tasks of {WITNESS_S:g} s or more have finished "
            f"({used.tasks} so far)."
        )
        return Advice(None, (*reasons, held), held=held)
    return Advice(most, (*reasons, *_little_use(used)))


def _at_once(most: int) -> str:
    return f"{_gpus(most)} in use at once at most."


def _never_used(used: GpuUse, asked: float) -> str:
    none = "The GPU asked for was never" if asked <= 1 else f"None of the {asked:g} GPUs asked for was ever"
    over = f"in {_attempts(used.attempts)}, {_hours(used.held_device_hours)} device hours"
    if used.tasks < TASKS_TO_FALL:
        return f"{none} seen in use {over}."
    return (
        f"{none} used {over}: without one the step would run as it did. If it is meant to use one, its libraries do "
        "not find it."
    )


def _beyond(evidence: StepEvidence, asked: float) -> str:
    if asked:
        return f"That is more than the {asked:g} asked for: where it ran, the request was no limit."
    newest = evidence.newest
    if newest is None or (newest.requested_cpu is None and newest.requested_memory_bytes is None):
        return "What the step asked for is not known."
    return "None was asked for: where devices are given out by request, it will find none."


def _unused(used: GpuUse) -> tuple[str, ...]:
    """How much of what was held did nothing, where it is worth a sentence."""
    if used.unused_share is None or used.unused_share < _IDLE_WORTH_SAYING:
        return ()
    parts = (
        (used.never_used_device_hours, "on devices that were never used"),
        (used.idle_device_hours, "while nothing ran on the device"),
    )
    said = " and ".join(f"{_hours(hours)} {where}" for hours, where in parts if hours > 0)
    return (f"Of {_hours(used.held_device_hours)} device hours held, {used.unused_share:.0%} did nothing: {said}.",)


def _little_use(used: GpuUse) -> tuple[str, ...]:
    """That less than the devices in use would do, which is no number to ask for: it depends on what there is."""
    if used.utilization is None or used.tasks < TASKS_TO_FALL:
        return ()
    reasons = []
    busiest = used.utilization_max
    if busiest is not None and used.most_at_once > 1 and math.ceil(busiest - 1e-9) < used.most_at_once:
        reasons.append(
            f"Together they were never busier than {busiest:.2g} of the {used.most_at_once}: fewer would do, if the "
            "program can work with fewer."
        )
    if used.utilization <= LITTLE_USE:
        reasons.append(_smaller(used))
    return tuple(reasons)


def _smaller(used: GpuUse) -> str:
    one = used.most_at_once == 1
    memory = used.memory_peak_bytes
    busy = f"{'The GPU was' if one else 'The GPUs were'} busy for {used.utilization:.0%} of the time"
    smaller = "a smaller model, or a share of one where the platform gives them out, would do"
    slower = used.utilization_max is not None and used.utilization_max >= used.most_at_once
    peak = "; what kept it fully busy at times would take longer" if slower and one else ""
    if memory is None:
        return f"{busy}: {smaller} if it has the memory{peak}."
    held = f"held {memory / BYTES_PER_MB:,.0f} MB of memory at most"
    return f"{busy} and {held}: {smaller} if it has that much{peak}."


def _unread(used: GpuUse) -> tuple[str, ...]:
    if not used.unread:
        return ()
    return (f"In {_attempts(used.unread)} more GPUs could not be read.",)


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count:,} attempts"


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _hours(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"
