"""The probe for systems without /proc, on this one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stepsize.instrumentation.agent.probes.portable import PortableTree, is_running
from tests.instrumentation.conftest import wait_until

MIB = 1 << 20
TREE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import sys; b = bytearray(100 << 20); sys.stdin.read()"], stdin=-1)
e = time.process_time() + 0.2
while time.process_time() < e: pass
print("up", flush=True)
sys.stdin.read()
child.communicate()
"""


def test_a_tree_is_sampled_through_psutil() -> None:
    """CPU time, memory and processes of a task and its child; ``None`` once the task is gone."""
    process = subprocess.Popen([sys.executable, "-c", TREE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    tree = PortableTree(process.pid)
    process.stdout.readline()
    sample = wait_until(lambda: (found := tree.sample()) and found.memory_usage_bytes > 100 * MIB and found)
    assert sample.processes == 2
    assert sample.memory_peak_bytes >= sample.memory_usage_bytes
    assert sample.memory_source == "samples"
    assert sample.cpu_user_s + sample.cpu_system_s == pytest.approx(0.3, abs=0.15)
    process.communicate()
    assert tree.sample() is None
    assert tree.final_peak(500 * MIB) >= 500 * MIB


def test_a_process_that_nobody_has_waited_for_yet_has_ended() -> None:
    """A zombie still has its number, and is no more."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(process.pid)
    process.wait()
    assert not is_running(process.pid)
