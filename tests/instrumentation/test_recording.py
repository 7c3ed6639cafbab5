"""Recordings: what the agent writes of each sample, and what it does with files that cannot be written."""

from __future__ import annotations

import math
import os
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize import model
from stepsize.instrumentation import recording as layout
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.recording import Packer, Recordings
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS, Field, record_bytes

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_790_000_000 * 10**9


def values(fields: tuple[Field, ...], record: bytes | None) -> dict[str, float]:
    """The values of a record that could be read, by name."""
    assert record is not None
    found = struct.unpack(f"={1 + len(fields)}d", record)
    names = (layout.TIME, *(field.name for field in fields))
    return {name: value for name, value in zip(names, found, strict=True) if not math.isnan(value)}


def modes(metric: model.Metric, **seconds: float) -> list[Observation]:
    return [Observation(metric, value, (("cpu.mode", mode),)) for mode, value in seconds.items()]


def test_every_field_is_made_of_a_metric_that_the_agent_sends() -> None:
    """Names are unique, and what tells a metric's points apart is one of its attributes."""
    for fields in (TASK_FIELDS, HOST_FIELDS):
        assert len({field.name for field in fields}) == len(fields)
        for field in fields:
            assert model.METRICS[field.metric.name] is field.metric
    told = [f for f in (*TASK_FIELDS, *HOST_FIELDS) if f.where is not None and f.metric.attributes]
    assert all(f.where[0] in f.metric.attributes for f in told if f.where)


def test_a_record_holds_what_was_observed_and_nan_for_the_rest() -> None:
    """At its time; nothing of the sample before lingers."""
    packer = Packer(TASK_FIELDS)
    packer.pack(NOW, [Observation(model.TASK_MEMORY_USAGE, 5)])
    record = packer.pack(NOW + 10**9, [*modes(model.TASK_CPU_TIME, user=3, system=1)])
    expected = {"time_s": 1_790_000_001.0, "cpu_user_s": 3, "cpu_system_s": 1}
    assert values(TASK_FIELDS, record) == pytest.approx(expected)


def test_the_parts_of_a_metric_add_up() -> None:
    """User time is what ran nicely too; devices and file systems are summed, unless their total is there as well."""
    found = values(HOST_FIELDS, Packer(HOST_FIELDS).pack(NOW, modes(model.SYSTEM_CPU_TIME, user=3, nice=4, idle=9)))
    assert found["cpu_user_s"] == 7
    held = Observation(model.TASK_MEMORY_USAGE, 1)
    devices = [Observation(model.TASK_GPU_UTILIZATION, share, (("hw.id", share),)) for share in (0.25, 0.5)]
    assert values(TASK_FIELDS, Packer(TASK_FIELDS).pack(NOW, [held, *devices]))["gpu_utilization"] == 0.75
    total = Observation(model.TASK_GPU_UTILIZATION, 1.5)
    assert values(TASK_FIELDS, Packer(TASK_FIELDS).pack(NOW, [held, *devices, total]))["gpu_utilization"] == 1.5
    busy = [Observation(model.HW_GPU_UTILIZATION, share, (("hw.id", str(share)),)) for share in (0.0, 0.5, 1.0)]
    limit = Observation(model.SYSTEM_MEMORY_LIMIT, 1)
    assert values(HOST_FIELDS, Packer(HOST_FIELDS).pack(NOW, [limit, *busy]))["gpus_busy"] == 2


def test_what_is_read_apart_is_in_the_samples_that_follow() -> None:
    """A reading of the GPUs makes no record of its own; it holds for two samples, then it is not known any more."""
    packer = Packer(TASK_FIELDS)
    sample = [Observation(model.TASK_MEMORY_USAGE, 1)]
    assert "gpu_count" not in values(TASK_FIELDS, packer.pack(NOW, sample))
    assert packer.pack(NOW, [Observation(model.TASK_GPU_COUNT, 2)]) is None
    found = [values(TASK_FIELDS, packer.pack(NOW, sample)).get("gpu_count") for _ in range(3)]
    assert found == [2, 2, None]


def test_what_is_sampled_now_and_then_holds_in_between() -> None:
    """File systems and the number of processes; nothing else does."""
    packer = Packer(HOST_FIELDS)
    slow = Observation(model.SYSTEM_PROCESS_COUNT, 200)
    quick = Observation(model.SYSTEM_MEMORY_LIMIT, 9)
    assert values(HOST_FIELDS, packer.pack(NOW, [slow, quick])).keys() == {"time_s", "processes", "memory_total_bytes"}
    cpus = Observation(model.SYSTEM_CPU_LOGICAL_COUNT, 8)
    expected = {"time_s": NOW / 1e9, "processes": 200, "cpus": 8}
    assert values(HOST_FIELDS, packer.pack(NOW, [cpus])) == pytest.approx(expected)


@given(st.lists(st.sampled_from([field.metric for field in TASK_FIELDS]), max_size=30), st.data())
def test_a_record_has_its_size_whatever_is_observed(metrics: list[model.Metric], data: st.DataObject) -> None:
    """Any points of any metrics, with any attributes."""
    pair = st.tuples(st.sampled_from(["cpu.mode", "hw.id", "disk.io.direction"]), st.text(max_size=5))
    observations = [
        Observation(metric, data.draw(st.floats(0, 1e15)), tuple(data.draw(st.lists(pair, max_size=2))))
        for metric in metrics
    ]
    record = Packer(TASK_FIELDS).pack(NOW, observations)
    assert record is None or len(record) == record_bytes(TASK_FIELDS)


def files(tmp_path: Path) -> tuple[Path, Path, list[int]]:
    paths = tmp_path / "task", tmp_path / "host"
    return *paths, [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]


def test_the_host_s_samples_go_to_every_recording(tmp_path: Path) -> None:
    """One that begins has the host's last sample first, which its sums are counted from, unless that is old."""
    recordings = Recordings()
    sample = [Observation(model.SYSTEM_MEMORY_LIMIT, 1)]
    recordings.add_host(NOW, sample)
    task, host, descriptors = files(tmp_path)
    recordings.open("a", NOW + 10**9, descriptors)
    (tmp_path / "late").mkdir()
    _, late, others = files(tmp_path / "late")
    recordings.open("b", NOW + 60 * 10**9, others)
    recordings.add("a", NOW, [Observation(model.TASK_MEMORY_USAGE, 1)])
    recordings.add_host(NOW + 2 * 10**9, sample)
    for instance in ("a", "b"):
        recordings.close(instance)
    recordings.add("a", NOW, [Observation(model.TASK_MEMORY_USAGE, 1)])
    assert task.stat().st_size == record_bytes(TASK_FIELDS)
    assert (host.stat().st_size, late.stat().st_size) == (2 * record_bytes(HOST_FIELDS), record_bytes(HOST_FIELDS))


def test_a_recording_goes_on_where_an_agent_before_left_it(tmp_path: Path) -> None:
    """After whole records, over a part of one."""
    size = record_bytes(TASK_FIELDS)
    task, _, descriptors = files(tmp_path)
    task.write_bytes(b"\0" * (2 * size + 5))
    recordings = Recordings()
    recordings.open("a", NOW, descriptors)
    recordings.add("a", NOW, [Observation(model.TASK_MEMORY_USAGE, 7)])
    assert task.stat().st_size == 3 * size
    assert values(TASK_FIELDS, task.read_bytes()[2 * size :])["memory_bytes"] == 7


def test_a_recording_is_bounded(tmp_path: Path) -> None:
    """A week of one sample a second, then no more."""
    size = record_bytes(TASK_FIELDS)
    task, _, descriptors = files(tmp_path)
    os.truncate(task, (layout.MAX_RECORDS - 1) * size)
    recordings = Recordings()
    recordings.open("a", NOW, descriptors)
    for _ in range(3):
        recordings.add("a", NOW, [Observation(model.TASK_MEMORY_USAGE, 7)])
    assert task.stat().st_size == layout.MAX_RECORDS * size


@pytest.mark.parametrize("kind", ["pipe", "full", "closed for writing", "one file"])
def test_what_cannot_be_written_is_let_go_of(tmp_path: Path, kind: str) -> None:
    """A pipe that would block, a device, a file that is not for writing, too few files: no exception, no descriptor."""
    task, host, descriptors = files(tmp_path)
    if kind != "one file":
        os.close(descriptors[0])
    read, write = os.pipe()
    if kind == "pipe":
        descriptors[0] = os.dup(write)
    elif kind == "full":
        descriptors[0] = os.open("/dev/full", os.O_RDWR)
    elif kind == "closed for writing":
        descriptors[0] = os.open(task, os.O_RDONLY)
    else:
        os.close(descriptors.pop())
    recordings = Recordings()
    recordings.open("a", NOW, descriptors)
    for _ in range(3):
        recordings.add("a", NOW, [Observation(model.TASK_MEMORY_USAGE, 7)])
    recordings.add_host(NOW, [Observation(model.SYSTEM_MEMORY_LIMIT, 1)])
    recordings.close("a")
    assert task.stat().st_size == 0
    assert host.stat().st_size == (0 if kind == "one file" else record_bytes(HOST_FIELDS))
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    os.close(read)
    os.close(write)
