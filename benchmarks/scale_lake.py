"""A lake of any number of tasks, for benchmarks of what reads them.

What comes in: a directory and how many tasks of how many steps. What goes out: a lake, written as the collector writes
it, a month at a time. Deterministic: the same numbers give the same rows.

Steps are as different in size as real ones: the largest has a hundred times the tasks of the median. Each flow has ten
steps and runs forty times in half a year; one task in fifty fails, one in two hundred runs out of memory and is tried
again. The state of the roll-up, which no report reads, is there too: it makes the files as large as they are.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from stepsize.store.lake import Lake
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from pathlib import Path

STEPS_OF_A_FLOW, RUNS, SPREAD = 10, 40, 1.98
"""``SPREAD``: standard deviation of the logarithm of a step's tasks; e to the 2.33 * 1.98 is a hundred."""
MONTHS = ("2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10")
_STATE = json.dumps({"key": ["Flow", "1", "step", "1", 0, "", "", "", ""], "levels": list(range(120))})

_STEPS = """
CREATE TABLE steps AS
WITH weighed AS (
    SELECT step, exp(least(2.6, greatest(-2.6, sqrt(-2 * ln(u)) * cos(2 * pi() * v))) * $spread) AS weight, v AS size
    FROM (SELECT range AS step, (hash(range, 1) % 999_983 + 1) / 999_984 AS u,
                 (hash(range, 2) % 999_983) / 999_983 AS v FROM range($steps))
)
SELECT step, size, greatest(1, round(weight / (SELECT sum(weight) FROM weighed) * $tasks))::BIGINT AS tasks FROM weighed
"""
_ROWS = """
WITH numbered AS (
    SELECT step, size, unnest(range(tasks)) AS n, tasks FROM steps
),
drawn AS (
    SELECT *, (hash(step, n, 3) % 9973) / 9973 AS u, (hash(step, n, 4) % 9973 + 1) / 9974 AS v,
           hash(step, n, 5) % 1000 AS luck, n % $runs AS run, n // $runs AS task FROM numbered
),
placed AS (
    SELECT *, 60 + 3000 * v * v AS duration_s, 0.25 + 7.5 * size * u AS cores,
           ((300 + 6000 * size * size) * exp(0.3 * sqrt(-2 * ln(v)) * cos(2 * pi() * u)) * 1e6)::BIGINT AS peak,
           1_777_593_600 + (run * 184 * 86400) // $runs + (step * 97) % 40_000 + task * 3 AS started_s
    FROM drawn
)
SELECT
    'Flow' || (step // $flow_steps) AS flow, run::VARCHAR AS run, 'step' || step AS step, task::VARCHAR AS task,
    0 AS attempt, task::VARCHAR AS item, to_timestamp(started_s) AS started_at,
    to_timestamp(started_s + duration_s) AS ended_at, duration_s,
    CASE WHEN luck < 5 THEN 'oom' WHEN luck < 25 THEN 'failed' ELSE 'ok' END AS outcome,
    duration_s::BIGINT AS samples, cores * duration_s AS cpu_seconds, cores AS cpu_mean,
    cores * 1.2 AS cpu_p95, cores * 1.5 AS cpu_max,
    MAP([ceil(log2(cores) * 16)::SMALLINT - 8, ceil(log2(cores) * 16)::SMALLINT, ceil(log2(cores) * 16)::SMALLINT + 8],
        [duration_s * 0.3, duration_s * 0.6, duration_s * 0.1]) AS cpu_histogram,
    CASE WHEN luck < 5 THEN 4_000_000_000 ELSE peak END AS memory_peak_bytes, peak * 0.7 AS memory_mean_bytes,
    'vmhwm' AS memory_source, 4_000_000_000 AS memory_limit_bytes,
    (peak // 3)::BIGINT AS disk_read_bytes, (peak // 5)::BIGINT AS disk_write_bytes,
    4.0 AS requested_cpu, 4_000_000_000 AS requested_memory_bytes, 'ann' AS "user", 'v' || (run // 10) AS code_version,
    'host-' || (hash(step, n) % 200) AS host, 16 AS host_cpus, 64_000_000_000 AS host_memory_bytes,
    'aws' AS cloud_vendor, 'us-east-1' AS cloud_region, 'm7i.4xlarge' AS instance_type, $state AS state
FROM placed
WHERE strftime(make_timestamp(started_s * 1_000_000), '%Y-%m') = $month
ORDER BY started_s, step
"""


def write_lake(data: Path, tasks: int, steps: int) -> int:
    """Make the lake; returns how many tasks it holds, which is about ``tasks``: each step has one at least."""
    lake = Lake(data)
    lake.create()
    writer = LakeWriter(data, str(uuid.UUID(int=tasks)))
    stored = []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_STEPS, {"spread": SPREAD, "steps": steps, "tasks": tasks})
        for month in MONTHS:
            given = {"runs": RUNS, "flow_steps": STEPS_OF_A_FLOW, "state": _STATE, "month": month}
            for batch in connection.sql(_ROWS, params=given).to_arrow_reader(100_000):
                stored.append(writer.write("tasks", f"month={month}", _whole(batch)))  # noqa: PERF401 - it writes
    writer.commit(replace(writer.manifest, files=tuple(stored)))
    return sum(one.rows for one in stored)


def _whole(batch: pa.RecordBatch) -> pa.Table:
    """The rows with every stored column; NULL where the query says nothing."""
    given = pa.Table.from_batches([batch])
    columns = [
        given[field.name].cast(field.type) if field.name in given.schema.names else pa.nulls(len(given), field.type)
        for field in TASKS
    ]
    return pa.table(columns, schema=TASKS)
