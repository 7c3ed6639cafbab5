"""The points of tasks that are sampled once a second, as they are stored.

What comes in: how many tasks, for how long, how their hosts' clocks are. What goes out: rows of `points`. The same
each time; never does I/O.

Twelve series a task; levels walk at random, moving in seven samples of ten, and are rounded as real gauges are (cores
to 1e-4, memory to pages, utilization to a hundredth). All tasks of a host are sampled at the same moment, which may be
late by some hundred microseconds, and arrive with each export, every five seconds.
"""

from __future__ import annotations

import json
import random
from array import array
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.store.order import in_order
from stepsize.store.schema import POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 10**9
PAGE = 4096
DAY = 1_790_035_200 * SECOND  # a midnight that is past
PARTITION = "day=2026-09-22"
EXPORT_S = 5


class Level(NamedTuple):
    """A series: its metric, unit, attributes, highest value, and to what it is rounded (an int is stored as one)."""

    metric: str
    unit: str
    attributes: str
    highest: float
    step: float


SERIES = (
    Level("stepsize.task.cpu.usage", "{cpu}", "{}", 8.0, 1e-4),
    Level("stepsize.task.memory.usage", "By", "{}", 8e9, PAGE),
    Level("stepsize.task.process.count", "1", "{}", 8, 1),
    Level("stepsize.task.thread.count", "1", "{}", 64, 1),
    Level("stepsize.task.disk.io.rate", "By/s", '{"disk.io.direction":"read"}', 1e7, PAGE),
    Level("stepsize.task.disk.io.rate", "By/s", '{"disk.io.direction":"write"}', 1e7, PAGE),
    Level("stepsize.task.network.io.rate", "By/s", '{"network.io.direction":"receive"}', 1e6, 1),
    Level("stepsize.task.network.io.rate", "By/s", '{"network.io.direction":"transmit"}', 1e6, 1),
    Level("stepsize.task.disk.usage", "By", "{}", 1e9, PAGE),
    Level("stepsize.task.gpu.utilization", "1", "{}", 1.0, 1e-2),
    Level("stepsize.task.gpu.memory.usage", "By", "{}", 4e10, 1 << 20),
    Level("container.memory.working_set", "By", "{}", 8e9, PAGE),
)


def walk(chance: random.Random, level: Level, count: int) -> list[float]:
    """A level's samples."""
    share, made = chance.random() / 2, []
    for _ in range(count):
        if chance.random() < 0.7:
            share = min(1.0, max(0.0, share + chance.gauss(0, 0.02)))
        steps = int(share * level.highest / level.step)
        made.append(steps * level.step if isinstance(level.step, int) else round(steps * level.step, 4))
    return made


def clocks(chance: random.Random, seconds: int, late_ns: int) -> tuple[list[int], list[int]]:
    """When a host sampled, and when each sample arrived."""
    phase = chance.randrange(SECOND // 2)
    times = [DAY + phase + i * SECOND + int(abs(chance.gauss(0, late_ns))) for i in range(seconds)]
    arrived = []
    for start in range(0, seconds, EXPORT_S):
        export = times[start : start + EXPORT_S]
        arrived += [export[-1] + chance.randrange(2_000_000, 20_000_000)] * len(export)
    return times, arrived


def hour(tasks: int, tasks_on_host: int, seconds: int, late_ns: int) -> pa.Table:
    """All points, sorted by series."""
    chance = random.Random(1)
    hosts = [clocks(chance, seconds, late_ns) for _ in range(-(-tasks // tasks_on_host))]
    parts = []
    for task in range(tasks):
        times, arrived = hosts[task // tasks_on_host]
        for level in SERIES:
            values = walk(chance, level, seconds)
            kind = "value_int" if isinstance(level.step, int) else "value_double"
            columns = {
                **{name: _constant(value, seconds) for name, value in _described(task, tasks_on_host, level).items()},
                "time_unix_nano": pa.array(array("q", times)),
                "received_at_unix_nano": pa.array(array("q", arrived)),
                kind: pa.array(values, POINTS.field(kind).type),
            }
            rows = [columns.get(field.name, pa.nulls(seconds, field.type)) for field in POINTS]
            parts.append(
                pa.table([column.cast(field.type) for column, field in zip(rows, POINTS, strict=True)], POINTS)
            )
    return in_order(pa.concat_tables(parts), "points")


def _described(task: int, tasks_on_host: int, level: Level) -> dict[str, object]:
    flow, run, step = f"Flow{task % 5}", str(1_790_000_000 + task // 35), f"step{task // 5 % 7}"
    host = f"ip-10-0-{task // tasks_on_host}"
    named = {
        "flow.name": flow,
        "run.id": run,
        "step.name": step,
        "task.id": str(task),
        "user": "ann",
        "project": "demo",
    }
    resource_ = {"service.name": flow, "host.name": host, "process.pid": 1000 + task, "cloud.region": "eu-west-1"}
    return {
        "metric": level.metric,
        "unit": level.unit,
        "kind": "gauge",
        "description": level.metric,
        "flow": flow,
        "run": run,
        "step": step,
        "task": str(task),
        "attempt": 0,
        "host": host,
        "service": flow,
        "attributes": level.attributes,
        "resource": json.dumps({**{f"stepsize.{name}": text for name, text in named.items()}, **resource_}),
        "scope": '{"name":"stepsize","version":"0.1.0"}',
        "start_time_unix_nano": 0,
        "flags": 0,
    }


def _constant(value: object, count: int) -> pa.Array:
    array_ = pa.repeat(pa.scalar(value), count)
    return array_.dictionary_encode() if isinstance(value, str) else array_


def commits(points: pa.Table, rows: int) -> Iterator[pa.Table]:
    """The points as they arrive, about so many at once, each lot sorted by series."""
    arrived = points["received_at_unix_nano"]
    first, last = pc.min(arrived).as_py(), pc.max(arrived).as_py() + 1
    count = max(1, round(points.num_rows / rows))
    for number in range(count):
        low, high = (first + (last - first) * edge // count for edge in (number, number + 1))
        part = points.filter(pc.and_(pc.greater_equal(arrived, low), pc.less(arrived, high)))
        if part.num_rows:
            yield part
