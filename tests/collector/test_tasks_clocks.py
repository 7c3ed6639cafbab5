"""Rows whose times are those of the attempts, whatever clocks and silences say."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from stepsize.collector.limits import ClockBounds, SinkLimits
from tests.collector.otlp import SECOND, cpu_samples
from tests.collector.rollup_log import T0, Log, attempt, time_of

if TYPE_CHECKING:
    pass


def test_silent_attempt_is_lost_and_found(log: Log) -> None:
    """Silence closes an attempt as lost, or oom where its points say so; a later point takes that back."""
    log.fold(
        attempt("1").gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0])),
        attempt("2").sum("container.memory.oom_kills", T0, [(T0, 1)]),
    )
    heard = time_of(log)
    log.sink.tick(heard + 599 * SECOND)
    assert [row["outcome"] for row in log.tasks()] == [None, None]
    log.sink.tick(heard + 601 * SECOND)
    assert [row["outcome"] for row in log.tasks()] == ["lost", "oom"]
    log.make_sink(heard)
    log.fold(attempt("1").gauge("stepsize.task.cpu.usage", cpu_samples(T0 + SECOND, [3.0])))
    rows = log.tasks()
    assert [(row["outcome"], row["cpu_max"], row["samples"]) for row in rows] == [(None, 3.0, 2), ("oom", None, 0)]


def test_silence_is_not_counted_while_no_collector_ran(log: Log) -> None:
    """A collector that starts after a long pause does not take its own absence for the tasks' silence."""
    log.fold(attempt().gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0])))
    later = time_of(log) + 3600 * SECOND
    sink = log.make_sink(later)
    sink.tick(later + SECOND)
    assert log.tasks()[0]["outcome"] is None
    sink.tick(later + 601 * SECOND)
    assert log.tasks()[0]["outcome"] == "lost"


def test_wrong_clocks_make_no_days(log: Log) -> None:
    """Points far in the future or the past lie under the day they arrived on; their time is kept."""
    log.limits = SinkLimits(clock=ClockBounds(future_s=86_400, past_s=86_400))
    log.make_sink()
    times = [1, 2**63 - 1, 2**64 - 1]
    log.fold(attempt().gauge("m", [(time, 1.0) for time in times]))
    with log.lake.connect() as connection:
        days = connection.execute("SELECT DISTINCT day = received_at::DATE FROM points").fetchall()
        found = connection.execute("SELECT time_unix_nano FROM exact_points ORDER BY 1").fetchall()
    assert days == [(True,)]
    assert found == [(1,), (2**63 - 1,), (2**63 - 1,)]


def test_counters_older_than_the_attempt(log: Log) -> None:
    """Of a container's counter that started before the attempt only what it gained since counts."""
    request = attempt().sum("stepsize.task.cpu.time", T0, [(T0 + SECOND, 1.0)], cpu__mode="user")
    request.sum("container.cpu.throttled.time", T0 - 3600 * SECOND, [(T0, 100.0), (T0 + SECOND, 101.5)])
    log.fold(request)
    assert log.tasks()[0]["throttled_s"] == 1.5


@pytest.mark.parametrize("start", [0, 1, T0 + 10**6 * SECOND], ids=["none", "1970", "future"])
def test_sums_whose_start_is_unknown(log: Log, start: int) -> None:
    """Of a sum that says not (or not credibly) since when it counts, what it gained since it was first seen counts."""
    log.fold(attempt().sum("stepsize.task.cpu.time", start, [(T0, 100.0)], cpu__mode="user"))
    log.fold(attempt().sum("stepsize.task.cpu.time", start, [(T0 + 10 * SECOND, 105.0)], cpu__mode="user"))
    (row,) = log.tasks()
    assert (row["cpu_seconds"], row["duration_s"]) == (5.0, 10.0)


@pytest.mark.parametrize(
    "wrong", [0, 1, 2**63 - 1, 2**64 - 1, T0 + 10 * 86_400 * SECOND], ids=["none", "1970", "2262", "2554", "soon"]
)
def test_wrong_clocks_make_no_long_attempts(log: Log, wrong: int) -> None:
    """A time that its arrival gives the lie counts as that of its arrival."""
    before = dt.datetime.now(dt.timezone.utc)
    log.fold(attempt().gauge("stepsize.task.cpu.usage", [(wrong, 1.0)]).end(wrong, "ok"))
    (row,) = log.tasks()
    assert before <= row["started_at"] <= row["ended_at"] <= dt.datetime.now(dt.timezone.utc)
