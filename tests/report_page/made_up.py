"""Rows of a made-up lake that looks like one of a team: flows of ten steps, day after day, the same each time.

What comes in: how many steps and runs. What goes out: rows of ``tasks``. Peaks wander and grow, a step outgrows its
request, another holds two GPUs and uses one, one is a foreach whose tasks differ, some attempts fail.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from stepsize.model import cpu_bucket

NEWEST = datetime(2026, 11, 22, 3, tzinfo=timezone.utc)
FLOWS = ("TrainFlow", "ForecastFlow", "EmbedFlow", "ScoreFlow", "ExportFlow")
_MB = 10**6


@dataclass(frozen=True)
class Kind:
    """A step: what a task of it takes, what it asks for, how its run goes."""

    name: str
    peak_mb: float
    asked_mb: int
    cores: float
    asked_cpu: int
    seconds: float
    after: tuple[str, ...] = ()
    tasks: int = 1
    spread: float = 0.06
    growth: float = 0.0
    gpus: int = 0


KINDS = (
    Kind("start", 210, 4096, 0.4, 1, 40),
    Kind("load", 5_200, 32_000, 1.6, 8, 1_500, ("start",)),
    Kind("clean", 2_900, 8_000, 1.0, 4, 600, ("load",)),
    Kind("features", 13_400, 16_000, 2.9, 4, 2_700, ("clean",), growth=0.22),
    Kind("split", 1_100, 4_096, 0.6, 1, 90, ("features",)),
    Kind("train", 21_000, 64_000, 5.5, 16, 7_200, ("split",), gpus=2),
    Kind("tune", 1_900, 16_000, 1.8, 4, 900, ("train",), tasks=24, spread=0.45),
    Kind("evaluate", 3_800, 16_000, 1.9, 8, 420, ("tune",)),
    Kind("publish", 640, 4_096, 0.5, 2, 120, ("evaluate",)),
    Kind("end", 190, 4_096, 0.3, 1, 15, ("publish",)),
)


def rows(steps: int, runs: int, foreach_runs: int = 8, names: tuple[str, ...] = FLOWS) -> Iterator[dict[str, Any]]:
    """Attempts of so many steps in so many runs each; in all but the newest ``foreach_runs`` a foreach has one task."""
    chance = random.Random(5)
    for flow in range(math.ceil(steps / len(KINDS))):
        kinds = KINDS[: min(len(KINDS), steps - flow * len(KINDS))]
        scale = (1.0, 0.8, 0.55, 0.35, 0.2)[flow % 5]
        name = names[flow % len(names)] + ("" if flow < len(names) else str(flow // len(names)))
        for run in range(runs):
            begun = NEWEST - timedelta(hours=7 * (runs - 1 - run), minutes=17 * flow)
            part = 1 + 0.08 * math.sin(run / 9) + chance.gauss(0, 0.03)
            sizes = {kind.name: scale * part * (1 + kind.growth * run / max(1, runs - 1)) for kind in kinds}
            yield from _run(_Run(name, 1_000 + run, begun, scale, run >= runs - foreach_runs), sizes, kinds, chance)


@dataclass(frozen=True)
class _Run:
    flow: str
    number: int
    begun: datetime
    scale: float
    foreach: bool


def _run(
    run: _Run, sizes: dict[str, float], kinds: tuple[Kind, ...], chance: random.Random
) -> Iterator[dict[str, Any]]:
    ends: dict[str, datetime] = {}
    for kind in kinds:
        start = max([ends[before] for before in kind.after if before in ends], default=run.begun)
        start += timedelta(seconds=4)
        seconds = kind.seconds * run.scale
        for task in range(kind.tasks if run.foreach else 1):
            began = start + timedelta(seconds=(task // 8) * seconds * 1.05 + task % 8)
            for row in _attempts(run, kind, sizes[kind.name], task, began, chance):
                ends[kind.name] = max(ends.get(kind.name, row["ended_at"]), row["ended_at"])
                yield row


def _attempts(
    run: _Run, kind: Kind, size: float, task: int, began: datetime, chance: random.Random
) -> Iterator[dict[str, Any]]:
    peak_mb = kind.peak_mb * (0.4 + 0.6 * size) * chance.lognormvariate(0, kind.spread)
    seconds = kind.seconds * run.scale * chance.lognormvariate(0, 0.12)
    cores = kind.cores * chance.lognormvariate(0, 0.05)
    outcome = "oom" if peak_mb > kind.asked_mb else "failed" if chance.random() < 0.004 else "ok"
    attempts = [(outcome, min(peak_mb, kind.asked_mb))]
    if outcome != "ok":
        attempts.append(("ok", min(peak_mb, kind.asked_mb) * 0.97))
    for attempt, (end, peak) in enumerate(attempts):
        lasted = seconds * (0.6 if end != "ok" else 1.0)
        found = {
            "flow": run.flow,
            "run": str(run.number),
            "step": kind.name,
            "task": f"{run.number}{task:03}",
            "attempt": attempt,
            "item": f"part={task}" if kind.tasks > 1 else None,
            "started_at": began,
            "ended_at": began + timedelta(seconds=lasted),
            "duration_s": lasted,
            "outcome": end,
            "cpu_seconds": cores * lasted,
            "cpu_mean": cores,
            "cpu_max": cores * 1.3,
            "cpu_histogram": {
                cpu_bucket(cores * part): lasted * share for part, share in ((0.7, 0.3), (1, 0.5), (1.3, 0.2))
            },
            "memory_peak_bytes": int(peak * _MB),
            "memory_source": "vmhwm",
            "requested_cpu": float(kind.asked_cpu),
            "requested_memory_bytes": kind.asked_mb * _MB,
            "user": "ann",
        }
        if kind.gpus:
            found |= {
                "requested_gpu": float(kind.gpus),
                "gpu_count": 1.0,
                "gpu_utilization_mean": 0.62,
                "gpu_utilization_max": 0.99,
                "gpu_memory_peak_bytes": int(9_400 * _MB * chance.lognormvariate(0, 0.03)),
            }
        yield found
        began += timedelta(seconds=lasted + 5)
