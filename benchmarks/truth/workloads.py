"""The workloads: small programs, each with one way of using resources that is easy to misjudge.

What comes in: nothing. What goes out: a table of `Workload`. Each program runs under its own interpreter after
`PRELUDE`, in a directory of its own, and uses what its name says, whoever watches.
"""

from __future__ import annotations

from dataclasses import dataclass

PRELUDE = """
import mmap, os, signal, subprocess, sys, threading, time
MIB = 1 << 20
def spin(cpu_s):
    end = time.process_time() + cpu_s
    while time.process_time() < end: pass
def python(code):
    return [sys.executable, "-I", "-S", "-c", SPIN + code]
SPIN = '''
import time
def spin(cpu_s):
    end = time.process_time() + cpu_s
    while time.process_time() < end: pass
'''
with open("/proc/self/status") as status, open("file_pages", "w") as report:
    report.write(next(line.split()[1] for line in status if line.startswith("RssFile")))
"""
"""Leaves in ``file_pages`` how many KiB of programs and libraries it has in memory: charged to whoever read them first,
which is not the group that the truth is read from."""

EXACT = "exact"
"""The figure is to be within bounds of the truth."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One program, and which of its figures are asked for.

    Attributes:
        name: a few words.
        code: what comes after the prelude.
        cpu, memory, disk: `EXACT`; empty where it is not asked for; else why it cannot be known.
        contained: whether it runs in a container of its own.
        disk_bytes: what it writes.
        stopped_agent: whether the agent is suspended for 3 s while it runs.
        through: what to put before the interpreter.
    """

    name: str
    code: str
    cpu: str = ""
    memory: str = ""
    disk: str = ""
    contained: bool = False
    disk_bytes: int = 0
    stopped_agent: bool = False
    through: tuple[str, ...] = ()


_TMPFS = "pages of a tmpfs belong to whoever wrote them, but only a control group is told"
_LOST = (
    "the kernel forgets the time of children whose parent ignores SIGCHLD, unless a sample saw them or a group counts"
)
_TOGETHER = (
    "VmHWM tells how much, not when: peaks within one interval are taken together, too much rather than too little"
)

_SHM = """
with open("/dev/shm/truth-%d" % os.getpid(), "wb") as file:
    os.unlink(file.name)
    for _ in range(400): file.write(bytes(MIB))
    file.flush()
    time.sleep(1.5)
time.sleep(1)
"""
_IGNORED = """
time.sleep(0.3)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(30):
    child = subprocess.Popen(python("spin(0.04)"))
    while os.path.exists("/proc/%d" % child.pid): time.sleep(0.002)
time.sleep(1)
"""
_SHORT_ORPHANS = """
time.sleep(0.3)
for _ in range(20):
    told, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv(sys.executable, python("spin(0.05)"))
        os._exit(0)
    os.wait(); os.close(tell); os.close(told); time.sleep(0.1)
time.sleep(1)
"""
_STAGGERED = """
child = "import time; time.sleep(%r); held = bytearray(200 << 20); del held; time.sleep(9)"
started = [subprocess.Popen(python(child % (0.5 + n * 0.25))) for n in range(4)]
time.sleep(3)
for one in started: one.kill(); one.wait()
"""

WORKLOADS: tuple[Workload, ...] = (
    Workload("holds 600 MiB for 2 s", "held = bytearray(600 * MIB); time.sleep(2)", cpu=EXACT, memory=EXACT),
    Workload(
        "spike of 300 MiB for 0.15 s",
        "time.sleep(1.3); held = bytearray(300 * MIB); time.sleep(0.1); del held; time.sleep(1.3)",
        memory=EXACT,
    ),
    Workload(
        "spike of 300 MiB for 50 ms in a child",
        """
child = "import time\\ntime.sleep(1.3); held = bytearray(300 << 20); time.sleep(0.05); del held; time.sleep(1.3)"
subprocess.run(python(child))
""",
        memory=EXACT,
    ),
    Workload(
        "child job between two samples: 0.6 CPU-s, 200 MiB written",
        """
time.sleep(1.1)
work = "import os; spin(0.6); f = open('out', 'wb'); f.write(bytes(200 << 20)); f.flush(); os.fsync(f)"
subprocess.run(python(work))
time.sleep(1)
""",
        cpu=EXACT,
        disk=EXACT,
        disk_bytes=200 << 20,
    ),
    Workload("60 children of 30 ms", "for _ in range(60): subprocess.run(python('spin(0.03)'))", cpu=EXACT),
    Workload(
        "child of 600 MiB between two samples",
        "time.sleep(1.2); subprocess.run(python('held = bytearray(600 << 20)')); time.sleep(1)",
        memory=EXACT,
    ),
    Workload(
        "three children of 400 MiB, one after the other",
        "for _ in range(3): subprocess.run(python('held = bytearray(400 << 20); time.sleep(0.7)'))",
        memory=EXACT,
    ),
    Workload("four children whose spikes follow one another", _STAGGERED, memory=_TOGETHER),
    Workload("the same in a container of its own", _STAGGERED, memory=EXACT, contained=True),
    Workload(
        "double fork",
        """
ended, end = os.pipe()
if os.fork() == 0:
    if os.fork() == 0: spin(1.5); time.sleep(1.2)
    os._exit(0)
os.close(end); os.wait(); os.read(ended, 1); time.sleep(1.2)
""",
        cpu=EXACT,
    ),
    Workload(
        "double fork, setsid, exec",
        """
ended, end = os.pipe()
os.set_inheritable(end, True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(1.2); os.execv(sys.executable, python("spin(1.5); time.sleep(1.2)"))
    os._exit(0)
os.close(end); os.wait(); os.read(ended, 1); time.sleep(1.2)
""",
        cpu=EXACT,
    ),
    Workload("20 orphans of 50 ms, setsid and exec", _SHORT_ORPHANS, cpu=EXACT),
    Workload("the same in a container of its own", _SHORT_ORPHANS, cpu=EXACT, contained=True),
    Workload("30 children of 40 ms, SIGCHLD ignored", _IGNORED, cpu=_LOST),
    Workload("the same in a container of its own", _IGNORED, cpu=EXACT, contained=True),
    Workload(
        "3 zombies that nobody waits for",
        """
for child in [subprocess.Popen(python("spin(0.8)")) for _ in range(3)]:
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
time.sleep(1.2); os._exit(0)
""",
        cpu=EXACT,
    ),
    Workload(
        "4 forked copies share 600 MiB",
        """
held = bytearray(600 * MIB)
for _ in range(4):
    if os.fork() == 0: time.sleep(2.5); os._exit(0)
for _ in range(4): os.wait()
""",
        memory=EXACT,
    ),
    Workload(
        "3 forked copies of 200 MiB that diverge",
        """
held = bytearray(200 * MIB)
for _ in range(3):
    if os.fork() == 0:
        for at in range(0, len(held), 4096): held[at] = 1
        time.sleep(2.5); os._exit(0)
for _ in range(3): os.wait()
""",
        cpu=EXACT,
        memory=EXACT,
    ),
    Workload(
        "400 MiB of shared anonymous memory, used by 4",
        """
held = mmap.mmap(-1, 400 * MIB)
for at in range(0, 400 * MIB, 4096): held[at] = 1
for _ in range(3):
    if os.fork() == 0:
        sum(held[at] for at in range(0, 400 * MIB, 4096)); time.sleep(2.5); os._exit(0)
for _ in range(3): os.wait()
""",
        memory=EXACT,
    ),
    Workload(
        "mmap of a file of 400 MiB",
        """
with open("mapped", "wb+") as file:
    file.truncate(400 * MIB)
    held = mmap.mmap(file.fileno(), 0)
    sum(held[at] for at in range(0, 400 * MIB, 4096)); time.sleep(1.5)
""",
        memory=EXACT,
        cpu=EXACT,
    ),
    Workload("/dev/shm file of 400 MiB", _SHM, memory=_TMPFS),
    Workload("the same in a container of its own", _SHM, memory=EXACT, contained=True),
    Workload(
        "a thread spawns the child that works",
        """
def work(): subprocess.run(python("spin(1.5)"))
thread = threading.Thread(target=work); thread.start(); thread.join()
""",
        cpu=EXACT,
    ),
    Workload(
        "executes another program in place",
        """
spin(0.7); held = bytearray(500 * MIB); time.sleep(1.1)
os.execv(sys.executable, python("spin(0.7); time.sleep(1)"))
""",
        cpu=EXACT,
        memory=EXACT,
    ),
    Workload(
        "a name with spaces and parentheses",
        "open('/proc/self/comm', 'w').write('a) R 1 (b c'); spin(1.5); time.sleep(1)",
        cpu=EXACT,
    ),
    Workload(
        "a pid that is given out again",
        """
def child(cpu_s):
    pid = os.fork()
    if pid == 0: spin(cpu_s); os._exit(0)
    return pid
first = child(0.8); os.waitpid(first, 0)
for _ in range(200):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last: last.write(str(first - 1))
    second = child(0.8 if os.path.exists("/proc/%d" % first) is False else 0.0)
    os.waitpid(second, 0)
    if second == first: break
time.sleep(1)
""",
        cpu=EXACT,
    ),
    Workload(
        "clocks of a time namespace, a day ahead",
        "time.sleep(0.5); subprocess.run(python('spin(1)')); spin(0.5); time.sleep(0.6)",
        cpu=EXACT,
        through=("unshare", "--time", "--fork", "--monotonic", "86400", "--boottime", "86400"),
    ),
    Workload(
        "pids of a namespace of its own",
        "subprocess.run(python('spin(1)')); spin(0.5); time.sleep(0.6)",
        cpu=EXACT,
        through=("unshare", "--pid", "--fork"),
    ),
    Workload(
        "the agent is suspended for 3 s",
        """
time.sleep(0.6); subprocess.run(python("spin(0.7)"))
held = bytearray(300 * MIB); del held; spin(1.5); time.sleep(2)
""",
        cpu=EXACT,
        memory=EXACT,
        stopped_agent=True,
    ),
    Workload("a task of 50 ms", "spin(0.03)", cpu=EXACT),
    Workload(
        "writes 300 MiB and syncs",
        """
with open("out", "wb") as file:
    for _ in range(300): file.write(bytes(MIB))
    file.flush(); os.fsync(file)
time.sleep(1)
""",
        cpu=EXACT,
        disk=EXACT,
        disk_bytes=300 << 20,
    ),
    Workload(
        "writes 300 MiB to the page cache alone",
        """
with open("out", "wb") as file:
    for _ in range(300): file.write(bytes(MIB))
time.sleep(1)
""",
        disk=EXACT,
        disk_bytes=300 << 20,
    ),
    Workload(
        "20 vforked children of a parent of 600 MiB",
        """
held = bytearray(600 * MIB)
for _ in range(20): os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0); time.sleep(0.1)
""",
        memory=EXACT,
    ),
    Workload(
        "a pool of 20 processes",
        """
import multiprocessing
def work(_):
    held = bytearray(20 * MIB); spin(0.15); time.sleep(2); return len(held)
with multiprocessing.get_context("fork").Pool(20) as pool: pool.map(work, range(20), chunksize=1)
""",
        cpu=EXACT,
        memory=EXACT,
    ),
    Workload(
        "20 programs of 30 MiB at once",
        """
started = [subprocess.Popen(python("held = bytearray(30 << 20); spin(0.05); time.sleep(2.5)")) for _ in range(20)]
for one in started: one.wait()
""",
        cpu=EXACT,
        memory=EXACT,
    ),
    Workload("two cores busy", "child = subprocess.Popen(python('spin(1.5)')); spin(1.5); child.wait()", cpu=EXACT),
    Workload(
        "killed half-way by SIGKILL",
        "held = bytearray(300 * MIB); spin(1.5); os.kill(os.getpid(), 9)",
        cpu=EXACT,
        memory=EXACT,
    ),
)
"""All of them, in the order of the table."""
