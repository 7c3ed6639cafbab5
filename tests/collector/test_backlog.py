"""A log that holds much: it is folded in bounded passes, whatever is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.drain import drain
from stepsize.store.manifest import read_manifest
from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.rollup_log import MIB, T0, WRITER, Log
from tests.collector.running import CONFIG

if TYPE_CHECKING:
    from tests.collector.running import Place

_DAY_NS = 86_400 * SECOND


def request_of(size_bytes: int, task: str = "1") -> bytes:
    """A request of one point, made so large by an attribute."""
    request = RequestBuilder(identity(task, padding="x" * size_bytes))
    return request.gauge("stepsize.task.cpu.usage", [(T0, 1.0)], unit="{cpu}").content()


def test_a_log_full_of_one_request_is_read_in_passes(log: Log) -> None:
    """What was taken before counts for what is read at a time: each pass ends with a commit, the points are there once.

    A pass holds 32 MiB of requests.
    """
    log.append(*[request_of(4 * MIB)] * 20)
    stored = log.sink.fold(log.durable, T0)
    manifest = read_manifest(log.lake.data, WRITER)
    assert stored == 1
    assert manifest.generation == 3
    assert manifest.position == log.durable
    assert [row["samples"] for row in log.tasks()] == [1]


def test_views_show_all_of_many_commits(log: Log) -> None:
    """However many commits a backlog takes, the views show its last point when it is folded."""
    log.append(*(request_of(9 * MIB, task=str(task)) for task in range(8)))
    log.sink.fold(log.durable, T0, roll_up=False)
    with log.lake.connect() as connection:
        rows = connection.execute("SELECT task FROM points ORDER BY task").fetchall()
    assert rows == [(str(task),) for task in range(8)]
    assert read_manifest(log.lake.data, WRITER).generation > 1


def test_a_drain_obeys_the_configuration_of_its_collector(place: Place) -> None:
    """What a killed collector left is stored as it would have stored it: here a time three days ago is not believed."""
    collector = place.collect(CONFIG.replace("parquet: {}", "parquet: {max_past: 24h}"))
    sink = collector.sink()
    sink.suspend()
    request = RequestBuilder(identity()).gauge("n", [(T0 - 3 * _DAY_NS, 1)])
    assert collector.post(request.content())[0] == 200
    collector.process.kill()
    sink.kill()
    collector.process.wait()
    assert drain(place.settings) == 1
    assert place.rows("SELECT day = CAST(received_at AS DATE) FROM points") == [(True,)]
