"""What of devices is whose: readings and a /proc of the test's own."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.probes.gpu.census import Census
from stepsize.instrumentation.agent.probes.gpu.reading import Device, GpuProcess


@dataclass
class Task:
    pid: int
    tree: list[int] = field(default_factory=list)

    def pids(self) -> list[int]:
        return self.tree


def _device(
    *processes: GpuProcess, number: int = 0, utilization: float | None = 0.5, memory: int | None = 100
) -> Device:
    return Device(
        id=f"GPU-{number}",
        index=number,
        name="One",
        vendor="NVIDIA",
        node=f"/dev/nvidia{number}",
        utilization=utilization,
        memory_bytes=memory,
        memory_limit_bytes=1000,
        processes=processes,
    )


def _stat(proc: Path, pid: int, parent: int) -> None:
    directory = proc / str(pid)
    directory.mkdir(parents=True)
    (directory / "stat").write_text(f"{pid} (a b) S {parent} " + " ".join("1" for _ in range(60)))


def test_a_child_that_the_tree_has_not_seen_yet_is_the_tasks(tmp_path: Path) -> None:
    """It came since the last sample: its ancestors say whose it is, and a stranger's do not."""
    for pid, parent in ((500, 1), (501, 500), (502, 501), (600, 1)):
        _stat(tmp_path, pid, parent)
    device = _device(GpuProcess(502, 70, utilization=0.25), GpuProcess(600, 20, utilization=0.5))
    usage = Census(str(tmp_path)).take([device], [Task(500)])[0]
    assert usage is not None
    assert (usage.memory_bytes, usage.utilization, usage.of_device) == (70, 0.25, False)


def test_a_sum_with_an_unknown_part_is_unknown(tmp_path: Path) -> None:
    """Memory is known of one of two devices alone, which is not what the task holds; how many it is on is known."""
    known = _device(GpuProcess(500, 70), GpuProcess(1, 1), number=0, utilization=None)
    unknown = _device(GpuProcess(500), GpuProcess(1), number=1)
    usage = Census(str(tmp_path)).take([known, unknown], [Task(500)])[0]
    assert usage is not None
    assert (usage.memory_bytes, usage.utilization, len(usage.devices)) == (None, None, 2)


def test_on_a_host_a_device_that_names_nobody_is_nobodys(tmp_path: Path) -> None:
    """Processes are not told, and what is open cannot be seen: on a host, others than the task may be on it."""
    device = Device("GPU-0", 0, "One", "NVIDIA", utilization=0.5, memory_bytes=1)
    assert Census(str(tmp_path)).take([device], [Task(500)]) == [None]


def test_who_has_the_node_open_is_on_a_device_that_names_nobody(tmp_path: Path) -> None:
    """The task whose process holds it has the device's figures, marked as such; the other one uses nothing."""
    for pid in (500, 600):
        _stat(tmp_path, pid, 1)
        (tmp_path / str(pid) / "fd").mkdir()
    (tmp_path / "500" / "fd" / "3").symlink_to("/dev/nvidia0")
    (tmp_path / "600" / "fd" / "3").symlink_to("/dev/null")
    device = Device("GPU-0", 0, "One", "NVIDIA", node="/dev/nvidia0", utilization=0.5, memory_bytes=9)
    holder, other = Census(str(tmp_path)).take([device], [Task(500), Task(600)])
    assert holder is not None
    assert other is not None
    assert (holder.utilization, holder.memory_bytes, holder.of_device) == (0.5, 9, True)
    assert (other.utilization, other.memory_bytes, other.devices) == (0, 0, frozenset())


def test_another_namespaces_processes_are_matched_through_the_hosts_proc(tmp_path: Path) -> None:
    """The last number of `NSpid` counts, of processes of our own namespace alone."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("self", "7001", "7002"):
        (theirs / name / "ns").mkdir(parents=True)
    (ours / "self" / "ns").mkdir(parents=True)
    for path in (theirs / "self", theirs / "7002"):
        (path / "ns" / "pid").touch()
    (ours / "self" / "ns" / "pid").touch()
    os.link(ours / "self" / "ns" / "pid", theirs / "7001" / "ns" / "pid")
    (theirs / "7001" / "status").write_text("Name:\tx\nNSpid:\t7001\t500\nNSpgid:\t1\n")
    (theirs / "7002" / "status").write_text("Name:\tx\nNSpid:\t7002\t500\nNSpgid:\t1\n")
    device = _device(GpuProcess(7001, 10), GpuProcess(7002, 20))
    usage = Census(str(ours), str(theirs)).take([device], [Task(500)])[0]
    assert usage is not None
    assert usage.memory_bytes == 10


_PIDS = st.integers(2_000_000_000, 2_000_000_005)  # of nobody


@given(
    st.lists(
        st.lists(
            st.builds(GpuProcess, _PIDS, st.integers(0, 100), st.none(), st.floats(0, 1)),
            max_size=4,
            unique_by=lambda process: process.pid,
        ),
        max_size=3,
    ),
    st.lists(st.sets(_PIDS, min_size=1), min_size=1, max_size=3),
)
def test_no_task_has_more_than_there_is(devices: list[list[GpuProcess]], trees: list[set[int]]) -> None:
    """Memory is that of its processes; utilization is at most one a device; devices are those that it is on."""
    seen = [_device(*processes, number=number) for number, processes in enumerate(devices)]
    tasks = [Task(min(tree), tree=sorted(tree)) for tree in trees]
    for tree, usage in zip(trees, Census("/nonexistent").take(seen, tasks), strict=True):
        assert usage is not None
        own = [[one for one in processes if one.pid in tree] for processes in devices]
        assert usage.memory_bytes == sum(one.memory_bytes or 0 for processes in own for one in processes)
        assert len(usage.devices) == sum(bool(processes) for processes in own)
        assert 0 <= (usage.utilization or 0) <= len(usage.devices) + 1e-9
