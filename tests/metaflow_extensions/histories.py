"""Rows of `tasks` such as a flow leaves that ran before."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

_FIRST = datetime(2026, 11, 1, tzinfo=timezone.utc)
MB = 10**6


def history(flow: str, step: str, runs: int = 8, tasks: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Tasks of a minute that used one core and 300 MB of the 8000 they asked for."""
    return [
        {
            "flow": flow,
            "run": f"r{run}",
            "step": step,
            "task": f"{run}-{task}",
            "attempt": 0,
            "user": "tester",
            "started_at": _FIRST + timedelta(days=run),
            "ended_at": _FIRST + timedelta(days=run, minutes=1),
            "duration_s": 60.0,
            "outcome": "ok",
            "cpu_seconds": 55.0,
            "cpu_mean": 0.9,
            "cpu_p95": 1.0,
            "cpu_max": 1.0,
            "memory_peak_bytes": (300 + task) * MB,
            "memory_source": "vmhwm",
            "requested_cpu": 4.0,
            "requested_memory_bytes": 8000 * MB,
            "host_cpus": 8,
            **more,
        }
        for run in range(runs)
        for task in range(tasks)
    ]
