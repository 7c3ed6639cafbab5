"""SLURM's accounting, however it was printed: one job as an attempt.

What comes in: a `Job` with its steps, as `sacct_text` and `sacct_json` read them. What goes out: its `Attempt`, or why
there is none. Pure.

Memory is what SLURM sampled (every 30 s by default) of each step: ``MaxRSS`` is the largest of a step's tasks, so that
a step of several tasks may have held so many times that at once; steps that ran at the same time may have peaked
together. The peak is that sum, which the truth does not exceed but for what passed between two samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.imports.attempts import Attempt
from stepsize.identity import Platform
from stepsize.model import Outcome

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

    from stepsize.collector.imports.labels import Labels

SOURCE = "slurm"
_GPU = "gres/gpu"
_LAST_SIGNAL = 64
_OUTCOMES = {
    "COMPLETED": Outcome.OK,
    "FAILED": Outcome.FAILED,
    "BOOT_FAIL": Outcome.LOST,
    "NODE_FAIL": Outcome.LOST,
    "LAUNCH_FAILED": Outcome.FAILED,
    "OUT_OF_MEMORY": Outcome.OOM,
    "TIMEOUT": Outcome.KILLED,
    "DEADLINE": Outcome.KILLED,
    "CANCELLED": Outcome.KILLED,
    "PREEMPTED": Outcome.KILLED,
    "REVOKED": Outcome.KILLED,
    "REQUEUED": Outcome.KILLED,
    "REQUEUE_HOLD": Outcome.KILLED,
    "SPECIAL_EXIT": Outcome.FAILED,
}
_UNFINISHED = frozenset(
    {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "CONFIGURING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStep:
    """One step of a job; ``max_rss_bytes`` is the largest of its ``tasks`` on ``nodes`` machines."""

    state: str = ""
    started_at_s: float | None = None
    ended_at_s: float | None = None
    tasks: int = 1
    nodes: int = 1
    max_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as SLURM accounts for it. ``job_id`` is what tells it from others; of an array, ``array_id`` and ``index``.

    ``het_id`` is the heterogeneous job that it is a component of; ``requested_memory_bytes`` is of the whole job;
    ``restarts`` counts how often it was queued again.
    """

    job_id: str
    state: str
    name: str = ""
    array_id: str | None = None
    het_id: str | None = None
    index: str | None = None
    restarts: int = 0
    user: str | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    started_at_s: float | None = None
    ended_at_s: float | None = None
    elapsed_s: float | None = None
    timelimit_s: float | None = None
    cpu_seconds: float | None = None
    nodes: int = 1
    node_list: str | None = None
    requested_cpus: float | None = None
    requested_memory_bytes: int | None = None
    requested_gpus: float | None = None
    steps: tuple[JobStep, ...] = ()


def attempt_of(job: Job, labels: Labels, step_pattern: re.Pattern[str] | None) -> Attempt | str:
    """The job as an attempt; why it is none where it has not ended, never ran, or ran on several machines."""
    state = base_state(job.state)
    if state in _UNFINISHED:
        return "had not ended"
    if not job.elapsed_s and state != "COMPLETED":
        return "never ran"
    if job.nodes > 1:
        return "ran on several nodes: what one of them used is not recorded"
    outcome = _outcome(state, job)
    if outcome is None:
        return "its state is not known"
    peak_bytes = peak(job.steps)
    known = labels.known()
    signal = job.exit_signal if job.exit_signal and job.exit_signal <= _LAST_SIGNAL else None
    return Attempt(
        flow=labels.flow,
        run=labels.run or job.array_id or job.het_id or job.job_id,
        step=_step(job.name, step_pattern),
        task=job.index if job.array_id and job.index and not labels.run else job.job_id,
        native=f"{job.job_id}@{job.started_at_s}",
        attempt=job.restarts,
        item=job.index,
        outcome=outcome,
        exit_code=None if job.exit_signal else job.exit_code,
        exit_signal=signal,
        started_at_s=job.started_at_s,
        ended_at_s=job.ended_at_s,
        duration_s=job.elapsed_s,
        # Without a plug-in that gathers them, SLURM says zero.
        cpu_seconds=job.cpu_seconds if job.cpu_seconds or peak_bytes else None,
        memory_peak_bytes=peak_bytes,
        memory_source=SOURCE if peak_bytes else None,
        requested_cpu=job.requested_cpus or None,
        requested_memory_bytes=job.requested_memory_bytes or None,
        requested_gpu=job.requested_gpus,
        requested_timeout_s=job.timelimit_s or None,
        host=job.node_list,
        **{"target": Platform.SLURM, "user": job.user, **known},
    )


def gpus(resources: Mapping[str, float]) -> float | None:
    """All of them, of counts by SLURM's names; the sum of their types (``gres/gpu:a100``) where only those are told."""
    if _GPU in resources:
        return resources[_GPU]
    typed = [count for name, count in resources.items() if name.startswith(f"{_GPU}:")]
    return sum(typed) if typed else None


def base_state(state: str) -> str:
    """``CANCELLED by 1000`` and ``CANCELLED+`` are ``CANCELLED``."""
    word = (state.split() or [""])[0].rstrip("+").upper()
    return next((one for one in _OUTCOMES if len(word) >= 9 and one.startswith(word)), word)


def peak(steps: Iterable[JobStep]) -> int | None:
    """The most that ``steps`` held at once, by what is known: bytes, or None where nothing is."""
    held = [
        (step, step.max_rss_bytes * max(1, -(-step.tasks // max(step.nodes, 1))))
        for step in steps
        if step.max_rss_bytes
    ]
    always = sum(size for step, size in held if step.started_at_s is None)
    moments: list[tuple[float, int]] = []
    for step, size in held:
        if step.started_at_s is not None:
            moments.append((step.started_at_s, size))
            if step.ended_at_s is not None:
                moments.append((max(step.ended_at_s, step.started_at_s + 1), -size))
    highest = now = always
    for _, change in sorted(moments):  # at one moment ends come first: times are whole seconds
        now += change
        highest = max(highest, now)
    return highest or None


def _outcome(state: str, job: Job) -> Outcome | None:
    outcome = _OUTCOMES.get(state)
    if outcome is not None and outcome is not Outcome.OK:
        ran_out = any(base_state(step.state) == "OUT_OF_MEMORY" for step in job.steps)
        return Outcome.OOM if ran_out else outcome
    return outcome


def _step(name: str, pattern: re.Pattern[str] | None) -> str:
    """What the pattern finds in a job's name; the name where it finds nothing."""
    match = pattern.search(name) if pattern else None
    found = match[1] if match and match.re.groups else match[0] if match else None
    return found or name or "job"
