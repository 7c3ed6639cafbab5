"""NVIDIA's GPUs through the real pynvml, as points of the host and of the tasks that use them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.instrumentation.conftest import status, wait_until
from tests.instrumentation.gpu.conftest import GIB, FakeNvml, Host, build, device, line, process

UTILIZATION, MEMORY, COUNT = (f"stepsize.task.gpu.{name}" for name in ("utilization", "memory.usage", "count"))
PEAK = "stepsize.task.gpu.memory.peak"


def test_what_a_task_uses_of_a_device_and_what_the_device_says(host: Host) -> None:
    """A task alone on a device has its utilization, and the memory of its process; the device is told of apart."""
    host.nvml.say(device(util=0, used=0))
    task = host.start()
    host.nvml.say(device(util=62, used=3 * GIB, reserved=GIB), process(task.pid, memory=2 * GIB))
    point = host.value(UTILIZATION, 0.62)
    assert point.attributes == {}
    host.value(MEMORY, 2 * GIB)
    host.value(COUNT, 1)
    which = {"hw.id": "GPU-00", "hw.name": "Fake-16", "hw.vendor": "NVIDIA"}
    for metric, value in (("utilization", 0.62), ("memory.usage", 3 * GIB), ("memory.limit", 16 * GIB)):
        found = host.value(f"hw.gpu.{metric}", value, task=None)
        assert found.attributes == which
        assert "stepsize.task.id" not in found.resource


def test_devices_are_summed_at_each_moment(host: Host) -> None:
    """Two devices and a process on each: their sum, not the sum of what each had at its highest."""
    host.nvml.say(device(0, util=90), device(1, util=10))
    # `cat` ends with the task: it waits for what the task would write to it.
    child = "subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)"
    task = host.start(body=f"child = {child}; print(child.pid, flush=True); sys.stdin.read()")
    child = int(task.stdout.readline())
    both = process(task.pid, device=0, memory=GIB), process(child, device=1, memory=2 * GIB)
    host.nvml.say(device(0, util=90), device(1, util=10), *both)
    host.value(UTILIZATION, 1.0)
    host.value(MEMORY, 3 * GIB)
    host.value(COUNT, 2)
    host.nvml.say(device(0, util=10), device(1, util=95), *both)
    host.value(UTILIZATION, 1.05)
    assert max(p.value for p in host.receiver.of(UTILIZATION, "gpu")) < 1.1


def test_on_a_shared_device_a_task_has_what_its_own_processes_use(host: Host) -> None:
    """With somebody else on the device, processes are told apart by the driver's samples; who has none was idle."""
    host.nvml.say(device(util=95, used=12 * GIB))
    one, two = host.start("one"), host.start("two")
    host.nvml.say(
        device(util=95, used=12 * GIB),
        process(one.pid, memory=GIB, sm=30),
        process(two.pid, memory=2 * GIB),
        process(1, memory=9 * GIB, sm=65),
    )
    host.value(UTILIZATION, 0.3, "one")
    host.value(MEMORY, GIB, "one")
    host.value(MEMORY, 2 * GIB, "two")
    assert {p.value for p in host.receiver.of(UTILIZATION, "two")} == {0.0}


def test_a_task_that_uses_no_device_is_known_to_use_none(host: Host) -> None:
    """Where the processes on a device can be read, not being there is a figure: it asks for a GPU in vain."""
    host.nvml.say(device(util=100), process(1, memory=GIB))
    host.start()
    host.value(COUNT, 0)
    host.value(MEMORY, 0)
    host.value(UTILIZATION, 0)


def test_what_a_driver_does_not_tell_is_absent(host: Host) -> None:
    """No utilization: none. No memory by process: the device's where the task is alone there, marked, else none."""
    host.nvml.say(device(0, used=5 * GIB), device(1, used=7 * GIB, util=50))
    alone, shared = host.start("alone"), host.start("shared")
    host.nvml.say(
        device(0, used=5 * GIB),
        device(1, used=7 * GIB, util=50),
        process(alone.pid, device=0),
        process(shared.pid, device=1, sm=400),
        process(1, device=1),
    )
    host.value(MEMORY, 5 * GIB, "alone", stepsize_scope="device")
    count = host.value(COUNT, 1, "shared")
    later = host.see("hw.gpu.memory.usage", None, since=count.time_unix_nano)
    for metric, task in ((UTILIZATION, "alone"), (MEMORY, "shared")):
        assert [p for p in host.receiver.of(metric, task) if p.value != 0] == []
    assert later.time_unix_nano > count.time_unix_nano
    assert [p for p in host.receiver.of(UTILIZATION, "shared") if p.value > 1] == []


def test_a_driver_that_comes_goes_and_comes_again(host: Host) -> None:
    """While the driver cannot be used there is not one point of a GPU; once it can, there are."""
    host.nvml.say(line("driver", init=9))
    task = host.start()
    host.see("stepsize.task.cpu.time")
    assert host.receiver.of(COUNT, "gpu") == []
    there = device(util=40), process(task.pid, memory=GIB)
    host.nvml.say(*there)
    seen = host.value(UTILIZATION, 0.4)
    host.nvml.say(device(error=1))  # uninitialized: the driver was taken out
    gone = time.time_ns()
    cpu = host.see("stepsize.task.memory.usage", since=gone + 15 * 10**8)
    assert [p for p in host.receiver.of(COUNT, "gpu") if gone + 10**9 < p.time_unix_nano <= cpu.time_unix_nano] == []
    host.nvml.say(*there)
    assert host.see(UTILIZATION, since=cpu.time_unix_nano).value == pytest.approx(0.4)
    assert seen.time_unix_nano < gone


def test_a_lost_device_is_absent_and_the_others_go_on(host: Host) -> None:
    """A task on the lost device has no figures, rather than those of its other one; they are back with the device."""
    host.nvml.say(device(0, util=30), device(1, util=40))
    both, other = host.start("both"), host.start("other")
    on = (
        process(both.pid, device=0, memory=GIB),
        process(both.pid, device=1, memory=GIB),
        process(other.pid, device=1, memory=GIB, sm=7),
    )
    host.nvml.say(device(0, util=30), device(1, util=40), *on)
    host.value(COUNT, 2, "both")
    host.nvml.say(device(0, error=15), device(1, util=40), *on)
    lost = time.time_ns()
    host.see("hw.gpu.utilization", None, since=lost + 15 * 10**8, hw_id="GPU-11")
    host.see(UTILIZATION, "other", since=lost + 15 * 10**8)
    settled = lost + 10**9
    assert [p for p in host.receiver.of("hw.gpu.utilization", hw_id="GPU-00") if p.time_unix_nano > settled] == []
    assert [p for p in host.receiver.of(COUNT, "both") if p.time_unix_nano > settled] == []
    host.nvml.say(device(0, util=30), device(1, util=40), *on)
    back = time.time_ns()
    assert host.see(COUNT, "both", since=back).value == 2


_BEGUN = """
import sys, time
from pathlib import Path
import pynvml
from stepsize.instrumentation.agent.probes.gpu.nvidia import Nvidia
now, begun, really = 0.0, 0, pynvml.nvmlInit
def init():
    global begun
    begun += 1
    really()
time.monotonic, pynvml.nvmlInit = lambda: now, init
nvidia = Nvidia()
nvidia.open()
for answers, seconds in zip(sys.argv[2::2], sys.argv[3::2]):
    Path(sys.argv[1]).write_text(answers)
    before = begun
    for _ in range(int(seconds)):
        now += 1
        seen = [device.id for device in nvidia.read()]
    print(begun - before, *seen)
"""
"""Reads once a second, by a clock of its own; how often the driver was begun with, and who was there in the end."""


def test_a_device_that_is_listed_and_never_read_is_tried_less_and_less(nvml: FakeNvml) -> None:
    """The driver is not begun with anew each second for it; once it is back, a later loss is tried again soon."""
    healthy, lost = device(1, util=40), device(0, listing=15)
    well = f"{device(0)}\n{healthy}\n"
    nvml.say(well)
    phases = [(f"{lost}\n{healthy}\n", 600), (well, 120), (f"{lost}\n{healthy}\n", 2), (well, 2)]
    command = [sys.executable, "-c", _BEGUN, str(nvml.answers), *(str(word) for phase in phases for word in phase)]
    environment = {**os.environ, **nvml.environment()}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found = [line.split() for line in done.stdout.splitlines()]
    assert found[0][1:] == ["GPU-11"]
    assert 5 <= int(found[0][0]) <= 20
    assert found[1] == ["1", "GPU-00", "GPU-11"]
    assert found[2][1:] == ["GPU-11"]
    assert found[3][1:] == ["GPU-00", "GPU-11"]


def test_a_driver_that_hangs_delays_nothing(host: Host) -> None:
    """While a call does not return every other figure goes on, and those of GPUs are absent; then they are back."""
    host.nvml.say(device(util=50))
    host.start()
    host.see(COUNT)
    host.nvml.say(device(util=50, hang=1))
    hung = time.time_ns()
    host.see("stepsize.task.memory.usage", since=hung + 25 * 10**8)
    times = sorted(p.time_unix_nano for p in host.receiver.of("stepsize.task.memory.usage", "gpu"))
    gaps_s = [(after - before) / 1e9 for before, after in itertools.pairwise(times) if before > hung]
    assert max(gaps_s) < 2.0
    last = max(p.time_unix_nano for p in host.receiver.of(COUNT, "gpu"))
    assert last < hung + 10**9
    host.nvml.say(device(util=50))
    assert host.see(COUNT, since=last).time_unix_nano > hung + 25 * 10**8
    log = next(host.place.runtime.glob("*.log")).read_text()
    assert log.count("does not return") == 1


def test_instances_of_a_partitioned_device_are_devices(host: Host) -> None:
    """MIG: memory by instance, and no utilization, which nobody tells; the whole device is not told of beside them."""
    parts = (
        device(uuid="GPU-whole", mig=1, util=-1, used=9 * GIB),
        line("instance", device=0, uuid="MIG-a", name="Fake MIG 1g.5gb", used=3 * GIB, total=5 * GIB, util=-1),
        line("instance", device=0, uuid="MIG-b", name="Fake MIG 1g.5gb", used=GIB, total=5 * GIB, util=-1),
    )
    host.nvml.say(*parts)
    task = host.start()
    host.nvml.say(*parts, process(task.pid, instance=0, memory=2 * GIB))
    host.value(MEMORY, 2 * GIB)
    host.value(COUNT, 1)
    found = host.value("hw.gpu.memory.usage", 3 * GIB, task=None)
    assert found.attributes["hw.id"] == "MIG-a"
    assert found.attributes["hw.parent"] == "GPU-whole"
    assert {p.attributes["hw.id"] for p in host.receiver.of("hw.gpu.memory.limit")} == {"MIG-a", "MIG-b"}
    assert host.receiver.of("hw.gpu.utilization") == []
    assert [p for p in host.receiver.of(UTILIZATION, "gpu") if p.value != 0] == []


def test_a_list_longer_than_the_room_for_it(host: Host) -> None:
    """A hundred processes on a device: the list is asked for until it fits, and the task's own is found in it."""
    host.nvml.say(device(util=90))
    task = host.start()
    crowd = [process(pid, memory=GIB // 100) for pid in range(2_000_000, 2_000_100)]
    host.nvml.say(device(util=90), *crowd, process(task.pid, memory=GIB, sm=20))
    host.value(MEMORY, GIB)
    host.value(UTILIZATION, 0.2)


def test_a_process_in_several_lists_is_one(host: Host) -> None:
    """Who computes and draws, or computes through MPS, holds its memory once."""
    host.nvml.say(device(util=10))
    task = host.start()
    lists = [process(task.pid, memory=GIB, list=kind) for kind in ("compute", "graphics", "mps")]
    host.nvml.say(device(util=10), *lists)
    host.value(MEMORY, GIB)


def test_the_peak_of_a_driver_that_keeps_accounts(host: Host) -> None:
    """What a process held between two samples is in the driver's accounts, where they are switched on."""
    host.nvml.say(device(util=10, accounts=1))
    task = host.start()
    host.nvml.say(device(util=10, accounts=1), process(task.pid, memory=GIB, peak=6 * GIB))
    assert host.value(PEAK, 6 * GIB).attributes == {"stepsize.memory.source": "accounting"}
    host.value(MEMORY, GIB)


def test_without_accounts_no_peak_is_claimed(host: Host) -> None:
    """The highest sample is no peak: there is no point that says it were one."""
    host.nvml.say(device(util=10))
    task = host.start()
    host.nvml.say(device(util=10), process(task.pid, memory=GIB, peak=6 * GIB))
    host.value(MEMORY, GIB)
    assert host.receiver.of(PEAK) == []


def test_a_driver_that_lacks_the_newer_calls(host: Host, tmp_path: Path) -> None:
    """Process lists of version 2 and memory of version 1: all there is before driver 510."""
    host.nvml = FakeNvml(build(tmp_path, "-DOLD_DRIVER"), tmp_path / "nvml.txt")
    host.nvml.say(device(util=80))
    task = host.start()
    host.nvml.say(device(util=80, used=2 * GIB, reserved=GIB), process(task.pid, memory=2 * GIB))
    host.value(MEMORY, 2 * GIB)
    host.value(UTILIZATION, 0.8)
    host.value("hw.gpu.memory.usage", 3 * GIB, task=None)


@pytest.mark.parametrize("is_there", [True, False])
def test_pynvml_is_imported_only_where_a_library_is_seen(host: Host, tmp_path: Path, is_there: bool) -> None:
    """A host without GPUs pays for a few looks at names: its agent imports nothing for them, and sends nothing."""
    if any(Path(sign).exists() for sign in ("/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg")):
        pytest.skip("this host has GPUs")
    modules, imported = tmp_path / "modules", tmp_path / "imported"
    modules.mkdir()
    (modules / "pynvml.py").write_text(f"open({str(imported)!r}, 'w').close()\n")
    path = os.pathsep.join(filter(None, [str(modules), os.environ.get("PYTHONPATH")]))
    library_path = str(host.nvml.library.parent) if is_there else str(tmp_path)
    host.start(env={"LD_LIBRARY_PATH": library_path, "PYTHONPATH": path})
    if is_there:
        wait_until(imported.exists)
    host.see("stepsize.task.memory.usage", since=time.time_ns())
    assert imported.exists() == is_there
    assert [p for p in host.receiver.points if ".gpu." in p.metric] == []


def test_the_driver_is_let_go_when_no_task_runs(host: Host) -> None:
    """The last task's end ends the reading: nothing of a GPU is sent after it."""
    host.nvml.say(device(util=80))
    task = host.start()
    host.see(COUNT)
    host.end(task)
    ended = host.receiver.end("gpu").time_unix_nano
    wait_until(lambda: (found := status(host.settings)) is not None and found.tasks == 0)
    assert [p for p in host.receiver.of(COUNT) if p.time_unix_nano > ended + 10**9] == []
