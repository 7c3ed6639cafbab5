"""What is measured of a task, against what the task is known to have used."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
SPIN = "import time; e = time.process_time() + {}\nwhile time.process_time() < e: pass"


def test_a_task_that_holds_600_mib_is_reported_between_600_and_700(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """The peak is what the process held, and says where it comes from."""
    place.run(settings, "big", "b = bytearray(600 << 20); time.sleep(0.3)")
    receiver.end("big")
    peak = max(receiver.of("stepsize.task.memory.peak", "big"), key=lambda p: p.value)
    assert 600 * MIB <= peak.value <= 700 * MIB
    assert peak.attributes["stepsize.memory.source"] == "vmhwm"


def test_a_spike_between_two_samples_is_in_the_peak(place: Place, receiver: Receiver) -> None:
    """300 MiB that a child held for 0.15 s between two samples are in the peak, though in no sample."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=1.5)
    place.run(settings, "warm", "")  # an agent that is up looks at a task as soon as it registers
    receiver.end("warm")
    child = "import time; b = bytearray(300 << 20); time.sleep(.15); del b; time.sleep(9)"
    # All attempts of one interval are sampled at the multiples of it: the child comes a moment after one.
    body = "time.sleep(3.2 - time.monotonic() % 1.5)\n"
    body += f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
    body += "time.sleep(1.5); child.kill()"
    place.run(settings, "spike", body)
    receiver.end("spike")
    assert 300 * MIB <= receiver.last("stepsize.task.memory.peak", "spike") <= 400 * MIB
    assert max(p.value for p in receiver.of("stepsize.task.memory.usage", "spike")) < 150 * MIB


def test_a_short_child_that_no_sample_saw_is_in_the_peak(place: Place, receiver: Receiver) -> None:
    """A child of 300 MiB that came and went between two samples is known from what its parent was told of it."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=5.0)
    place.run(settings, "warm", "")
    receiver.end("warm")
    body = "time.sleep(0.5); subprocess.run([sys.executable, '-c', 'b = bytearray(300 << 20)'])"
    place.run(settings, "gone", body)
    receiver.end("gone")
    last = max(receiver.of("stepsize.task.memory.peak", "gone"), key=lambda p: p.value)
    assert 300 * MIB <= last.value <= 400 * MIB
    assert last.attributes["stepsize.memory.source"] == "rusage"


def test_children_that_follow_one_another_are_not_added_up(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Three children of 100 MiB, one after the other, are a peak of one of them beside the parent."""
    child = "import time; b = bytearray(100 << 20); time.sleep(0.5)"
    place.run(settings, "one", f"for _ in range(3): subprocess.run([sys.executable, '-c', {child!r}])")
    receiver.end("one")
    assert 100 * MIB <= receiver.last("stepsize.task.memory.peak", "one") <= 180 * MIB


def test_memory_that_a_fork_shares_is_counted_once(place: Place, settings: Settings, receiver: Receiver) -> None:
    """Four forked copies of a process of 200 MiB hold little more than one."""
    body = """
    b = bytearray(200 << 20)
    children = []
    for _ in range(4):
        pid = os.fork()
        if not pid:
            time.sleep(1.0); os._exit(0)
        children.append(pid)
    for child in children: os.waitpid(child, 0)
    """
    place.run(settings, "forks", body)
    receiver.end("forks")
    assert 200 * MIB <= receiver.last("stepsize.task.memory.peak", "forks") <= 300 * MIB


def test_a_child_that_lived_between_two_samples_is_in_the_cpu_time(place: Place, receiver: Receiver) -> None:
    """A child of 0.3 CPU-s that no sample saw is counted, once."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=5.0)
    place.run(settings, "child", f"time.sleep(0.5); subprocess.run([sys.executable, '-c', {SPIN.format(0.3)!r}])")
    receiver.end("child")
    assert receiver.cpu_s("child") == pytest.approx(0.33, abs=0.1)


@pytest.mark.parametrize("way", ["fork", "shell"])
def test_a_process_that_was_orphaned_at_once_is_counted(
    place: Place, settings: Settings, receiver: Receiver, way: str
) -> None:
    """What a double fork leaves behind stays the task's: a copy of the program, or a shell's background command.

    The orphan says when it has used what it uses, and lives until the task ends: on a busy machine too.
    """
    work = f"{SPIN.format(0.5)}\nos.write(done, b'.'); os.read(end, 1)"
    body = "told, done = os.pipe(); end, ends = os.pipe()\n"
    if way == "fork":
        indented = textwrap.indent(f"os.close(ends)\n{work}\nos._exit(0)", " " * 8)
        body += f"if os.fork() == 0:\n    if os.fork() == 0:\n{indented}\n    os._exit(0)\nos.wait()"
    else:
        code = f"import os, sys\ndone, end = map(int, sys.argv[1:])\n{work}"
        command = f"['sh', '-c', '\"$@\" &', 'sh', sys.executable, '-c', {code!r}, str(done), str(end)]"
        body += f"subprocess.run({command}, pass_fds=(done, end))"
    place.run(settings, way, body + "\nos.read(told, 1); time.sleep(0.5)", start_new_session=True)
    receiver.end(way)
    assert receiver.cpu_s(way) >= 0.45


WORKER = """
import time
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
task = client.register(Identity({flow!r}, "1", {step!r}, {name!r}), Settings.load())
{body}
task.end(Outcome.OK, 0)
"""
HOLD = "held = bytearray(150 << 20)\ne = time.process_time() + 0.5\nwhile time.process_time() < e: pass"


def _control(workers: dict[str, str], ends: str, **identity: str) -> str:
    """A task that starts other tasks, works beside them for 0.5 CPU-s and waits for them."""
    codes = [WORKER.format(**{"flow": "Flow", "step": "step", **identity}, name=n, body=b) for n, b in workers.items()]
    start = f"workers = [subprocess.Popen([sys.executable, '-c', code]) for code in {codes!r}]"
    return f"{start}\n{SPIN.format(0.5)}\nfor worker in workers: worker.wait()\n{ends}"


@pytest.mark.parametrize("interval_s", [0.2, 30.0])
@pytest.mark.parametrize("ends", ["time.sleep(0.3)", "", "os.kill(os.getpid(), 9)"], ids=["later", "at once", "killed"])
def test_workers_that_are_tasks_themselves_are_counted_once(
    place: Place, receiver: Receiver, interval_s: float, ends: str
) -> None:
    """The control task of a parallel step has its own CPU and memory, not those of the workers that it waits for."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=interval_s)
    process = place.start(settings, "control", _control({"w1": HOLD, "w2": HOLD}, ends))
    for name in ("control", "w1", "w2"):
        receiver.end(name)
    process.wait(timeout=TIMEOUT_S)
    for name in ("w1", "w2"):
        assert receiver.cpu_s(name) == pytest.approx(0.55, abs=0.15)
        assert 150 * MIB <= receiver.last("stepsize.task.memory.peak", name) <= 220 * MIB
    # What the workers used before they were tasks, mostly to import, is nobody else's.
    assert 0.5 <= receiver.cpu_s("control") <= 1.05
    assert receiver.last("stepsize.task.memory.peak", "control") < 140 * MIB


def test_other_children_of_a_control_task_stay_its_own(place: Place, receiver: Receiver) -> None:
    """What is taken off for a worker is the worker's: a child that is no task is counted beside it, once."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=0.2)
    child = f"subprocess.run([sys.executable, '-c', {SPIN.format(0.6)!r}])"
    place.run(settings, "control", _control({"w1": HOLD}, child))
    receiver.end("control")
    receiver.end("w1")
    assert receiver.cpu_s("w1") == pytest.approx(0.55, abs=0.15)
    assert 1.1 <= receiver.cpu_s("control") <= 1.45


@pytest.mark.parametrize("identity", [{"flow": "Inner"}, {"step": "other"}])
def test_a_flow_inside_of_a_step_is_counted_in_both(
    place: Place, settings: Settings, receiver: Receiver, identity: dict[str, str]
) -> None:
    """A task of another flow or step below a task is part of what that one's machine has to bear."""
    place.run(settings, "outer", _control({"inner": HOLD}, "", **identity))
    receiver.end("outer")
    receiver.end("inner")
    assert receiver.cpu_s("inner") == pytest.approx(0.55, abs=0.15)
    assert receiver.cpu_s("outer") >= 1.0
    assert receiver.last("stepsize.task.memory.peak", "outer") >= 150 * MIB


def test_what_cannot_be_read_is_absent(place: Place, receiver: Receiver) -> None:
    """Tasks that are killed within milliseconds have no memory, no processes and no cores of zero."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=0.2)
    place.run(settings, "warm", "")
    body = """
    for n in range(40):
        child = os.fork()
        if not child:
            client.register(Identity("Flow", "1", "step", f"t{n}"), settings)
            held = bytearray(32 << 20)  # which takes a moment to let go of
            os.kill(os.getpid(), 9)
        time.sleep(0.002 * (n % 5))
        os.waitpid(child, 0)
    """
    place.run(settings, "parent", body)
    for n in range(40):
        receiver.end(f"t{n}")
    never_zero = ("memory.usage", "memory.peak", "process.count", "thread.count")
    assert [p for name in never_zero for p in receiver.of(f"stepsize.task.{name}") if p.value <= 0] == []
    for task in (f"t{n}" for n in range(40)):
        start = receiver.of("stepsize.task.cpu.time", task)[:1]
        lived_s = (receiver.end(task).time_unix_nano - start[0].start_unix_nano) / 1e9 if start else 0.0
        assert lived_s >= 0.1 or not receiver.of("stepsize.task.cpu.usage", task)


def test_a_task_of_half_a_second_is_sampled(place: Place, receiver: Receiver) -> None:
    """The first second is looked at more often: a task that is over before the first interval has been seen."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=5.0)
    place.run(settings, "warm", "")
    receiver.end("warm")
    place.run(settings, "brief", "time.sleep(0.05); held = bytearray(100 << 20); time.sleep(0.6); os._exit(0)")
    receiver.end("brief")
    usage = sorted(receiver.of("stepsize.task.memory.usage", "brief"), key=lambda p: p.time_unix_nano)
    assert len(usage) >= 4
    assert usage[-1].value >= 100 * MIB
    assert len(receiver.of("stepsize.task.cpu.usage", "brief")) == 1


def test_nothing_of_the_tracking_is_counted(place: Place, settings: Settings, receiver: Receiver) -> None:
    """A task that starts the agent and then sleeps has used next to nothing: no CPU, no child, no process of ours."""
    place.run(settings, "idle", "time.sleep(0.8)")
    receiver.end("idle")
    assert receiver.cpu_s("idle") < 0.02
    assert {p.value for p in receiver.of("stepsize.task.process.count", "idle")} == {1}


def test_a_name_with_spaces_and_parentheses_is_read_right(place: Place, settings: Settings, receiver: Receiver) -> None:
    """What a process calls itself does not shift the fields of its ``stat``."""
    body = f"open('/proc/self/comm', 'w').write('a) R 1 (b c')\n{SPIN.format(0.3)}\ntime.sleep(0.3)"
    place.run(settings, "name", body)
    receiver.end("name")
    assert receiver.cpu_s("name") == pytest.approx(0.3, abs=0.1)
    assert {p.value for p in receiver.of("stepsize.task.process.count", "name")} == {1}


def test_a_task_that_executes_another_program_is_the_same_task(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Peak and CPU time from before and after the exec are one attempt's."""
    after = SPIN.format(0.3)
    body = f"b = bytearray(200 << 20); time.sleep(0.5); os.execv(sys.executable, [sys.executable, '-c', {after!r}])"
    process = place.run(settings, "exec", SPIN.format(0.3) + "\n" + body)
    assert process.returncode == 0
    assert receiver.end("exec").attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert receiver.cpu_s("exec") == pytest.approx(0.65, abs=0.15)
    assert receiver.last("stepsize.task.memory.peak", "exec") >= 200 * MIB


def test_a_task_of_50_ms_is_complete(place: Place, receiver: Receiver) -> None:
    """A task that is over before the agent is up has its CPU time, peak, disk, end, and sums that began with it."""
    settings = place.settings(endpoint=receiver.endpoint)
    place.run(settings, "short", f"b = bytearray(100 << 20)\n{SPIN.format(0.05)}")
    end = receiver.end("short")
    sums = receiver.of("stepsize.task.cpu.time", "short")
    assert end.attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert receiver.cpu_s("short") == pytest.approx(0.1, abs=0.06)
    assert receiver.last("stepsize.task.memory.peak", "short") >= 100 * MIB
    assert receiver.of("stepsize.task.disk.io", "short")
    assert {p.start_unix_nano for p in sums} == {sums[0].start_unix_nano}
    assert 0 < (end.time_unix_nano - sums[0].start_unix_nano) / 1e9 < 1.0


def test_a_task_of_4_ms_has_not_used_more_cores_than_it_had_threads(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """CPU time and clock are read beside one another, so that even the shortest task has at most a core per thread."""
    body = "for n in range(20):\n    each = client.register(Identity('Flow', '1', 'step', f't{n}'), settings)\n"
    body += "    e = time.process_time() + 0.002\n    while time.process_time() < e: pass\n    each.end(Outcome.OK)"
    place.run(settings, "outer", body)
    for n in range(20):
        receiver.end(f"t{n}")
        assert [p.value for p in receiver.of("stepsize.task.cpu.usage", f"t{n}") if not 0 < p.value <= 1] == []


def test_disk_writes_of_children_are_counted(place: Place, settings: Settings, receiver: Receiver) -> None:
    """50 MiB that a child wrote and synced are in the sum of its parent's task."""
    code = f"import os; f = open({str(place.home / 'f')!r}, 'wb'); f.write(bytes(50 << 20)); f.flush(); os.fsync(f)"
    place.run(settings, "disk", f"subprocess.run([sys.executable, '-c', {code!r}]); time.sleep(0.3)")
    receiver.end("disk")
    written = receiver.last("stepsize.task.disk.io", "disk", disk_io_direction="write")
    if written == 0:
        pytest.skip("this file system does not account for writes")
    assert 50 * MIB <= written <= 60 * MIB


def test_cores_in_use_are_sampled_at_their_true_times(place: Place, settings: Settings, receiver: Receiver) -> None:
    """A busy task uses one core in every window, and its samples are an interval apart."""
    place.run(settings, "busy", SPIN.format(1.0))
    receiver.end("busy")
    usage = receiver.of("stepsize.task.cpu.usage", "busy")
    times = sorted(p.time_unix_nano for p in usage)
    assert len(usage) >= 4
    assert all(p.value < 1.3 for p in usage)
    assert min(b - a for a, b in pairwise(times)) / 1e9 > 0.09


def test_the_host_is_sampled_once_and_on_a_resource_of_its_own(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Two tasks at a time have one host beside them, which carries no task's attributes."""
    first = place.start(settings, "a", "time.sleep(0.8)")
    place.run(settings, "b", "time.sleep(0.8)")
    first.wait()
    receiver.end("a")
    receiver.end("b")
    total = receiver.of("system.memory.limit")
    times = [p.time_unix_nano for p in total]
    assert total
    assert len(times) == len(set(times))
    assert not any("stepsize.task.id" in p.resource for p in total)
    assert total[0].resource["host.name"] == receiver.end("a").resource["host.name"]
    assert receiver.of("system.cpu.logical.count")[0].value >= 1


def test_the_resource_says_who_the_attempt_is(place: Place, settings: Settings, receiver: Receiver) -> None:
    """Identity, process, host and SDK are attributes of the resource; annotations too, once they have been made."""
    environment = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,service.name=other"}
    process = place.run(settings, "who", "task.annotate(rows=12); print(os.getpid())", env=environment)
    resource = receiver.end("who").resource
    wanted = {
        "stepsize.flow.name": "Flow",
        "stepsize.run.id": "1",
        "stepsize.step.name": "step",
        "stepsize.task.id": "who",
        "stepsize.task.attempt": 0,
        "stepsize.annotation.rows": 12,
        "service.name": "Flow",
        "process.pid": int(process.stdout),
        "os.type": sys.platform,
        "telemetry.sdk.language": "python",
        "deployment.environment": "test",
    }
    assert wanted.items() <= resource.items()


LAUNCHER = """
import subprocess, sys
from stepsize.instrumentation import client
from stepsize.settings import Settings
settings = Settings.load()
client.start_agent(settings)
task = subprocess.Popen([sys.executable, "-c", {task!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
task.stdout.readline()
subprocess.run([sys.executable, "-c", {beside!r}])
task.communicate(b"\\n")
client.flush(settings, 10)
"""
TASK = """
import os
import subprocess
import sys
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
task = client.register(Identity("Flow", "1", "step", "task"), Settings.load())
print("registered", flush=True)
sys.stdin.readline()
task.end(Outcome.OK, 0)
"""
BESIDE = "import time\nend = time.process_time() + 1\nwhile time.process_time() < end: pass"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a process 1 of its own")
def test_what_the_first_process_of_a_container_starts_beside_a_task_is_not_the_tasks(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """A launcher that is process 1 gets the orphans too: the worker of the next task is none of this one's."""
    launcher = LAUNCHER.format(task=TASK, beside=BESIDE)
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", launcher]
    subprocess.run(command, check=True, env=place.environment(settings), timeout=TIMEOUT_S)
    receiver.end("task")
    assert receiver.cpu_s("task") < 0.5
