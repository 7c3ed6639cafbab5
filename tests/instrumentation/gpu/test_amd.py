"""AMD's GPUs. The library's Python package is stood in for: what is real is what is made of its answers."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.instrumentation.gpu.conftest import GIB, Host
from tests.instrumentation.gpu.containers import CONTAINER, needs_namespaces

UTILIZATION, MEMORY, COUNT = (f"stepsize.task.gpu.{name}" for name in ("utilization", "memory.usage", "count"))
MIB = 1 << 20


@dataclass
class FakeAmd:
    """ROCm as a directory: a library's name that can be seen, a package that can be imported."""

    directory: Path
    answers: Path

    def say(self, answer: Any) -> None:
        new = self.answers.with_suffix(".new")
        new.write_text(json.dumps(answer))
        new.replace(self.answers)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(self.directory), os.environ.get("PYTHONPATH")]))
        return {"LD_LIBRARY_PATH": str(self.directory), "PYTHONPATH": path, "FAKE_AMDSMI": str(self.answers)}


@pytest.fixture
def amd(tmp_path: Path) -> FakeAmd:
    directory = tmp_path / "rocm"
    directory.mkdir()
    (directory / "libamd_smi.so").touch()
    shutil.copy(Path(__file__).with_name("fake_amdsmi.py"), directory / "amdsmi.py")
    return FakeAmd(directory, tmp_path / "amd.json")


def _device(number: int = 0, **values: Any) -> dict[str, Any]:
    usual = {"uuid": f"{number}{number}-ff", "bdf": f"0000:0{number}:00.0", "name": "Fake MI"}
    return {**usual, "vram_mib": [1024, 65536], "busy": 0, "processes": [], **values}


def test_what_a_task_uses_and_what_the_device_says(host: Host, amd: FakeAmd) -> None:
    """Memory of devices in MiB and of processes in bytes, activity in percent."""
    amd.say([_device()])
    task = host.start(env=amd.environment())
    amd.say([_device(busy=35, processes=[[task.pid, 3 * GIB]])])
    host.value(UTILIZATION, 0.35)
    host.value(MEMORY, 3 * GIB)
    host.value(COUNT, 1)
    found = host.value("hw.gpu.memory.usage", 1024 * MIB, task=None)
    assert found.attributes == {"hw.id": "00-ff", "hw.name": "Fake MI", "hw.vendor": "AMD"}
    host.value("hw.gpu.memory.limit", 64 * GIB, task=None)


def test_what_is_not_told_is_absent(host: Host, amd: FakeAmd) -> None:
    """ "N/A", and calls that a device does not have; partitions that share a UUID are told apart by their place."""
    amd.say([_device(0, busy="N/A"), _device(1, uuid="00-ff", vram_mib="error")])
    task = host.start(env=amd.environment())
    there = [[task.pid, GIB]]
    amd.say([_device(0, busy="N/A", processes=there), _device(1, uuid="00-ff", vram_mib="error", processes=there)])
    host.value(COUNT, 2)
    host.value(MEMORY, 2 * GIB)
    assert [p for p in host.receiver.of(UTILIZATION, "gpu") if p.value != 0] == []
    devices = {p.attributes["hw.id"] for p in host.receiver.of("hw.gpu.memory.limit")}
    assert devices == {"00-ff"}
    assert {p.attributes["hw.id"] for p in host.receiver.of("hw.gpu.utilization")} == {"0000:01:00.0"}


def test_a_driver_that_cannot_be_used_is_tried_again(host: Host, amd: FakeAmd) -> None:
    """Nothing is said of GPUs until it can."""
    amd.say("Error code:\n\t34 | AMDSMI_STATUS_NOT_INIT")
    host.start(env=amd.environment())
    host.see("stepsize.task.memory.usage")
    assert [p for p in host.receiver.points if ".gpu." in p.metric] == []
    amd.say([_device(busy=5)])
    host.value("hw.gpu.utilization", 0.05, task=None)
    log = next(host.place.runtime.glob("*.log")).read_text()
    assert log.count("AMDSMI_STATUS_NOT_INIT") == 1


@needs_namespaces
def test_in_a_container_others_may_be_on_the_device_unseen(host: Host, amd: FakeAmd) -> None:
    """The library lists whom it finds in our /proc: memory is the process's own, utilization the device's, marked."""
    host.place.used.clear()  # as in test_containers
    amd.say([_device(busy=35, processes=[[1, 3 * GIB]])])  # the task is process 1 in there
    task = host.start(env=amd.environment(), through=CONTAINER)
    host.value(UTILIZATION, 0.35, stepsize_scope="device")
    host.value(MEMORY, 3 * GIB)
    task.kill()
