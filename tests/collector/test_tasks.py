"""The roll-up of `tasks`, through a sink on a real log and lake, with times that the test chooses."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import random
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.collector.decode.decoder import Batch, Decoder
from stepsize.collector.limits import ClockBounds, RollupLimits, SinkLimits
from stepsize.collector.rollup.attempt import Attempt
from stepsize.collector.rollup.table import AttemptTable
from stepsize.collector.sink.process import END
from stepsize.collector.sink.sink import Sink
from stepsize.collector.wal.writer import WalWriter
from stepsize.model import METRICS, TASK_COLUMNS, Identity, Kind, Request, cpu_bucket
from stepsize.store.lake import Lake
from stepsize.store.manifest import WalPosition
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples, identity, pairs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from stepsize.collector.decode.series import NumberPoints, Series

T0 = (time.time_ns() // SECOND - 3600) * SECOND
WRITER = "11111111-2222-3333-4444-555555555555"
MIB = 1 << 20


class Log:
    """A write-ahead log and the sink that folds it; the sink is made anew on demand, as after a crash."""

    def __init__(self, path: Path) -> None:
        self.wal, self.lake = path / "wal", Lake(path / "lake")
        self.wal.mkdir()
        self.lake.create()
        self.limits = SinkLimits(rollup=RollupLimits(silence_s=600, linger_s=60))
        self.sink = self.make_sink()

    def make_sink(self, now_ns: int = T0) -> Sink:
        self.sink = Sink(LakeWriter(self.lake.data, WRITER), self.wal, self.limits, now_ns)
        return self.sink

    def append(self, *requests: RequestBuilder | bytes) -> None:
        async def write() -> None:
            committed = self.sink.position.segment if self.sink.position.segment < END.segment else 0
            writer = WalWriter(self.wal, first_segment=committed + 1, on_durable=self._note)
            for request in requests:
                await writer.append(request if isinstance(request, bytes) else request.content())
            await writer.close()

        asyncio.run(write())

    def _note(self, durable: WalPosition) -> None:
        self.durable = durable

    def fold(self, *requests: RequestBuilder | bytes) -> None:
        self.append(*requests)
        self.sink.fold(self.durable, T0)

    def tasks(self, order: str = "task, attempt") -> list[dict[str, Any]]:
        with self.lake.connect() as connection:
            cursor = connection.execute(f"SELECT * FROM tasks ORDER BY {order}")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def attempt(task: str = "1", number: int = 0, **more: Any) -> RequestBuilder:
    return RequestBuilder(identity(task, number, **more))


def full_attempt() -> list[RequestBuilder]:
    """Ten seconds of a task whose every figure is known, in four requests."""
    described = {
        "stepsize.task.item": "lr=0.01",
        "stepsize.project": "shop",
        "stepsize.branch": "prod",
        "stepsize.user": "ada",
        "stepsize.code.version": "abc",
        "stepsize.run.origin": "schedule",
        "stepsize.annotation.rows": 1200,
        "stepsize.request.cpu": 8,
        "stepsize.request.memory": 32 * 10**9,
        "stepsize.request.gpu": 1,
        "stepsize.request.disk": 10**9,
        "cloud.provider": "aws",
        "cloud.region": "eu-west-1",
        "host.type": "m5.large",
        "stepsize.host.spot": True,
        "stepsize.host.dedicated": False,
    }
    times = [T0 + i * SECOND for i in range(1, 11)]
    first = attempt(**described)
    first.gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0] * 9 + [4.0]), unit="{cpu}")
    for mode, each in (("user", 1.0), ("system", 0.25)):
        values = [(time, each * (i + 1)) for i, time in enumerate(times)]
        first.sum("stepsize.task.cpu.time", T0, values, unit="s", cpu__mode=mode)
    second = attempt(**described)
    second.gauge("stepsize.task.memory.usage", [(time, (i + 1) * MIB) for i, time in enumerate(times)], unit="By")
    second.gauge("stepsize.task.memory.peak", [(times[4], 5 * MIB)], stepsize__memory__source="cgroup")
    second.gauge("stepsize.task.memory.peak", [(times[9], 600 * MIB)], stepsize__memory__source="vmhwm")
    second.sum("stepsize.task.disk.io", T0, [(times[0], 10), (times[9], 700)], disk__io__direction="read")
    second.sum("stepsize.task.disk.io", T0, [(times[9], 900)], disk__io__direction="write")
    second.gauge("stepsize.task.disk.usage", [(times[3], 50), (times[4], 20)])
    rates = [(time, 100.0) for time in times]
    second.gauge("stepsize.task.network.io.rate", rates, network__io__direction="receive")
    second.gauge("stepsize.task.network.io.rate", rates, network__io__direction="transmit", stepsize__scope="host")
    third = attempt(**described)
    third.gauge("stepsize.task.gpu.utilization", [(times[0], 0.5), (times[1], 1.5)])
    third.gauge("stepsize.task.gpu.utilization", [(times[0], 0.5)], hw__id="GPU-0")
    third.gauge("stepsize.task.gpu.memory.usage", [(times[0], 1000), (times[1], 3000)])
    third.gauge("stepsize.task.gpu.count", [(times[0], 1), (times[1], 2)])
    third.gauge("container.memory.limit", [(times[0], 4 * 10**9)])
    third.sum("container.memory.oom_kills", T0, [(times[9], 0)])
    third.sum("container.cpu.throttled.time", T0, [(times[0], 0.5), (times[9], 2.5)])
    third.end(T0 + 10 * SECOND, "failed", process__exit__code=1, process__exit__signal=0)
    host = RequestBuilder({"host.name": "worker-1"})
    host.gauge("system.cpu.logical.count", [(times[0], 16)]).gauge("system.memory.limit", [(times[0], 64 * 10**9)])
    return [first, second, third, host]


EXPECTED = {
    "flow": "TrainFlow",
    "run": "17",
    "step": "train",
    "task": "1",
    "attempt": 0,
    "item": "lr=0.01",
    "started_at": dt.datetime.fromtimestamp(T0 / SECOND, dt.timezone.utc),
    "ended_at": dt.datetime.fromtimestamp(T0 / SECOND + 10, dt.timezone.utc),
    "duration_s": 10.0,
    "outcome": "failed",
    "exit_code": 1,
    "exit_signal": 0,
    "samples": 10,
    "cpu_seconds": 12.5,
    "cpu_mean": 1.25,
    "cpu_p95": 4.0,
    "cpu_max": 4.0,
    "cpu_histogram": {cpu_bucket(1.0): 9.0, cpu_bucket(4.0): 1.0},
    "memory_peak_bytes": 600 * MIB,
    "memory_mean_bytes": 5.5 * MIB,
    "memory_source": "vmhwm",
    "memory_limit_bytes": 4 * 10**9,
    "gpu_count": 2.0,
    "gpu_utilization_mean": 1.0,
    "gpu_utilization_max": 1.5,
    "gpu_memory_mean_bytes": 2000.0,
    "gpu_memory_peak_bytes": 3000,
    "disk_read_bytes": 700,
    "disk_write_bytes": 900,
    "disk_peak_bytes": 50,
    "net_received_bytes": 1000,
    "net_sent_bytes": None,
    "throttled_s": 2.5,
    "oom_kills": 0,
    "requested_cpu": 8.0,
    "requested_memory_bytes": 32 * 10**9,
    "requested_gpu": 1.0,
    "requested_disk_bytes": 10**9,
    "project": "shop",
    "branch": "prod",
    "user": "ada",
    "code_version": "abc",
    "run_origin": "schedule",
    "annotations": '{"rows":1200}',
    "host": "worker-1",
    "host_cpus": 16,
    "host_memory_bytes": 64 * 10**9,
    "cloud_vendor": "aws",
    "cloud_region": "eu-west-1",
    "instance_type": "m5.large",
    "instance_spot": True,
    "instance_dedicated": False,
}


def test_every_column(log: Log) -> None:
    """An attempt with known figures gives exactly the row that they make, in every column there is."""
    assert list(EXPECTED) == [column.name for column in TASK_COLUMNS]
    log.fold(*full_attempt())
    assert log.tasks() == [EXPECTED]


def test_a_cloud_is_called_as_the_catalogue_calls_it(log: Log) -> None:
    """OpenTelemetry has other names for some: prices are found by the catalogue's."""
    for task, provider in (("1", "alibaba_cloud"), ("2", "hetzner"), ("3", "gcp")):
        log.fold(attempt(task, **{"cloud.provider": provider}).gauge("stepsize.task.memory.usage", [(T0, 1)]))
    assert [row["cloud_vendor"] for row in log.tasks()] == ["alicloud", "hcloud", "gcp"]


@pytest.mark.parametrize("seed", range(4))
def test_order_and_batches_do_not_matter(log: Log, seed: int) -> None:
    """The row is the same however its requests are ordered and committed, and over a new sink after each."""
    *requests, host = full_attempt()
    random.Random(seed).shuffle(requests)
    for request in [*requests, host]:  # what is known of a host comes again with every export
        log.fold(request)
        log.make_sink()
    assert log.tasks() == [EXPECTED]


def test_running_attempt_is_there_without_outcome(log: Log) -> None:
    """A running attempt has a row with what is known so far and no outcome; its end completes the same row."""
    log.fold(attempt().gauge("stepsize.task.cpu.usage", cpu_samples(T0, [2.0, 2.0])))
    (row,) = log.tasks()
    assert (row["outcome"], row["cpu_max"], row["cpu_seconds"], row["samples"]) == (None, 2.0, 4.0, 2)
    log.fold(attempt().end(T0 + 5 * SECOND, "ok", process__exit__code=0))
    (row,) = log.tasks()
    assert (row["outcome"], row["duration_s"], row["samples"]) == ("ok", 4.0, 2)


def test_attempts_of_a_task_are_rows_of_their_own(log: Log) -> None:
    """A task that failed and was tried again has two rows; so have equal run numbers of different projects."""
    log.fold(
        attempt("1", 0).end(T0, "failed"),
        attempt("1", 1, **{"stepsize.project": "shop"}).end(T0 + SECOND, "ok"),
        attempt("1", 1, **{"stepsize.project": "other"}).end(T0 + SECOND, "killed", process__exit__signal=9),
    )
    rows = [
        (row["attempt"], row["project"], row["outcome"], row["exit_signal"]) for row in log.tasks("attempt, outcome")
    ]
    assert rows == [(0, None, "failed", None), (1, "other", "killed", 9), (1, "shop", "ok", None)]


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


def time_of(log: Log) -> int:
    """When the newest point arrived."""
    with log.lake.connect() as connection:
        found = connection.execute("SELECT max(received_at_unix_nano) FROM exact_points").fetchone()
    assert found
    return int(found[0])


def test_silence_is_not_counted_while_no_collector_ran(log: Log) -> None:
    """A collector that starts after a long pause does not take its own absence for the tasks' silence."""
    log.fold(attempt().gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0])))
    later = time_of(log) + 3600 * SECOND
    sink = log.make_sink(later)
    sink.tick(later + SECOND)
    assert log.tasks()[0]["outcome"] is None
    sink.tick(later + 601 * SECOND)
    assert log.tasks()[0]["outcome"] == "lost"


def final_rows(log: Log) -> int:
    """How many rows lie in files of final rows."""
    files = json.loads((log.lake.data / "manifests" / f"{WRITER}.json").read_text())["files"]
    return sum(file["rows"] for file in files if file["table"] == "tasks" and file["partition"] != "open")


def test_late_points_change_a_final_row(log: Log) -> None:
    """A row that is final is opened again by points that come after it, and stays one row."""
    log.fold(
        attempt().gauge("stepsize.task.memory.peak", [(T0, MIB)]).end(T0 + SECOND, "ok"), attempt("2").end(T0, "ok")
    )
    final = time_of(log) + 61 * SECOND
    log.sink.tick(final)
    assert final_rows(log) == 2
    log.make_sink(final)
    log.fold(attempt().gauge("stepsize.task.memory.peak", [(T0 + SECOND, 9 * MIB)]))
    assert final_rows(log) == 1
    assert [(row["task"], row["outcome"], row["memory_peak_bytes"]) for row in log.tasks()] == [
        ("1", "ok", 9 * MIB),
        ("2", "ok", None),
    ]


def test_many_commits_leave_few_files(log: Log) -> None:
    """Files are merged as they come, and no point or task is lost or repeated by it."""
    for i in range(40):
        log.fold(attempt(str(i)).gauge("m", [(T0 + i, float(i))]).end(T0, "ok"))
        log.sink.tick(time_of(log) + 61 * SECOND)
    with log.lake.connect() as connection:
        values = connection.execute("SELECT value FROM points WHERE metric = 'm' ORDER BY 1").fetchall()
    assert values == [(float(i),) for i in range(40)]
    assert len(log.tasks()) == 40
    named = json.loads((log.lake.data / "manifests" / f"{WRITER}.json").read_text())["files"]
    assert len(named) <= 2 * 12
    assert log.sink.position.offset > 0


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


def test_values_that_are_no_numbers(log: Log) -> None:
    """NaN and infinite samples are stored and leave the roll-up as it is."""
    samples: Iterable[tuple[int, float]] = [(T0 + SECOND, float("nan")), (T0 + 2 * SECOND, float("inf"))]
    log.fold(attempt().gauge("stepsize.task.cpu.usage", [*samples, (T0 + 3 * SECOND, 0.5)]))
    (row,) = log.tasks()
    assert (row["cpu_max"], row["samples"]) == (0.5, 1)
    with log.lake.connect() as connection:
        assert connection.execute("SELECT count(value) FROM points").fetchone() == (3,)


LATE = [
    {"stepsize.user": "ada"},
    {"stepsize.branch": "prod", "stepsize.project": "shop"},
    {"deployment.environment.name": "prod", "k8s.cluster.name": "a"},
]


@pytest.mark.parametrize("known", LATE, ids=str)
@pytest.mark.parametrize("final", [False, True])
def test_what_is_known_late_makes_no_second_row(log: Log, known: dict[str, str], final: bool) -> None:
    """An attempt whose resource gains (or loses) its user, project or environment stays one row, open or closed."""
    log.fold(attempt().gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
    if final:
        log.fold(attempt().end(T0, "ok"))
        log.sink.tick(time_of(log) + 61 * SECOND)
        assert final_rows(log) == 1
    log.fold(attempt(**known).gauge("stepsize.task.memory.usage", [(T0 + SECOND, 2.0)]))
    log.make_sink()
    log.fold(attempt().gauge("stepsize.task.memory.usage", [(T0 + 2 * SECOND, 3.0)]))
    (row,) = log.tasks()
    assert (row["samples"], row["user"], row["project"]) == (
        3,
        known.get("stepsize.user"),
        known.get("stepsize.project"),
    )


def test_users_that_differ_are_attempts_that_differ(log: Log) -> None:
    """Two known users have a row each, over restarts; points of neither have one of their own."""
    for i, user in enumerate(("ada", "bob", "ada", None, "bob", None)):
        who = {} if user is None else {"stepsize.user": user}
        log.fold(attempt(**who).gauge("stepsize.task.memory.usage", [(T0 + i, 1.0)]))
        log.make_sink()
    assert [(row["user"], row["samples"]) for row in log.tasks("user")] == [("ada", 2), ("bob", 2), (None, 2)]


def test_same_instance_is_the_same_attempt(log: Log) -> None:
    """Points of one service.instance.id belong to one row; the one that our agent makes of the names tells nothing."""
    for instance, user in (("i-1", "ada"), ("i-2", "bob"), ("i-2", None), ("i-1", None), ("i-1", "ada lovelace")):
        who = {} if user is None else {"stepsize.user": user}
        log.fold(attempt(**who, **{"service.instance.id": instance}).sum("container.memory.oom_kills", T0, [(T0, 0)]))
        log.fold(attempt(**who, **{"service.instance.id": instance}).gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
        log.make_sink()
    assert [(row["user"], row["samples"]) for row in log.tasks("user")] == [("ada lovelace", 3), ("bob", 2)]
    derived = Identity("TrainFlow", "17", "train", "2").instance_id
    for user in ("ada", "bob"):
        who = {"service.instance.id": derived, "stepsize.user": user}
        log.fold(attempt("2", **who).gauge("stepsize.task.memory.usage", [(T0, 1.0)]))
    assert [row["user"] for row in log.tasks("task, user")][2:] == ["ada", "bob"]


def test_tags_on_points(log: Log) -> None:
    """What a resource may say of an attempt its points may say too; where both do, the resource counts."""
    tags = {
        **identity(attempt=1, **{"stepsize.user": "bob"}),
        "stepsize.task.item": "lr=0.01",
        "stepsize.project": "shop",
        "stepsize.branch": "prod",
        "stepsize.code.version": "abc",
        "stepsize.request.cpu": 8,
        "stepsize.request.memory": 10**9,
        "stepsize.annotation.rows": 7,
    }
    request = RequestBuilder({"service.name": "any", "stepsize.user": "ada"})
    log.fold(request.gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0]), **tags))
    (row,) = log.tasks()
    names = ("task", "attempt", "item", "project", "branch", "user", "code_version", "annotations")
    assert [row[name] for name in names] == ["1", 1, "lr=0.01", "shop", "prod", "ada", "abc", '{"rows":7}']
    assert (row["requested_cpu"], row["requested_memory_bytes"], row["samples"]) == (8.0, 10**9, 1)


def test_source_of_a_peak(log: Log) -> None:
    """A peak whose sender names no source is no sample, and counts before an equal sample whichever comes first."""
    usage = attempt("1").gauge("stepsize.task.memory.usage", [(T0, MIB)])
    log.fold(usage, attempt("1").gauge("stepsize.task.memory.peak", [(T0 + SECOND, MIB)]))
    log.fold(attempt("2").gauge("stepsize.task.memory.usage", [(T0, MIB)]))
    log.fold(attempt("3").gauge("stepsize.task.memory.peak", [(T0, 3 * MIB)]))
    log.make_sink()
    assert [(row["memory_peak_bytes"], row["memory_source"]) for row in log.tasks()] == [
        (MIB, None),
        (MIB, "samples"),
        (3 * MIB, None),
    ]


def test_devices_in_use_are_counted(log: Log) -> None:
    """Where no count was sent, devices known by their ids count once they were used, by time or by memory."""
    one = attempt("1").gauge("stepsize.task.gpu.utilization", [(T0, 0.5)], hw__id="GPU-0")
    many = attempt("2").gauge("stepsize.task.gpu.utilization", [(T0, 0.5)], hw__id="GPU-0")
    many.gauge("stepsize.task.gpu.utilization", [(T0, 0.0)], hw__id="GPU-1")
    many.gauge("stepsize.task.gpu.memory.usage", [(T0, 5)], hw__id="GPU-2")
    idle = attempt("3").gauge("stepsize.task.gpu.utilization", [(T0, 0.0)], hw__id="GPU-0")
    log.fold(one, many, idle, attempt("4").gauge("stepsize.task.gpu.utilization", [(T0, 0.5)]))
    assert [row["gpu_count"] for row in log.tasks()] == [1.0, 2.0, 0.0, None]


def test_devices_are_summed_at_each_moment(log: Log) -> None:
    """Two devices that take turns are one that is busy all the time: their highest values are not added up."""
    turns = attempt("1")
    for device, values in (("GPU-0", [1.0, 0.0, 1.0, 0.0]), ("GPU-1", [0.0, 0.75, 0.0, 0.75])):
        turns.gauge("stepsize.task.gpu.utilization", cpu_samples(T0, values), hw__id=device)
    turns.gauge("stepsize.task.gpu.memory.usage", cpu_samples(T0, [3000, 1000, 0, 0]), hw__id="GPU-0")
    turns.gauge("stepsize.task.gpu.memory.usage", cpu_samples(T0, [1000, 2000]), hw__id="GPU-1")
    log.fold(turns)
    row = log.tasks()[0]
    assert (row["gpu_utilization_mean"], row["gpu_utilization_max"]) == (0.875, 1.0)
    assert (row["gpu_memory_mean_bytes"], row["gpu_memory_peak_bytes"]) == (1750.0, 4000)
    assert row["gpu_count"] == 2


def test_the_true_peak_of_gpu_memory_counts_where_it_is_known(log: Log) -> None:
    """The driver's accounts know of what lay between two samples; without them the highest sample is all there is."""
    known = attempt("1").gauge("stepsize.task.gpu.memory.usage", [(T0, 1000)])
    known.gauge("stepsize.task.gpu.memory.peak", [(T0, 5000)])
    log.fold(known, attempt("2").gauge("stepsize.task.gpu.memory.usage", [(T0, 1000)]))
    assert [row["gpu_memory_peak_bytes"] for row in log.tasks()] == [5000, 1000]


@pytest.mark.parametrize("start", [0, 1, T0 + 10**6 * SECOND], ids=["none", "1970", "future"])
def test_sums_whose_start_is_unknown(log: Log, start: int) -> None:
    """Of a sum that says not (or not credibly) since when it counts, what it gained since it was first seen counts."""
    log.fold(attempt().sum("stepsize.task.cpu.time", start, [(T0, 100.0)], cpu__mode="user"))
    log.fold(attempt().sum("stepsize.task.cpu.time", start, [(T0 + 10 * SECOND, 105.0)], cpu__mode="user"))
    (row,) = log.tasks()
    assert (row["cpu_seconds"], row["duration_s"]) == (5.0, 10.0)


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


@pytest.mark.parametrize(
    "wrong", [0, 1, 2**63 - 1, 2**64 - 1, T0 + 10 * 86_400 * SECOND], ids=["none", "1970", "2262", "2554", "soon"]
)
def test_wrong_clocks_make_no_long_attempts(log: Log, wrong: int) -> None:
    """A time that its arrival gives the lie counts as that of its arrival."""
    before = dt.datetime.now(dt.timezone.utc)
    log.fold(attempt().gauge("stepsize.task.cpu.usage", [(wrong, 1.0)]).end(wrong, "ok"))
    (row,) = log.tasks()
    assert before <= row["started_at"] <= row["ended_at"] <= dt.datetime.now(dt.timezone.utc)


def batch_of(request: RequestBuilder, arrival: int = T0) -> Mapping[Series, NumberPoints]:
    """The points of one request."""
    batch = Batch()
    Decoder().add(batch, request.content(), arrival)
    return batch.numbers


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
    table.fold(batch_of(request, arrival))
    states = [json.dumps(one.to_json()) for one in table.attempts.values()]
    table.restore([Attempt.from_json(json.loads(state)) for state in states])
    table.close_silent(2**63)
    rows = table.rows(table.attempts.values())
    pa.Table.from_pylist(rows, schema=TASKS)  # it can be stored
    for row in rows:
        figures = [value for value in row.values() if isinstance(value, (int, float))]
        figures += [figure for bucket in row["cpu_histogram"] or [] for figure in bucket[1:]]
        assert all(0 <= figure < math.inf for figure in figures), row
        assert "Infinity" not in row["state"]
        assert "NaN" not in row["state"]
        started_at, ended_at = row["started_at"], row["ended_at"]
        assert (started_at is None) == (ended_at is None) == (row["duration_s"] is None)
        if started_at is not None:
            assert dt.datetime(2000, 1, 1, tzinfo=dt.timezone.utc) <= started_at <= ended_at


def test_state_of_an_older_collector() -> None:
    """A state from before user and project left the key is gone on with, and its absurd figures are not shown."""
    table = AttemptTable(RollupLimits(), T0)
    table.fold(batch_of(attempt(**{"stepsize.user": "ada"}).gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0]))))
    (state,) = (one.to_json() for one in table.attempts.values())
    assert list(state["key"]) == ["TrainFlow", "17", "train", "1", 0, "", "", "ada", ""]
    older = {name: value for name, value in state.items() if name not in {"told", "instances"}}
    older["cpu"]["total"] = math.inf
    table = AttemptTable(RollupLimits(), T0)
    table.restore([Attempt.from_json(older)])
    for user in ("ada", "bob"):
        request = attempt(**{"stepsize.user": user}).gauge("stepsize.task.memory.usage", [(T0, 1.0)])
        table.fold(batch_of(request))
    rows = table.rows(table.attempts.values())
    assert [(row["user"], row["cpu_max"], row["cpu_seconds"]) for row in rows] == [
        ("ada", 1.0, None),
        ("bob", None, None),
    ]
