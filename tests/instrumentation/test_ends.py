"""How an attempt ended, by evidence, where its process had no last word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation import client
from tests.instrumentation.receiver import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.instrumentation import client
    from stepsize.settings import Settings
    from tests.instrumentation.conftest import Place
from tests.instrumentation.receiver import Receiver

MIB = 1 << 20


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_signal_is_told_with_its_number(place: Place, receiver: Receiver, number: signal.Signals) -> None:
    """A task that a signal ended was killed, and that is seen long before the next sample; what it used is known."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=3600)
    body = f"b = bytearray(100 << 20); print(flush=True); sys.stdin.read(); os.kill(os.getpid(), {int(number)})"
    process = place.start(settings, "killed", body, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert client.flush(settings, TIMEOUT_S)  # for which it is sampled
    before = time.time_ns()
    process.communicate(timeout=TIMEOUT_S)
    end = receiver.end("killed")
    assert end.attributes == {"stepsize.outcome": "killed", "process.exit.signal": int(number)}
    assert before < end.time_unix_nano < time.time_ns()
    assert receiver.last("stepsize.task.memory.peak", "killed") >= 100 * MIB


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (3, "failed")])
def test_an_exit_code_is_told(place: Place, settings: Settings, receiver: Receiver, code: int, outcome: str) -> None:
    """A task that left without a word was well if its exit code says so."""
    place.run(settings, "left", f"time.sleep(0.3); os._exit({code})")
    assert receiver.end("left").attributes == {"stepsize.outcome": outcome, "process.exit.code": code}


def test_the_cpu_time_of_a_killed_task_is_known_to_its_end(place: Place, receiver: Receiver) -> None:
    """What it used after its last sample is read from the zombie, before its parent waits for it."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=3600)
    body = "begun = time.process_time()\nwhile time.process_time() < begun + 0.5: pass\n"
    body += "print(time.process_time() - begun, flush=True)\nos.kill(os.getpid(), 9)"
    process = place.start(settings, "spin", body, stdout=subprocess.PIPE)
    # Waited for only once the end has arrived: a parent that waits at once may be quicker than the agent.
    assert receiver.end("spin").attributes["stepsize.outcome"] == "killed"
    used_s = float(process.communicate(timeout=TIMEOUT_S)[0])
    assert receiver.cpu_s("spin") == pytest.approx(used_s, abs=0.06)


def test_of_a_killed_task_that_leaves_no_zombie_the_first_second_is_known(place: Place, receiver: Receiver) -> None:
    """Where nothing is left to read at the end, what the samples of the first second saw stays."""
    settings = place.settings(endpoint=receiver.endpoint, interval_s=10.0)
    place.run(settings, "warm", "")
    receiver.end("warm")
    body = "e = time.process_time() + 0.6\nwhile time.process_time() < e: pass\nos.kill(os.getpid(), 9)"
    parent = "import signal, subprocess, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    parent += "subprocess.Popen(sys.argv[1:]).wait()"
    place.run(settings, "spin", body, through=(sys.executable, "-c", parent))
    receiver.end("spin")
    assert 0.05 <= receiver.cpu_s("spin") <= 0.65  # a busy machine samples it later, and fewer times


def test_a_failed_task_says_so(place: Place, settings: Settings, receiver: Receiver) -> None:
    """The client's last word is the outcome, whatever the process does afterwards."""
    place.run(settings, "failed", "task.end(Outcome.FAILED, 1); os._exit(0)", end=False)
    assert receiver.end("failed").attributes == {"stepsize.outcome": "failed", "process.exit.code": 1}
    assert len(receiver.of("stepsize.task.end", "failed")) == 1


def test_a_last_word_that_a_sample_overtook_makes_no_second_point_of_its_time(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """What a process said of its end may reach the agent after a younger sample; the end comes after that one."""
    body = (
        "from stepsize.instrumentation import messages\n"
        "time.sleep(0.5)\n"
        "task.end_with(messages.End(task.identity.instance_id, Outcome.OK, task.baseline))\n"
        "time.sleep(0.5)\n"
    )
    place.run(settings, "overtaken", body, end=False)
    end = receiver.end("overtaken")
    times = [p.time_unix_nano for p in receiver.of("stepsize.task.memory.usage", "overtaken")]
    assert times == sorted(set(times))
    assert times[-1] <= end.time_unix_nano


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of 80 MiB of our own, where this machine lets us make one."""
    name = f"stepsize-test-{os.getpid()}-{time.monotonic_ns()}"
    for root, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = Path(root, name)
        try:
            group.mkdir()
            (group / limit).write_text(str(80 * MIB))
        except OSError:
            if group.is_dir():
                group.rmdir()
            continue
        yield group
        group.rmdir()
        return
    pytest.skip("no memory cgroup can be made here")


def test_a_kill_for_memory_is_told_from_any_other(
    place: Place, settings: Settings, receiver: Receiver, small_cgroup: Path
) -> None:
    """SIGKILL together with a kill that the task's cgroup counted is out of memory; the limit is the container's."""
    body = """
    time.sleep(0.5)
    hold = []
    while True: hold.append(bytearray(4 << 20))
    """
    place.run(settings, "warm", "")  # starts the agent, which has to stay outside of the small cgroup
    enter = ("sh", "-c", f'echo $$ > {small_cgroup}/cgroup.procs && exec "$@"', "sh")
    done = place.run(settings, "oom", body, through=enter)
    assert done.returncode == -signal.SIGKILL
    end = receiver.end("oom")
    assert end.attributes == {"stepsize.outcome": "oom", "process.exit.signal": 9}
    assert receiver.last("container.memory.limit", "oom") == 80 * MIB
    assert receiver.last("container.memory.oom_kills", "oom") >= 1
