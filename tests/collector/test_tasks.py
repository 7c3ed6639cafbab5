"""The roll-up of `tasks`, through a sink on a real log and lake: what a row says, and how rows come and change."""

from __future__ import annotations

import datetime as dt
import json
import random

import pytest

from stepsize.model import TASK_COLUMNS, cpu_bucket
from tests.collector.otlp import SECOND, RequestBuilder, cpu_samples
from tests.collector.rollup_log import MIB, T0, WRITER, Log, attempt, final_rows, time_of


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
        "stepsize.request.timeout": 3600,
        "stepsize.target": "fargate",
        "cloud.provider": "aws",
        "cloud.region": "eu-west-1",
        "host.type": "m5.large",
        "stepsize.host.spot": True,
        "stepsize.host.dedicated": False,
        "process.environment_variable.OMP_NUM_THREADS": "4",
        "process.environment_variable.HOME": "/home/ada",  # says nothing of threads
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
    third.gauge("container.cpu.limit", [(times[0], 2.5)])
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
    "requested_timeout_s": 3600.0,
    "target": "fargate",
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
    "cpu_limit": 2.5,
    "thread_limits": '{"OMP_NUM_THREADS":"4"}',
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
