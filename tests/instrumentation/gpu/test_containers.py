"""Devices in a container: a PID namespace of its own, while the driver names processes as the host does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instrumentation.conftest import wait_until
from tests.instrumentation.gpu.conftest import GIB, Host, device, process
from tests.instrumentation.gpu.containers import CONTAINER, UNSHARE, needs_namespaces

UTILIZATION, MEMORY, COUNT = (f"stepsize.task.gpu.{name}" for name in ("utilization", "memory.usage", "count"))
_USE = "node = open('/dev/nvidia0'); sys.stdin.read()"
_SECOND = f"""
second = '''
import sys
from stepsize.instrumentation import client
from stepsize.model import Identity
from stepsize.settings import Settings
client.register(Identity("Flow", "1", "step", "second"), Settings.load())
{_USE}
'''
child = subprocess.Popen([sys.executable, "-c", second], stdin=subprocess.PIPE)
{_USE}
"""

pytestmark = needs_namespaces


@pytest.fixture
def container(host: Host) -> Iterator[Host]:
    """A host whose tasks are started through `CONTAINER`, agent included."""
    host.place.used.clear()  # the agent's number in there is somebody else's out here; it ends with its namespace
    yield host
    for task in host.started:
        task.kill()


def test_a_container_has_its_devices_for_itself(container: Host) -> None:
    """The driver's numbers cannot be matched: the figures of the device that the task has open are its own, marked."""
    container.nvml.say(device(util=70, used=5 * GIB), process(4_000_001, memory=4 * GIB))
    container.start(body=_USE, through=CONTAINER)
    container.value(UTILIZATION, 0.7, stepsize_scope="device")
    container.value(MEMORY, 5 * GIB, stepsize_scope="device")
    container.value(COUNT, 1)


def test_a_task_without_the_device_open_does_not_use_it(container: Host) -> None:
    """Whoever else is on the device: who has not opened it uses nothing of it."""
    container.nvml.say(device(util=70, used=5 * GIB), process(4_000_001, memory=4 * GIB))
    container.start(through=CONTAINER)
    container.value(COUNT, 0)
    container.value(MEMORY, 0)


def test_two_tasks_on_one_device_cannot_be_told_apart(container: Host) -> None:
    """Neither has figures of the device, and each is known to be on it."""
    container.nvml.say(device(util=70, used=5 * GIB), process(4_000_001, memory=4 * GIB))
    container.start("first", body=_SECOND, through=CONTAINER)
    seen = [container.value(COUNT, 1, name) for name in ("first", "second")]
    settled = max(point.time_unix_nano for point in seen) + 10**9
    for name in ("first", "second"):
        container.see(COUNT, name, since=settled)
        for metric in (UTILIZATION, MEMORY):
            found = [p for p in container.receiver.of(metric, name) if p.time_unix_nano > settled]
            assert [p for p in found if p.value != 0] == []


def test_a_device_that_a_task_may_not_use_is_not_its_own(container: Host) -> None:
    """`CUDA_VISIBLE_DEVICES` leaves the second device: the first one's figures are nobody's, though it is open."""
    container.nvml.say(device(0, util=70, used=5 * GIB), device(1, util=20, used=GIB), process(4_000_001))
    container.start(body=_USE, through=CONTAINER, env={"CUDA_VISIBLE_DEVICES": "GPU-11"})
    container.value(COUNT, 0)
    assert [p for p in container.receiver.of(UTILIZATION, "gpu") if p.value != 0] == []


def test_with_the_hosts_proc_processes_are_matched(container: Host, tmp_path: Path) -> None:
    """Where the host's /proc is mounted, `HOST_PROC` says where: the task's own memory, beside a neighbour's."""
    outer = tmp_path / "proc"
    outer.mkdir()
    through = ("unshare", "--mount", "sh", "-ec", f'mount --bind /proc {outer}; exec "$@"', "sh", *UNSHARE)
    container.nvml.say(device(util=70, used=5 * GIB))
    task = container.start(body="sys.stdin.read()", through=through, env={"HOST_PROC": str(outer)})
    container.see(COUNT)
    child = int(wait_until(lambda: _children(task.pid))[0])
    container.nvml.say(
        device(util=70, used=5 * GIB), process(child, memory=GIB, sm=11), process(1, memory=3 * GIB, sm=50)
    )
    point = container.value(MEMORY, GIB)
    assert point.attributes == {}
    container.value(UTILIZATION, 0.11)
    assert point.time_unix_nano <= time.time_ns()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
