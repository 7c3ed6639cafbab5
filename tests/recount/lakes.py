"""Lakes in which much of what a roll-up has to know happens, written by the real sink; and their rows, to compare."""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

from stepsize.collector.sink.sink import Sink
from stepsize.model import Attr
from stepsize.store.lake import Lake
from stepsize.store.writer import LakeWriter
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples
from tests.collector.rollup_log import MIB, T0, Log, attempt, time_of
from tests.collector.test_tasks import full_attempt

if TYPE_CHECKING:
    from pathlib import Path

_ODD: dict[str, Any] = {
    'comma, "quote" and \\': 'a "b", {c}: [d]',
    "größe\n": "ü,\n\t/",
    "list": [1, "x,y"],
    "flag": True,
    "none": None,
    "nested": [[1, "]"], {"a": {"b~/": ["}"]}}],
    "long": '"' * 20_000,
}
_SAID_ODDLY: dict[str, Any] = {
    "stepsize.host.spot": "true",  # as what comes from OTEL_RESOURCE_ATTRIBUTES
    "stepsize.request.gpu": True,
    "host.type": [1, "x"],
    f"{Attr.ENVIRONMENT_PREFIX}OMP_NUM_THREADS": 4,
    f"{Attr.ENVIRONMENT_PREFIX}MKL_NUM_THREADS": "2,1",
    f"{Attr.ENVIRONMENT_PREFIX}RAYON_NUM_THREADS": [1],
    f"{Attr.ENVIRONMENT_PREFIX}HOME": "/home/ada",
}


def requests() -> list[RequestBuilder]:
    """Attempts that differ in what they say, and how."""
    return [
        *full_attempt(),
        *_running(),
        *_peaks(),
        *_sums(),
        *_rates(),
        *_devices(),
        *_told(),
        *_nonsense(),
        *_random(random.Random(7)),
    ]


def _running() -> list[RequestBuilder]:
    killed = attempt("silent-oom").gauge("stepsize.task.memory.usage", [(T0, MIB)])
    return [
        attempt("silent").gauge("stepsize.task.cpu.usage", cpu_samples(T0, [2.0, 2.0])),
        killed.sum("container.memory.oom_kills", T0 - SECOND, [(T0, 0), (T0 + SECOND, 1)]),
        attempt("nothing").gauge("stepsize.task.process.count", [(T0, 3)]),
        attempt("ended").end(T0 + 3 * SECOND, "surprised", process__exit__signal=9, process__exit__code="-1"),
    ]


def _peaks() -> list[RequestBuilder]:
    limits = [(T0 + i * SECOND, float(i * MIB)) for i in (3, 1, 2)]
    both = attempt("peaks-equal").gauge("stepsize.task.memory.usage", [(T0, MIB)])
    return [
        both.gauge("stepsize.task.memory.peak", [(T0, MIB)], stepsize__memory__source="cgroup"),
        attempt("peaks-bare").gauge("stepsize.task.memory.peak", [(T0, MIB)]),
        attempt("limits").gauge("container.memory.limit", limits).gauge("container.cpu.limit", [(T0, 1.5)]),
    ]


def _sums() -> list[RequestBuilder]:
    older, restarted = attempt("sums-older"), attempt("sums-restarted")
    older.gauge("stepsize.task.memory.usage", [(T0, MIB)])
    older.sum("container.cpu.throttled.time", T0 - 500 * SECOND, [(T0, 7.0), (T0 + 9 * SECOND, 9.5)])
    for start, values in ((T0, (1.0, 2.0)), (T0 + 60 * SECOND, (0.5, 4.0))):
        points = [(start + (i + 1) * SECOND, value) for i, value in enumerate(values)]
        restarted.sum("stepsize.task.cpu.time", start, points, unit="s", cpu__mode="user")
    halves = attempt("halves").gauge("stepsize.task.network.io.rate", [(T0, 0.5)], network__io__direction="receive")
    return [older, restarted, halves]


def _rates() -> list[RequestBuilder]:
    gaps = [(T0, 1.0), (T0 + SECOND, 4.0), (T0 + SECOND, 2.0), (T0 + 500 * SECOND, 0.001), (T0 + 501 * SECOND, 64.0)]
    moved = attempt("moved", **{"host.name": "worker-2"}).gauge("stepsize.task.cpu.usage", gaps[3:], unit="{cpu}")
    started = attempt("started").sum("stepsize.task.cpu.time", T0 - 5 * SECOND, [(T0, 1.0)], cpu__mode="user")
    return [
        attempt("gaps").gauge("stepsize.task.cpu.usage", gaps, unit="{cpu}"),
        attempt("moved").gauge("stepsize.task.cpu.usage", gaps[:3], unit="{cpu}"),
        moved,
        started.gauge("stepsize.task.cpu.usage", gaps[:2], unit="{cpu}"),
    ]


def _devices() -> list[RequestBuilder]:
    turns, idle = attempt("turns"), attempt("idle")
    for device, values in (("GPU-0", [1.0, 0.0, 1.0, 0.0]), ("GPU-1", [0.0, 0.75, 0.0, 0.75])):
        turns.gauge("stepsize.task.gpu.utilization", cpu_samples(T0, values), hw__id=device)
    turns.gauge("stepsize.task.gpu.memory.usage", cpu_samples(T0, [3000, 1000, 0, 0]), hw__id="GPU-0")
    turns.gauge("stepsize.task.gpu.memory.usage", cpu_samples(T0, [1000, 2000]), hw__id="GPU-1")
    idle.gauge("stepsize.task.gpu.utilization", [(T0, 0.0)], hw__id="GPU-0")
    true = attempt("true").gauge("stepsize.task.gpu.memory.peak", [(T0, 5000)])
    return [turns, idle, true.gauge("stepsize.task.gpu.memory.usage", [(T0, 1000)])]


def _told() -> list[RequestBuilder]:
    def cpu(request: RequestBuilder, *values: float, **attributes: Any) -> RequestBuilder:
        return request.gauge("stepsize.task.cpu.usage", cpu_samples(T0, [*values]), unit="{cpu}", **attributes)

    notes = {f"stepsize.annotation.{name}": value for name, value in _ODD.items()}
    late = attempt(
        "late",
        **{"stepsize.target": "batch", "stepsize.annotation.rows": 1, "cloud.provider": "aws", "stepsize.user": "ada"},
    )
    later = attempt(
        "late", **{"stepsize.annotation.rows": 2, "cloud.provider": "hetzner", "stepsize.target": "fargate"}
    )
    by_point = attempt("by-point").gauge("stepsize.task.cpu.usage", [(T0, 1.0)], stepsize__annotation__rows=7)
    return [
        cpu(attempt("odd", **notes, **{"stepsize.user": 'o"brien\\, é', "stepsize.request.cpu": "0.5"}), 1.0),
        cpu(attempt("oddly", **_SAID_ODDLY), 1.0),
        cpu(late, 1.0),
        later.gauge("stepsize.task.memory.usage", [(T0 + 9 * SECOND, MIB)]),
        cpu(attempt("twice", **{"stepsize.branch": "prod"}), 1.0, 2.0),
        cpu(attempt("twice", **{"stepsize.branch": "test", "stepsize.project": "p"}), 8.0),
        by_point,
        cpu(attempt("refused", **{"stepsize.request.memory": "much", "stepsize.request.gpu": -1}), 1.0),
    ]


def _nonsense() -> list[RequestBuilder]:
    values = [(T0, -1.0), (T0 + SECOND, math.inf), (T0 + 2 * SECOND, math.nan), (T0 + 3 * SECOND, 5.0)]
    off = [(1, 1.0), (T0 + 400 * 86_400 * SECOND, 2.0)]
    return [
        attempt("nonsense").gauge("stepsize.task.memory.usage", values),
        attempt("only-nonsense").gauge("stepsize.task.cpu.usage", values[:3]),
        attempt("clock").gauge("stepsize.task.disk.usage", off),
    ]


def _random(draw: random.Random) -> list[RequestBuilder]:
    """Attempts as agents send them: an export after another, each with a few samples of everything."""
    found = []
    for task in range(12):
        start, length = T0 + draw.randrange(900) * SECOND + draw.randrange(SECOND), draw.randrange(3, 40)
        times = [start + i * SECOND + draw.randrange(10**7) for i in range(1, length)]
        cores = [draw.choice([0.0, draw.random(), 16 * draw.random()]) for _ in times]
        spent, peak, rest = 0.0, 0, list(zip(times, cores, strict=True))
        while rest:
            some, rest = rest[:5], rest[5:]
            one = attempt(f"random-{task}", draw.randrange(2) if task % 5 == 0 else 0)
            one.gauge("stepsize.task.cpu.usage", some, unit="{cpu}")
            one.gauge("stepsize.task.memory.usage", [(time, draw.randrange(10**9)) for time, _ in some], unit="By")
            spent += sum(used for _, used in some)
            peak = max(peak, draw.randrange(10**9))
            one.sum("stepsize.task.cpu.time", start, [(some[-1][0], spent)], unit="s", cpu__mode="user")
            one.gauge("stepsize.task.memory.peak", [(some[-1][0], peak)], stepsize__memory__source="vmhwm")
            one.gauge(
                "stepsize.task.network.io.rate", some, network__io__direction=draw.choice(["receive", "transmit"])
            )
            found.append(one)
        if task % 3:
            found.append(attempt(f"random-{task}").end(times[-1] + draw.randrange(SECOND), "ok", process__exit__code=0))
    return found


def write(path: Path) -> tuple[Log, int]:
    """A lake of all of it, written in a few commits, and a moment at which those that are silent are lost."""
    log, all_of_it = Log(path), requests()
    for begin in range(0, len(all_of_it), 25):
        log.fold(*all_of_it[begin : begin + 25])
    until_ns = time_of(log) + 601 * SECOND
    log.sink.tick(until_ns)
    return log, until_ns


OTHER = "99999999-2222-3333-4444-555555555555"


def beside(log: Log, path: Path) -> Log:
    """Another collector's log, which writes to the same lake."""
    other = Log(path)
    other.lake = log.lake
    other.sink = Sink(LakeWriter(log.lake.data, OTHER), other.wal, other.limits, T0)
    return other


def rows(data: Path) -> list[dict[str, Any]]:
    """The view `tasks` in an order, with JSON read."""
    with Lake(data).connect() as connection:
        cursor = connection.execute("SELECT * FROM tasks ORDER BY flow, run, step, task, attempt, branch, outcome")
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in found:
        for name in ("annotations", "thread_limits"):
            row[name] = None if row[name] is None else json.loads(row[name])
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, sums of doubles but for the order in which they were added up."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other) and type(one) is type(other)


def differences(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Where rows are not the same, for people to read; empty where they are."""
    keys = ("task", "attempt", "branch")
    found = [f"{len(some)} rows and {len(others)}"] if len(some) != len(others) else []
    for one, other in zip(some, others, strict=False):
        whose = [one[key] for key in keys]
        found += [f"{whose} {k}: {v!r} {other.get(k)!r}" for k, v in one.items() if not same(v, other.get(k))]
    return found
