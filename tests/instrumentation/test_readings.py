"""What a process says that it has used, and what is read of others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize.instrumentation import procfs, readings

MIB = 1 << 20


def test_cpu_time_between_two_readings_never_exceeds_their_distance() -> None:
    """However short it was: the clock of the first is read before the CPU time, that of the last one after it."""
    program = """
    from stepsize.instrumentation.readings import own_reading
    for n in range(2000):
        first = own_reading()
        last = own_reading(last=True)
        cpu_s = last.cpu_user_s + last.cpu_system_s - first.cpu_user_s - first.cpu_system_s
        assert cpu_s <= (last.time_unix_nano - first.time_unix_nano) / 1e9 + 2e-6, (n, cpu_s)  # rusage counts in us
    """
    program = "\n".join(line[4:] for line in program.splitlines())
    # A process of its own: threads of the test's would count.
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_reading_tells_peak_children_and_disk() -> None:
    """The peak is VmHWM, of children the highest maximum RSS."""
    program = """
    import subprocess, sys
    from stepsize.instrumentation.readings import own_reading
    held = bytearray(60 << 20)
    subprocess.run([sys.executable, "-c", "b = bytearray(120 << 20)"], check=True)
    reading = own_reading()
    print(reading.memory_peak_bytes, reading.children_peak_bytes, reading.disk_write_bytes)
    """
    program = "\n".join(line[4:] for line in program.splitlines())
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    peak, children, written = (int(text) for text in done.stdout.split())
    assert 60 * MIB <= peak <= 100 * MIB
    assert 120 * MIB <= children <= 160 * MIB
    assert written >= 0


@pytest.mark.parametrize("content", [None, b"", b"Name:\tx\n", b"1 (a"])
def test_what_cannot_be_read_is_absent_not_zero(tmp_path: Path, content: bytes | None) -> None:
    """A process that is gone or hidden, or a file without the field, has no values."""
    if content is not None:
        (tmp_path / "7").mkdir()
        for name in ("stat", "status", "io"):
            (tmp_path / "7" / name).write_bytes(content)
    found = (
        procfs.stat(str(tmp_path), 7),
        procfs.memory_peak_bytes(str(tmp_path), 7),
        procfs.disk_bytes(str(tmp_path), 7),
    )
    assert found == (None, None, None)


def test_the_parser_reads_this_process() -> None:
    """The fields are where proc(5) says."""
    stat = procfs.stat("/proc", os.getpid())
    assert stat is not None
    assert (stat.pid, stat.parent, stat.session) == (os.getpid(), os.getppid(), os.getsid(0))
    peak = procfs.memory_peak_bytes("/proc", "self")
    assert peak is not None
    assert peak >= stat.rss_bytes - 4 * MIB  # the kernel keeps the two in step only roughly
    assert readings.own_reading().memory_peak_bytes == pytest.approx(peak, abs=4 * MIB)


def test_a_module_of_the_users_called_resource_is_not_ours_to_run(tmp_path: Path) -> None:
    """Beside the script it is found first; we read what the system says, and it runs when the program imports it."""
    (tmp_path / "resource.py").write_text("print('the user', end=' ')\n", encoding="utf-8")
    script = tmp_path / "flow.py"
    script.write_text(
        "from stepsize.instrumentation.readings import own_reading\n"
        "print(own_reading().children_peak_bytes is not None, end=' ')\n"
        "import resource\n"
        "print(hasattr(resource, 'getrusage'), own_reading().children_peak_bytes is not None)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert done.stdout == "True the user False True\n"
