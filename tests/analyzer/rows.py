"""Rows of `tasks` and evidence for the analyzer's tests: everything plausible unless a test says otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from stepsize.analyzer.usage import Attempt, CpuBucket, StepEvidence
from stepsize.model import Outcome, cpu_bucket

NOON = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
MB = 10**6


def row(**values: Any) -> dict[str, Any]:
    """One row of `tasks`: a minute at one core and 600 MB of the 4096 MB asked for, which went well."""
    started_at = values.get("started_at", NOON)
    duration_s = values.get("duration_s", 60.0)
    cores = values.pop("cores", 1.0)
    given = {
        "flow": "TrainFlow",
        "run": "1",
        "step": "train",
        "task": "1",
        "attempt": 0,
        "started_at": started_at,
        "duration_s": duration_s,
        "outcome": "ok",
        "cpu_seconds": cores * duration_s,
        "cpu_mean": cores,
        "cpu_max": cores,
        "cpu_histogram": {cpu_bucket(cores): duration_s},
        "memory_peak_bytes": 600 * MB,
        "memory_source": "vmhwm",
        "requested_cpu": 1.0,
        "requested_memory_bytes": 4096 * MB,
        **values,
    }
    return {**given, "ended_at": started_at + timedelta(seconds=duration_s)}


def attempt(**values: Any) -> Attempt:
    """One attempt: a minute at one core and 600 MB of the 4096 MB asked for, which went well."""
    base = Attempt(
        run="1",
        task="1",
        outcome=Outcome.OK,
        started_at_s=NOON.timestamp(),
        duration_s=60.0,
        cpu_seconds=60.0,
        cpu_mean=1.0,
        cpu_max=1.0,
        memory_peak_bytes=600 * MB,
        memory_source="vmhwm",
        requested_cpu=1.0,
        requested_memory_bytes=4096 * MB,
    )
    return replace(base, **values)


def tasks(peaks_mb: list[float], **values: Any) -> tuple[Attempt, ...]:
    """One finished task for each peak."""
    return tuple(
        attempt(**{"task": str(number), "memory_peak_bytes": int(peak * MB), **values})
        for number, peak in enumerate(peaks_mb)
    )


def in_runs(peaks_mb: list[float], runs: int, **values: Any) -> list[Attempt]:
    """A task for each peak, dealt out to so many runs, an hour apart."""
    dealt = []
    for number, one in enumerate(tasks(peaks_mb, **values)):
        run = number % runs
        dealt.append(replace(one, run=str(run), started_at_s=(one.started_at_s or 0.0) + 3600 * run))
    return dealt


def evidence(*attempts: Attempt, cores: dict[float, float] | None = None) -> StepEvidence:
    """A step with these attempts and these seconds at so many cores (default: a minute at one)."""
    spent = {1.0: 60.0} if cores is None else cores
    return StepEvidence(
        flow="TrainFlow",
        step="train",
        attempts=attempts,
        cpu_histogram=tuple(CpuBucket(cpu_bucket(value), seconds) for value, seconds in spent.items()),
    )
