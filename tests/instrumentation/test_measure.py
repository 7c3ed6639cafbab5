"""What is measured of a task, against what the task is known to have used."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import client
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
SPIN = "import time; e = time.process_time() + {}\nwhile time.process_time() < e: pass"
NEVER_S = 86_400.0
"""An interval of which no multiple comes: what is sampled is the first half second, and what a flush asks for."""
LITTLE_S = 0.06
"""CPU time of a few ticks, and of what is done between two readings of a clock."""
USED = """
import resource
def used():
    readings = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in readings)
"""
"""What a process and its children that were waited for have used, as the kernel tells it: more on a busy machine."""


def _run_and_ask(place: Place, settings: Settings, name: str, body: str) -> float:
    """Run a task to its end; the CPU time that it used since it was registered."""
    done = place.run(settings, name, f"{USED}before = used()\n{body}\nprint(used() - before)")
    assert done.returncode == 0, done.stdout
    return float(done.stdout)


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
    """300 MiB that a child held for a moment between two samples are in the peak, though in no sample.

    The samples are those that the flushes ask for, one before the child comes and one once it has let go.
    """
    settings = place.settings(endpoint=receiver.endpoint, interval_s=NEVER_S)
    child = "import sys; b = bytearray(300 << 20); del b; print(flush=True); sys.stdin.read()"
    body = f"""
    time.sleep(0.5)
    print(flush=True); sys.stdin.readline()
    child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    print(flush=True); sys.stdin.readline()
    child.kill()
    child.wait()
    """
    task = place.start(settings, "spike", body, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert task.stdin is not None
    assert task.stdout is not None
    for _ in range(2):
        assert task.stdout.readline()
        assert client.flush(settings, TIMEOUT_S)
        task.stdin.write(b"\n")
    task.communicate(timeout=TIMEOUT_S)
    receiver.end("spike")
    assert 300 * MIB <= receiver.last("stepsize.task.memory.peak", "spike") <= 400 * MIB
    assert max(p.value for p in receiver.of("stepsize.task.memory.usage", "spike")) < 150 * MIB


def test_a_short_child_that_no_sample_saw_is_in_the_peak(place: Place, receiver: Receiver) -> None:
    """A child of 300 MiB that came and went between two samples is known from what its parent was told of it."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=NEVER_S)
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
    settings = place.settings(endpoint=receiver.endpoint, interval_s=NEVER_S)
    body = f"time.sleep(0.5); subprocess.run([sys.executable, '-c', {SPIN.format(0.3)!r}])"
    used_s = _run_and_ask(place, settings, "child", body)
    receiver.end("child")
    assert used_s > 0.3
    assert receiver.cpu_s("child") == pytest.approx(used_s, abs=LITTLE_S)


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


WORKER = (
    USED
    + """
import sys, time
from stepsize.instrumentation import client
from stepsize.model import Identity, Outcome
from stepsize.settings import Settings
task = client.register(Identity({flow!r}, "1", {step!r}, {name!r}), Settings.load())
before = used()
{body}
sys.stdout.write(f"{name} {{before}} {{used() - before}}\\n")
sys.stdout.flush()
task.end(Outcome.OK, 0)
"""
)
HOLD = "held = bytearray(150 << 20)\ne = time.process_time() + 0.5\nwhile time.process_time() < e: pass"


def _control(workers: dict[str, str], ends: str, **identity: str) -> str:
    """A task that starts other tasks, works beside them for 0.5 CPU-s and waits for them.

    Each says, in a line, what it had used when it was registered and what it used from then on; this one, of itself.
    """
    codes = [WORKER.format(**{"flow": "Flow", "step": "step", **identity}, name=n, body=b) for n, b in workers.items()]
    start = f"workers = [subprocess.Popen([sys.executable, '-c', code]) for code in {codes!r}]"
    waits = "for worker in workers: worker.wait()\nprint('control', begun, time.process_time() - begun, flush=True)"
    return f"begun = time.process_time()\n{start}\n{SPIN.format(0.5)}\n{waits}\n{ends}"


def _told(lines: bytes) -> dict[str, tuple[float, float]]:
    """By task: CPU time before it was registered, and since."""
    rows = [line.split() for line in lines.decode().splitlines()]
    return {name: (float(before), float(since)) for name, before, since in rows}


@pytest.mark.parametrize("interval_s", [0.2, 30.0])
@pytest.mark.parametrize("ends", ["time.sleep(0.3)", "", "os.kill(os.getpid(), 9)"], ids=["later", "at once", "killed"])
def test_workers_that_are_tasks_themselves_are_counted_once(
    place: Place, receiver: Receiver, interval_s: float, ends: str
) -> None:
    """The control task of a parallel step has its own CPU and memory, not those of the workers that it waits for."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=interval_s)
    process = place.start(settings, "control", _control({"w1": HOLD, "w2": HOLD}, ends), stdout=subprocess.PIPE)
    for name in ("control", "w1", "w2"):
        receiver.end(name)
    told = _told(process.communicate(timeout=TIMEOUT_S)[0])
    for name in ("w1", "w2"):
        assert receiver.cpu_s(name) == pytest.approx(told[name][1], abs=LITTLE_S)
        assert 150 * MIB <= receiver.last("stepsize.task.memory.peak", name) <= 220 * MIB
    # What the workers used before they were tasks, mostly to import, is nobody else's; nor is what the kernel uses to
    # let go of their memory once they have said their last.
    own_s = told["control"][1]
    assert own_s - LITTLE_S <= receiver.cpu_s("control") <= own_s + told["w1"][0] + told["w2"][0] + 3 * LITTLE_S
    assert receiver.last("stepsize.task.memory.peak", "control") < 140 * MIB


def test_other_children_of_a_control_task_stay_its_own(place: Place, receiver: Receiver) -> None:
    """What is taken off for a worker is the worker's: a child that is no task is counted beside it, once."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=0.2)
    child = USED + SPIN.format(0.6) + "\nprint('child', 0, used())"
    body = _control({"w1": HOLD}, f"subprocess.run([sys.executable, '-c', {child!r}])")
    told = _told(place.run(settings, "control", body).stdout)
    receiver.end("control")
    receiver.end("w1")
    assert receiver.cpu_s("w1") == pytest.approx(told["w1"][1], abs=LITTLE_S)
    own_s = told["control"][1] + told["child"][1]
    assert own_s - LITTLE_S <= receiver.cpu_s("control") <= own_s + told["w1"][0] + LITTLE_S


@pytest.mark.parametrize("identity", [{"flow": "Inner"}, {"step": "other"}])
def test_a_flow_inside_of_a_step_is_counted_in_both(
    place: Place, settings: Settings, receiver: Receiver, identity: dict[str, str]
) -> None:
    """A task of another flow or step below a task is part of what that one's machine has to bear."""
    told = _told(place.run(settings, "outer", _control({"inner": HOLD}, "", **identity)).stdout)
    receiver.end("outer")
    receiver.end("inner")
    assert receiver.cpu_s("inner") == pytest.approx(told["inner"][1], abs=LITTLE_S)
    all_s = told["control"][1] + sum(told["inner"])
    assert receiver.cpu_s("outer") == pytest.approx(all_s, abs=LITTLE_S)
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
    settings = place.settings(endpoint=receiver.endpoint, interval_s=NEVER_S)
    place.run(settings, "warm", "")
    receiver.end("warm")
    place.run(settings, "brief", "time.sleep(0.7); os._exit(0)")
    receiver.end("brief")
    times = {p.time_unix_nano for p in receiver.of("stepsize.task.memory.usage", "brief")}
    assert 2 <= len(times) <= 4  # a busy machine may sleep through one or two
    assert len(receiver.of("stepsize.task.cpu.usage", "brief")) == 1


def test_nothing_of_the_tracking_is_counted(place: Place, settings: Settings, receiver: Receiver) -> None:
    """A task that starts the agent and then sleeps has used next to nothing: no CPU, no child, no process of ours."""
    task = place.start(settings, "idle", "sys.stdin.read()", stdin=subprocess.PIPE)
    receiver.wait(lambda: receiver.of("stepsize.task.process.count", "idle"))
    task.communicate(timeout=TIMEOUT_S)
    receiver.end("idle")
    assert receiver.cpu_s("idle") < 0.02
    assert {p.value for p in receiver.of("stepsize.task.process.count", "idle")} == {1}


def test_a_name_with_spaces_and_parentheses_is_read_right(place: Place, settings: Settings, receiver: Receiver) -> None:
    """What a process calls itself does not shift the fields of its ``stat``."""
    body = f"open('/proc/self/comm', 'w').write('a) R 1 (b c')\n{SPIN.format(0.3)}\ntime.sleep(0.3)"
    used_s = _run_and_ask(place, settings, "name", body)
    receiver.end("name")
    assert receiver.cpu_s("name") == pytest.approx(used_s, abs=LITTLE_S)
    assert {p.value for p in receiver.of("stepsize.task.process.count", "name")} == {1}


def test_a_task_that_executes_another_program_is_the_same_task(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Peak and CPU time from before and after the exec are one attempt's."""
    # The time of the process, whatever it executed; it waits, since what follows the last sample may stay unknown.
    after = SPIN.format(0.3) + "\nprint(time.process_time())\ntime.sleep(0.5)"
    body = f"b = bytearray(200 << 20); time.sleep(0.5); os.execv(sys.executable, [sys.executable, '-c', {after!r}])"
    process = place.run(settings, "exec", f"print(time.process_time(), flush=True)\n{SPIN.format(0.3)}\n{body}")
    assert process.returncode == 0
    before_s, end_s = map(float, process.stdout.split())
    assert receiver.end("exec").attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert receiver.cpu_s("exec") == pytest.approx(end_s - before_s, abs=LITTLE_S)
    assert receiver.last("stepsize.task.memory.peak", "exec") >= 200 * MIB


def test_a_task_of_50_ms_is_complete(place: Place, receiver: Receiver) -> None:
    """A task that is over before the agent is up has its CPU time, peak, disk, end, and sums that began with it."""
    settings = place.settings(endpoint=receiver.endpoint)
    used_s = _run_and_ask(place, settings, "short", f"b = bytearray(100 << 20)\n{SPIN.format(0.05)}")
    end = receiver.end("short")
    sums = receiver.of("stepsize.task.cpu.time", "short")
    assert end.attributes == {"stepsize.outcome": "ok", "process.exit.code": 0}
    assert receiver.cpu_s("short") == pytest.approx(used_s, abs=LITTLE_S / 2)
    assert receiver.last("stepsize.task.memory.peak", "short") >= 100 * MIB
    assert receiver.of("stepsize.task.disk.io", "short")
    assert {p.start_unix_nano for p in sums} == {sums[0].start_unix_nano}
    assert sums[0].start_unix_nano < end.time_unix_nano


def test_a_task_of_4_ms_has_not_used_more_cores_than_it_had_threads(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """CPU time and clock are read beside one another, so that even the shortest task has at most a core per thread."""
    body = "for n in range(20):\n    each = client.register(Identity('Flow', '1', 'step', f't{n}'), settings)\n"
    body += "    e = time.process_time() + 0.002\n    while time.process_time() < e: pass\n    each.end(Outcome.OK)"
    place.run(settings, "outer", body)
    for n in range(20):
        end = receiver.end(f"t{n}")
        usage = receiver.of("stepsize.task.cpu.usage", f"t{n}")
        assert [p.value for p in usage if not 0 <= p.value <= 1] == []
        lived_s = (end.time_unix_nano - receiver.of("stepsize.task.cpu.time", f"t{n}")[0].start_unix_nano) / 1e9
        assert lived_s >= 0.1 or all(p.value for p in usage)  # one that waited for its turn has been seen at rest


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
