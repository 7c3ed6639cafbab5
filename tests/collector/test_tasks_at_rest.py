"""Attempts of which nothing comes for a while are put to rest, and nobody can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector.rollup.table import REST_S
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples
from tests.collector.rollup_log import T0, Log, attempt, time_of

if TYPE_CHECKING:
    from pathlib import Path

_KILLS = "container.memory.oom_kills"


def sampled(task: str, second: int, cores: float) -> RequestBuilder:
    """A request with something for every part of an attempt's state."""
    now = T0 + second * SECOND
    request = attempt(task, stepsize__user="ann")
    request.gauge("stepsize.task.cpu.usage", cpu_samples(now, [cores, 2 * cores]), unit="{cpu}")
    request.gauge("stepsize.task.memory.usage", [(now, 10**9 + second)], unit="By")
    request.gauge("stepsize.task.network.io.rate", [(now, 5.0)], unit="By/s", network__io__direction="receive")
    request.gauge("stepsize.task.gpu.utilization", [(now, 0.5)], hw__id="0")
    return request.sum("stepsize.task.cpu.time", T0, [(now, float(second))], unit="s", cpu__mode="user")


def be_silent(log: Log, seconds: float = REST_S + 1) -> None:
    log.sink.tick(time_of(log) + int(seconds * SECOND))


@pytest.mark.parametrize("restarts", [False, True])
def test_it_goes_on_where_it_was(tmp_path: Path, restarts: bool) -> None:
    """Points that come after a rest, or to a new sink, count as if there had been none."""
    rows: list[list[dict[str, Any]]] = []
    for rests in (False, True):
        log = Log(tmp_path / str(rests))
        for second in (1, 40, 90):
            log.fold(sampled("1", second, 1.0 + second), sampled("2", second, 3.0))
            if rests and restarts:
                log.make_sink()
            elif rests:
                be_silent(log)
        log.fold(attempt("1").end(T0 + 100 * SECOND, "ok"))
        rows.append(log.tasks())
    assert rows[0] == rows[1]
    assert [row["outcome"] for row in rows[1]] == ["ok", None]
    assert rows[1][0]["samples"] == 6


def test_its_silence_is_seen(log: Log) -> None:
    """It is closed when its time has come, by what its points said before."""
    log.fold(sampled("1", 1, 1.0), sampled("2", 1, 1.0).sum(_KILLS, T0, [(T0 + SECOND, 1)]))
    be_silent(log)
    assert [row["outcome"] for row in log.tasks()] == [None, None]
    be_silent(log, 601)
    assert [row["outcome"] for row in log.tasks()] == ["lost", "oom"]


def test_news_of_its_host_reaches_it(log: Log) -> None:
    """What becomes known of a host later stands in the rows of the attempts there that rest."""
    log.fold(sampled("1", 1, 1.0), sampled("2", 1, 1.0))
    be_silent(log)
    host = RequestBuilder({"host.name": "worker-1"}).gauge("system.cpu.logical.count", [(T0, 16)])
    log.fold(host)
    assert [(row["host_cpus"], row["cpu_max"]) for row in log.tasks()] == [(16, 2.0)] * 2
    log.make_sink()
    log.fold(sampled("3", 1, 1.0))
    assert [row["host_cpus"] for row in log.tasks()] == [16] * 3


def test_it_ends_at_rest(log: Log) -> None:
    """One that ended while it was awake becomes final after its rest, whole."""
    log.fold(sampled("1", 1, 1.0).end(T0 + 5 * SECOND, "failed"))
    be_silent(log, 30)
    be_silent(log)
    (row,) = log.tasks()
    assert (row["outcome"], row["samples"], row["cpu_max"]) == ("failed", 2, 2.0)
