"""From a device to a row of `tasks` and to advice, through `stepsize run`, an embedded collector and the lake."""

from __future__ import annotations

import sys

import pytest

from tests.e2e.conftest import make_workplace
from tests.instrumentation.gpu.conftest import GIB, FakeNvml, device
from tests.places import short_directory

# Is on two devices first, then on one, each until that has been read.
_WORK = """
import os, sys, time
def say(*processes):
    lines = [sys.argv[2], sys.argv[3], *(f"process pid={os.getpid()} device={d} memory={m}" for d, m in processes)]
    with open(sys.argv[1] + ".new", "w") as file:
        file.write("\\n".join(lines) + "\\n")
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    for _ in range(18):  # more than three readings of two devices, each with three lists
        if os.path.exists(sys.argv[1] + ".read"):
            os.remove(sys.argv[1] + ".read")
        while not os.path.exists(sys.argv[1] + ".read"):
            time.sleep(0.001)
say((0, 3 << 30), (1, 2 << 30))
say((0, 1 << 30))
"""


def test_what_a_command_used_of_gpus_is_in_its_row_and_in_its_advice(nvml: FakeNvml) -> None:
    """Most devices at once, utilization and memory summed over them; `stepsize report` says what to ask for."""
    devices = device(0, util=80), device(1, util=40)
    nvml.say(*devices)
    with short_directory() as directory:
        workplace = make_workplace(directory, STEPSIZE_INTERVAL="0.1", **nvml.environment())
        options = ("--flow", "F", "--run", "1", "--step", "train")
        work = (sys.executable, "-c", _WORK, str(nvml.answers), *devices)
        finished = workplace.stepsize("run", *options, "--", *work)
        assert finished.returncode == 0, finished.stderr
        step = workplace.report("F/train")[0]
        row = workplace.query(
            "SELECT gpu_count, gpu_utilization_max, gpu_utilization_mean, gpu_memory_peak_bytes, gpu_memory_mean_bytes "
            "FROM tasks"
        )[0]
        hosts = workplace.query(
            "SELECT DISTINCT attributes->>'hw.id', value FROM points WHERE metric = 'hw.gpu.memory.limit' ORDER BY 1"
        )
    count, highest, mean, peak_bytes, mean_bytes = row
    assert (count, peak_bytes) == (2, 5 * GIB)
    assert highest == pytest.approx(1.2)
    assert 0.8 <= mean < 1.2
    assert GIB <= mean_bytes < 5 * GIB
    assert step["used"]["gpu"] == 2
    assert step["used"]["vram_mb"] >= 5 * GIB // 10**6
    assert hosts == [("GPU-00", 16 * GIB), ("GPU-11", 16 * GIB)]
