"""No figure of a row is absurd, whatever was sent."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.limits import RollupLimits
from stepsize.collector.rollup.attempt import Attempt
from stepsize.collector.rollup.table import AttemptTable
from stepsize.model import METRICS, Kind, Request
from stepsize.store.schema import TASKS
from tests.collector.otlp import SECOND, cpu_samples, pairs
from tests.collector.rollup_log import T0, Log, attempt, fold

if TYPE_CHECKING:
    from collections.abc import Iterable


def test_values_that_are_no_numbers(log: Log) -> None:
    """NaN and infinite samples are stored and leave the roll-up as it is."""
    samples: Iterable[tuple[int, float]] = [(T0 + SECOND, float("nan")), (T0 + 2 * SECOND, float("inf"))]
    log.fold(attempt().gauge("stepsize.task.cpu.usage", [*samples, (T0 + 3 * SECOND, 0.5)]))
    (row,) = log.tasks()
    assert (row["cpu_max"], row["samples"]) == (0.5, 1)
    with log.lake.connect() as connection:
        assert connection.execute("SELECT count(value) FROM points").fetchone() == (3,)


def test_absurd_figures_are_left_out(log: Log) -> None:
    """What no task can use or ask for leaves the row as it is, and is stored as a point all the same."""
    asked = {"stepsize.request.cpu": -1, "stepsize.request.gpu": 10**18, "stepsize.request.memory": "1e300"}
    request = attempt(**asked, **{"stepsize.request.disk": 10**9})
    request.gauge("stepsize.task.cpu.usage", [*cpu_samples(T0, [1.7e308] * 5), (T0 + 6 * SECOND, 2.0)])
    request.sum("stepsize.task.cpu.time", T0, [(T0 + SECOND, 1e308)], cpu__mode="user")
    request.gauge("stepsize.task.gpu.count", [(T0, 1e300), (T0, -2)])
    request.gauge("stepsize.task.memory.usage", [(T0, 2**63 - 1), (T0, -5), (T0, 100)])
    request.end(T0 + 6 * SECOND, "ok", process__exit__code=-9, process__exit__signal=2**40)
    log.fold(request)
    (row,) = log.tasks()
    asked_for = [row[f"requested_{name}"] for name in ("cpu", "gpu", "memory_bytes", "disk_bytes")]
    assert asked_for == [None, None, None, 10**9]
    assert (row["cpu_max"], row["cpu_seconds"], row["gpu_count"], row["memory_peak_bytes"]) == (2.0, 12.0, None, 100)
    assert (row["outcome"], row["exit_code"], row["exit_signal"], row["samples"]) == ("ok", None, None, 1)
    with log.lake.connect() as connection:
        found = connection.execute("SELECT count(*) FROM points WHERE value > 1e299 OR value < 0").fetchone()
    assert found == (9,)


_TIMES = st.one_of(st.integers(0, 2**64 - 1), st.integers(-(10**16), 10**16).map(lambda off: T0 + off))


_VALUES = st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.floats(0, 100))


_GAUGES = [metric.name for metric in METRICS.values() if metric.kind is Kind.GAUGE]


_SUMS = [metric.name for metric in METRICS.values() if metric.kind is Kind.SUM]


_POINTS = st.lists(st.tuples(_TIMES, _VALUES), min_size=1, max_size=4)


_SENT = st.one_of(
    st.tuples(st.sampled_from(_GAUGES), st.none(), _POINTS), st.tuples(st.sampled_from(_SUMS), _TIMES, _POINTS)
)


_SAID = st.dictionaries(
    st.sampled_from([*Request(1, 1, 1, 1).attributes(), "stepsize.task.attempt"]),
    st.one_of(_VALUES, st.text(st.characters(codec="ascii"), max_size=9)),
)


_ATTRIBUTES = st.dictionaries(st.sampled_from(["process.exit.code", "process.exit.signal", "hw.id"]), _VALUES)


@given(_SAID, st.lists(_SENT, max_size=8), _TIMES.filter(lambda time: time < 2**63), _ATTRIBUTES)
def test_no_figure_of_a_row_is_absurd(
    said: dict[str, Any], sent: list[tuple[str, int | None, Any]], arrival: int, attributes: dict[str, Any]
) -> None:
    """Whatever is sent, and whenever: figures are finite and not negative, times in order and of this century."""
    request = attempt()
    for name, value in said.items():
        request.message.resource_metrics[0].resource.attributes.extend(pairs({name: value}))
    for metric, start, points in sent:
        if start is None:
            request.gauge(metric, points, **attributes)
        else:
            request.sum(metric, start, points, **attributes)
    table = AttemptTable(RollupLimits(), arrival)
    fold(table, request, arrival)
    states = [json.dumps(one.to_json()) for one in table.attempts.values()]
    table.restore([Attempt.from_json(json.loads(state)) for state in states])
    table.close_silent(2**63)
    rows = table.rows(table.attempts.values())
    pa.Table.from_pylist(rows, schema=TASKS)  # it can be stored
    for row in rows:
        figures = [value for value in row.values() if isinstance(value, (int, float))]
        figures += [figure for bucket in row["cpu_histogram"] or [] for figure in bucket[1:]]
        assert all(0 <= figure < math.inf for figure in figures), row
        json.loads(row["state"], parse_constant=pytest.fail)  # Infinity and NaN are no JSON
        started_at, ended_at = row["started_at"], row["ended_at"]
        assert (started_at is None) == (ended_at is None) == (row["duration_s"] is None)
        if started_at is not None:
            assert dt.datetime(2000, 1, 1, tzinfo=dt.timezone.utc) <= started_at <= ended_at


def test_state_of_an_older_collector() -> None:
    """A state from before user and project left the key is gone on with, and its absurd figures are not shown."""
    table = AttemptTable(RollupLimits(), T0)
    fold(table, attempt(**{"stepsize.user": "ada"}).gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0])))
    (state,) = (one.to_json() for one in table.attempts.values())
    assert list(state["key"]) == ["TrainFlow", "17", "train", "1", 0, "", "", "ada", ""]
    older = {name: value for name, value in state.items() if name not in {"told", "instances"}}
    older["cpu"]["total"] = math.inf
    table = AttemptTable(RollupLimits(), T0)
    table.restore([Attempt.from_json(older)])
    for user in ("ada", "bob"):
        request = attempt(**{"stepsize.user": user}).gauge("stepsize.task.memory.usage", [(T0, 1.0)])
        fold(table, request)
    rows = table.rows(table.attempts.values())
    assert [(row["user"], row["cpu_max"], row["cpu_seconds"]) for row in rows] == [
        ("ada", 1.0, None),
        ("bob", None, None),
    ]
