"""A lake whose every figure is known: attempts, points and reports as rows, for arithmetic in Python too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from stepsize.store.schema import POINTS
from stepsize.store.writer import LakeWriter
from stepsize.testing import write_tasks
from tests.store.points import SECOND, point

GB = 10**9
NAME = """it's "${flow:raw}" $5 {x} [[y]] \\ ünï→"""
"""A flow with all that a template or SQL might take for its own."""


@cache
def now() -> datetime:
    """When the lake was made: not when this was imported, which is minutes earlier where many tests run."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def end() -> datetime:
    """Of the range that is looked at."""
    return now() - timedelta(days=1)


def begin() -> datetime:
    """Of the range that is looked at."""
    return end() - timedelta(days=7)


def attempts() -> list[dict[str, Any]]:
    """Each of another kind; which counts where is said beside it."""
    made = [
        # Began before the range and goes on within it: no run of the range.
        _one("Long", "1", "load", 0, begin() - timedelta(hours=1), 7000.0, "failed"),
        _one("Long", "1", "fit", 1, begin() + timedelta(hours=1), 7200.0, "ok"),
        # Begins at the very borders, ends behind them.
        _one("Border", "1", "load", 0, begin(), 60.0, "ok"),
        _one("Border", "2", "load", 0, end(), 60.0, "ok"),
        _one("Border", "2", "fit", 1, end() + timedelta(minutes=2), 60.0, "failed"),
        _one("Border", "3", "load", 0, end() + timedelta(microseconds=1), 60.0, "ok"),
        # Fails, is tried again, goes well.
        _one("Again", "1", "fit", 0, begin() + timedelta(days=1), 50.0, "oom"),
        _one("Again", "1", "fit", 0, begin() + timedelta(days=1, seconds=60), 100.0, "ok", attempt=1),
        _one("Again", "2", "fit", 0, begin() + timedelta(days=2), 50.0, "lost"),
        _one("Again", "3", "fit", 0, begin() + timedelta(days=2), 50.0, "killed"),
        _one("Again", "4", "fit", 0, begin() + timedelta(days=3), 50.0, "unknown"),
        # Of two users, with the same number of the run; and one of production, with another cost.
        _one("Shared", "7", "fit", 0, begin() + timedelta(days=4), 10.0, "ok", user="ann", project="p"),
        _one("Shared", "7", "fit", 0, begin() + timedelta(days=5), 30.0, "failed", user="bob", project="p"),
        _one(
            "Shared", "8", "fit", 0, begin() + timedelta(days=5), 20.0, "ok", user="bob", project="p", branch="prod.x"
        ),
        # Asked for nothing, or for "no limit".
        _one(
            "Free",
            "1",
            "fit",
            0,
            begin() + timedelta(days=6),
            20.0,
            "ok",
            requested_memory_bytes=None,
            requested_cpu=None,
        ),
        _one(
            "Free", "2", "fit", 0, begin() + timedelta(days=6), 40.0, "ok", requested_memory_bytes=0, requested_cpu=0.0
        ),
        # Runs since before the range was over.
        _one("Still", "1", "fit", 0, end() - timedelta(hours=1), 3600.0, None),
    ]
    made += [
        _one("Years", str(month), "fit", 0, now() - timedelta(days=30 * month, hours=36), 60.0, "ok")
        for month in range(36)
    ]
    for item in range(1000):
        began = begin() + timedelta(days=1, seconds=7 * item)
        peak = (item + 1) ** 2 * 1000  # few are large: typical is not the mean
        made.append(
            _one(NAME, str(item // 500), "fit", item, began, 10.0 + item, "failed" if item % 100 == 99 else "ok")
            | {"item": f"part {item}", "memory_peak_bytes": peak, "requested_memory_bytes": GB}
        )
    return made + running()


def running() -> list[dict[str, Any]]:
    """What is there now: two that run, one of them since long ago; one that has just ended; one that fell silent; one
    that held nine tenths of its memory."""
    gpus = {"requested_gpu": None, "gpu_count": 2.0}
    return [
        _one(
            "Now",
            "1",
            "fit",
            0,
            now() - timedelta(seconds=3000),
            3000.0,
            None,
            memory_peak_bytes=95 * GB // 10,
            cpu_limit=4.0,
        ),
        _one("Now", "1", "fit", 1, now() - timedelta(seconds=400), 400.0, None, requested_cpu=None, **gpus),
        _one("Now", "1", "fit", 2, now() - timedelta(seconds=330), 300.0, "ok", memory_limit_bytes=5 * GB),
        _one("Now", "0", "fit", 0, now() - timedelta(days=3), 600.0, None),
        _one("Now", "1", "calm", 0, now() - timedelta(seconds=900), 60.0, "ok", memory_peak_bytes=9 * GB),
    ]


def _one(
    flow: str, run: str, step: str, task: int, began: datetime, duration_s: float, outcome: str | None, **more: Any
) -> dict[str, Any]:
    return {
        "flow": flow,
        "run": run,
        "step": step,
        "task": str(task),
        "attempt": 0,
        "started_at": began,
        "ended_at": began + timedelta(seconds=duration_s),
        "duration_s": duration_s,
        "outcome": outcome,
        "cpu_seconds": 2 * duration_s,
        "cpu_mean": 2.0,
        "cpu_p95": 3.0,
        "memory_peak_bytes": 2 * GB,
        "requested_memory_bytes": 10 * GB,
        "requested_cpu": 8.0,
        **more,
    }


def points() -> Iterator[dict[str, Any]]:
    """Of attempts that are there now; of hosts; of collectors."""
    for one in running()[:3]:
        for second in range(0, 3600, 5):  # also past its end, and past now: tests come minutes later
            at = one["started_at"] + timedelta(seconds=second)
            if now() - timedelta(minutes=20) < at < now() + timedelta(minutes=15):
                for metric, value in (("cpu.usage", 2.0), ("memory.usage", 1.5 * GB)):
                    yield _at(at, f"stepsize.task.{metric}", value, **_names(one))
                if "gpu_count" in one:
                    for device in ("0", "1"):
                        attributes = {"hw.id": device}
                        yield _at(at, "stepsize.task.gpu.utilization", 0.25, attributes, **_names(one))
    for host, cores, idle in (("a", 64, 0.25), ("b", 16, 0.75)):
        for minute in range(4):
            at = end() - timedelta(minutes=minute)
            yield _at(at, "system.cpu.logical.count", cores, host=host)
            yield _at(at, "system.cpu.utilization", idle, {"cpu.mode": "idle"}, host=host)
            yield _at(at, "system.cpu.utilization", 1 - idle, {"cpu.mode": "user"}, host=host)
            yield _at(at, "system.memory.limit", 100 * GB, host=host)
            yield _at(at, "system.memory.usage", cores * GB, {"system.memory.state": "used"}, host=host)
            yield _at(at, "hw.gpu.utilization", 0.5 * (host == "a"), {"hw.id": f"{host}0", "hw.name": "L4"}, host=host)
    yield from _collectors()


def _collectors() -> Iterator[dict[str, Any]]:
    """One since before the range, one that began within it; each refuses a few times; counters tell from then on."""
    for name, start in (("old", begin() - timedelta(days=1)), ("new", end() - timedelta(minutes=30))):
        told = {
            "resource": json.dumps({"service.instance.id": name}),
            "service": "stepsize-collector",
            "start_time_unix_nano": _nano(start),
            "flow": None,
        }
        for minute in range(60):
            at = end() - timedelta(minutes=59 - minute)
            if at < start:
                continue
            yield _at(at, "otelcol_receiver_accepted_metric_points", 600.0 * (minute + 1), **told)
            yield _at(at, "stepsize_sink_up", 1.0, **told)
            if minute >= 40:
                refused = {"bound": "series"}
                yield _at(at, "stepsize_receiver_refused_requests", 3.0 + (minute >= 50), refused, **told)
    # Of the last hour, for the rules: what was refused long ago, again just now, for the first time just now.
    for name, counts in (("past", (5, 5, 5)), ("again", (5, 5, 7)), ("first", (None, None, 2))):
        for minutes, count in zip((40, 20, 1), counts, strict=True):
            told = {"resource": json.dumps({"service.instance.id": name}), "service": "stepsize-collector"}
            at = now() - timedelta(minutes=minutes)
            if count is not None:
                yield _at(
                    at, "stepsize_wal_refused_requests", count, **told, start_time_unix_nano=_nano(begin()), flow=None
                )


def _names(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("flow", "run", "step", "task", "attempt")}


def _at(
    at: datetime, metric: str, value: float, attributes: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    names = {"flow": None, "run": None, "step": None, "task": None, "attempt": None} | more
    return point(_nano(at), float(value), metric=metric, attributes=json.dumps(dict(attributes or {})), **names)


def _nano(at: datetime) -> int:
    return round(at.timestamp()) * SECOND


def report(flow: str, step: str, now: float | None, then: float | None, **more: Any) -> dict[str, Any]:
    """A step of a nightly report."""
    amounts = {"cpu": 8.0, "memory_mb": 10_000.0, "gpu": None, "vram_mb": None, "disk_mb": None}
    return {
        "flow": flow,
        "step": step,
        "project": None,
        "production": False,
        "runs": 2,
        "tasks": 2,
        "requested": amounts,
        "recommended": amounts,
        "used": amounts,
        "timeout_s": {"requested": None, "recommended": None},
        "confidence": "high",
        "wasted_gb_h": 1.5,
        "cost_per_run": {"now": now, "recommended": then},
        "saving_per_month": None,
        "currency": "USD",
        "servers": [],
        "reasons": ["why"],
        **more,
    }


def reports() -> dict[str, list[dict[str, Any]]]:
    """By day, the newest last."""
    less = {"cpu": 8.0, "memory_mb": 5_000.0, "gpu": None, "vram_mb": None, "disk_mb": None}
    today = now().date()
    steps = [
        report("Again", "load", 1.0, 0.5, saving_per_month=150.5, recommended=less),
        report("Again", "fit", 2.0, 1.5, saving_per_month=-20.0),
        report("Again", "end", None, 7.0, saving_per_month=None),
        report("Shared", "fit", 10.0, 5.0, project="p", saving_per_month=99.0),
        report("Shared", "fit", 100.0, 50.0, project="p", production=True, saving_per_month=1.0, recommended=less),
    ]
    return {
        (today - timedelta(days=2)).isoformat(): [{**steps[0], "saving_per_month": 12.5}],
        (today - timedelta(days=1)).isoformat(): [{**steps[0], "currency": "EUR"}, steps[3]],
        today.isoformat(): steps,
    }


def make(data: Path) -> None:
    """Make the lake in ``data``."""
    write_tasks(data, attempts())
    writer = LakeWriter(data, "11111111-2222-3333-4444-555555555555")
    by_day: dict[str, list[dict[str, Any]]] = {}
    for row in points():
        at = datetime.fromtimestamp(row["time_unix_nano"] // SECOND, timezone.utc)
        by_day.setdefault(at.date().isoformat(), []).append(row)
    stored = [
        writer.write("points", f"day={day}", pa.Table.from_pylist(rows, POINTS)) for day, rows in sorted(by_day.items())
    ]
    writer.commit(replace(writer.manifest, files=tuple(stored)))
    for day, steps in reports().items():
        place = data / "reports" / f"day={day}"
        place.mkdir(parents=True)
        (place / "report.json").write_text(json.dumps(steps), "utf-8")
