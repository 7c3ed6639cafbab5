"""What panels cost on a lake of a million points more."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stepsize.postgres.instance import Limits
from stepsize.store.schema import POINTS
from stepsize.store.writer import LakeWriter
from tests.collector.otlp import SECOND
from tests.collector.running import place_in
from tests.grafana.boards import BOARDS, RULES, panels
from tests.grafana.lake import GB, make_lake
from tests.grafana.test_queries import ask, chosen, window
from tests.postgres.places import serving

TASKS, POINTS_EACH = 250, 1000
HOSTS = 100
MOST_S = 0.1


def add_points(data: Path) -> int:
    """A quarter of an hour of 250 tasks by the second, six hours of 100 hosts; how many points these are."""
    now = time.time_ns()
    told = []
    for metric, unit, value in (("cpu.usage", "{cpu}", 1.5), ("memory.usage", "By", 2.0 * GB)):
        times = np.tile(now - np.arange(POINTS_EACH)[::-1] * SECOND * 9 // 10, TASKS)
        owner = np.repeat(np.arange(TASKS), POINTS_EACH)
        names = {"flow": "Train", "run": "many", "step": "fit", "attempt": 0}
        told.append(rows_of(f"stepsize.task.{metric}", unit, times, value, {}, **names, task=owner.astype(str)))
    for metric, unit, value, attributes in (
        ("system.cpu.utilization", "1", 0.4, {"cpu.mode": "idle"}),
        ("system.cpu.logical.count", "{cpu}", 16.0, {}),
        ("system.memory.usage", "By", 20.0 * GB, {"system.memory.state": "used"}),
        ("system.memory.limit", "By", 64.0 * GB, {}),
        ("hw.gpu.utilization", "1", 0.5, {"hw.id": "0", "hw.name": "NVIDIA L4"}),
    ):
        times = np.tile(now - np.arange(POINTS_EACH)[::-1] * SECOND * 21, HOSTS)
        owner = np.repeat(np.arange(HOSTS), POINTS_EACH)
        hosts = np.char.add("host-", owner.astype(str))
        told.append(rows_of(metric, unit, times, value, attributes, host=hosts))
    rows = pa.concat_tables(told).unify_dictionaries().combine_chunks()
    writer = LakeWriter(data, "99999999-2222-3333-4444-555555555555")
    days = np.asarray(rows["time_unix_nano"]) // (86_400 * SECOND)
    stored = []
    for day in np.unique(days):
        part = rows.filter(pa.array(days == day))
        stored.append(writer.write("points", f"day={np.datetime64(int(day), 'D')}", part))
    writer.commit(replace(writer.manifest, files=tuple(stored)))
    return int(rows.num_rows)


def rows_of(
    metric: str, unit: str, times: np.ndarray, value: float, attributes: dict[str, str], **more: object
) -> pa.Table:
    count = len(times)
    known = {
        "metric": metric,
        "unit": unit,
        "kind": "gauge",
        "attributes": json.dumps(attributes),
        "scope": "{}",
        "resource": "{}",
        "start_time_unix_nano": 0,
        "flags": 0,
        "time_unix_nano": times,
        "received_at_unix_nano": times,
        "value_double": value,
        **more,
    }

    def column(field: pa.Field) -> pa.Array:
        found = known.get(field.name)
        if isinstance(found, np.ndarray):
            return pa.array(found.tolist() if found.dtype.kind == "U" else found).cast(field.type)
        return pa.array([found]).cast(field.type).take(pa.array(np.zeros(count, np.int32)))

    return pa.table([column(field) for field in POINTS], schema=POINTS)


@pytest.mark.soak
def test_no_panel_takes_a_tenth_of_a_second(tmp_path: Path) -> None:
    """The best of five asks of each query, nothing kept between them; the times are printed."""
    with place_in(tmp_path) as place:
        make_lake(place)
        points = add_points(place.settings.data)
        assert points >= 10**6
        taken = {}
        with serving(place.settings.data, limits=Limits(cache_s=0.0)) as served:
            asked = {
                panel.name: window(board).expand(panel.target["rawSql"], chosen(board))
                for panel in panels()
                for board in (BOARDS[panel.board],)
            }
            asked |= {rule["uid"]: rule["data"][0]["model"]["rawSql"].replace("$$", "$") for rule in RULES}
            for name, query in asked.items():
                times = []
                for _ in range(5):
                    began = time.perf_counter()
                    ask(served, query)
                    times.append(time.perf_counter() - began)
                taken[name] = min(times)
    for name, seconds in sorted(taken.items(), key=lambda one: -one[1]):
        print(f"{seconds * 1000:7.1f} ms  {name}")
    assert max(taken.values()) < MOST_S
