"""Memory that processes of a tree share is counted once, and what they no longer share is counted for each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.shared import SharedMemory
from tests.instrumentation.conftest import wait_until

MIB = 1 << 20
COPIES = """
import os, time
held = bytearray(60 << 20)
goes, go = os.pipe()
children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        os.read(goes, 1)
        for at in range(0, len(held), 4096): held[at] = 1
        time.sleep(60)
    children.append(pid)
print(*children, flush=True)
os.read(0, 1)
os.write(go, b"..")
time.sleep(60)
"""


def _stats(pids: list[int]) -> dict[int, procfs.Stat]:
    return {pid: stat for pid in pids if (stat := procfs.stat("/proc", pid)) is not None}


@pytest.fixture
def programs() -> Iterator[list[int]]:
    """Six processes of one program, none a copy of another."""
    code = "held = bytearray(8 << 20)\nprint(flush=True)\nimport sys\nsys.stdin.read()"
    command = [sys.executable, "-I", "-S", "-c", code]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    yield [process.pid for process in started]
    for process in started:
        process.communicate()


def test_files_of_one_program_are_counted_once(programs: list[int]) -> None:
    """The interpreter and its libraries, which six of its processes have in memory, are there once."""
    live = _stats(programs)
    usage = SharedMemory("/proc").usage_bytes(live, live.keys())
    files = [procfs.resident_files_bytes("/proc", pid) or 0 for pid in programs]
    assert min(files) > MIB
    assert sum(usage.values()) == sum(stat.rss_bytes for stat in live.values()) - sum(files) + max(files)


def test_copies_that_diverge_are_measured_again() -> None:
    """What copies write to is their own from then on, though no more of it is resident in any of them."""
    command = [sys.executable, "-I", "-S", "-c", COPIES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as root:
        assert root.stdout is not None
        assert root.stdin is not None
        pids = [root.pid, *map(int, root.stdout.readline().split())]
        try:
            shared, live = SharedMemory("/proc"), _stats(pids)
            assert sum(shared.usage_bytes(live, live.keys()).values()) < 90 * MIB
            root.stdin.write(b".")
            root.stdin.flush()
            wait_until(lambda: sum(shared.usage_bytes(_stats(pids), live.keys()).values()) > 180 * MIB, 10)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
