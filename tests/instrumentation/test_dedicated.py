"""What a container that is one attempt's alone tells of it: real processes in real control groups."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stepsize.instrumentation.agent.probes.container import Containers
from stepsize.instrumentation.agent.probes.dedicated import Tenancy
from tests.instrumentation.cgroups import RealGroup, real_group
from tests.instrumentation.conftest import Place, stop_agent
from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
OBEY = """
import os, signal, subprocess, sys, time
SPIN = "import time\\ne = time.process_time() + %r\\nwhile time.process_time() < e: pass"
def spin(s):
    e = time.process_time() + s
    while time.process_time() < e: pass
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""
"""A process that does what it is told, line by line, and says when it has."""


@dataclass
class Obedient:
    """A process in a group that does what it is told."""

    process: subprocess.Popen

    @property
    def pid(self) -> int:
        return self.process.pid

    def do(self, code: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(code.encode() + b"\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"\n"


@dataclass
class Scene:
    """A group, the processes in it, and a clock that goes as fast as the test wants."""

    group: RealGroup
    actors: list[Obedient] = field(default_factory=list)
    now_s: float = field(default_factory=time.monotonic)

    def enter(self, *through: str) -> Obedient:
        """A further process in the group."""
        command = [*through, *self.group.enter(), sys.executable, "-I", "-S", "-c", OBEY]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        actor = Obedient(process)
        self.actors.append(actor)
        actor.do("pass")
        return actor

    def tenancy(self, root: Obedient, ours: set[int] | None = None) -> Tenancy:
        container = Containers().of(root.pid)
        assert container is not None
        return Tenancy(container, root.pid, ours or set())

    def look(self, tenancy: Tenancy, root: Obedient) -> None:
        """One more sample, five seconds later: the tree is the root."""
        self.now_s += 5.0
        fields = Path(f"/proc/{root.pid}/stat").read_text().rpartition(")")[2].split()
        seen_s = sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        tenancy.look(self.now_s, {root.pid}, seen_s)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with real_group("memory", "cpuacct") as group:
        if group is None:
            pytest.skip("no control group can be made here")
        found = Scene(group)
        try:
            yield found
        finally:
            for actor in found.actors:
                actor.process.kill()
                actor.process.communicate()


def test_children_that_the_kernel_forgets_are_told_by_the_container(scene: Scene) -> None:
    """Of children whose parent ignores SIGCHLD nothing stays but what their control group has counted."""
    root = scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    root.do("signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    for _ in range(4):
        root.do("subprocess.Popen([sys.executable, '-I', '-S', '-c', SPIN % 0.2]).wait()")
    scene.look(tenancy, root)
    assert tenancy.is_sole
    assert tenancy.unseen.user_s + tenancy.unseen.system_s == pytest.approx(0.88, abs=0.1)


def test_what_the_tree_accounts_for_is_not_told_again(scene: Scene) -> None:
    """Time of the root and of children that it waited for is no news."""
    root = scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    root.do("spin(0.3); subprocess.run([sys.executable, '-I', '-S', '-c', SPIN % 0.3])")
    scene.look(tenancy, root)
    assert tenancy.is_sole
    assert tenancy.unseen.user_s + tenancy.unseen.system_s < 0.05


def test_what_the_tracking_uses_is_taken_off(scene: Scene) -> None:
    """An agent in the same container, and what it starts, is explained, and none of the attempt's."""
    agent, root = scene.enter(), scene.enter()
    tenancy = scene.tenancy(root, {agent.pid})
    scene.look(tenancy, root)
    agent.do("spin(0.5); child = subprocess.Popen([sys.executable, '-I', '-S', '-c', SPIN % 0.3])")
    scene.look(tenancy, root)
    agent.do("child.wait()")
    scene.look(tenancy, root)
    assert tenancy.is_sole
    assert tenancy.unseen.user_s + tenancy.unseen.system_s < 0.1


def test_somebody_else_ends_it(scene: Scene) -> None:
    """A stranger in the container is none of the attempt's: from then on the container tells nothing more of it."""
    root = scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    assert tenancy.is_sole
    stranger = scene.enter("setsid")
    stranger.do("spin(0.5)")
    scene.look(tenancy, root)
    assert not tenancy.is_sole
    assert tenancy.unseen.user_s + tenancy.unseen.system_s == 0
    assert tenancy.bounded(1 << 40, "vmhwm") == (1 << 40, "vmhwm")


def test_a_container_that_others_were_in_first_is_not_dedicated(scene: Scene) -> None:
    """A notebook server beside whose kernels an attempt is one more process is nobody's alone."""
    scene.enter("setsid")
    root = scene.enter("setsid")
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    assert not tenancy.is_sole


def test_the_rest_of_a_pipeline_is_no_stranger(scene: Scene) -> None:
    """What the shell that started the root had started beside it does not end it, and is not the attempt's."""
    beside, root = scene.enter(), scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    beside.do("spin(0.4)")
    scene.look(tenancy, root)
    assert tenancy.is_sole
    assert tenancy.unseen.user_s + tenancy.unseen.system_s < 0.05


def test_files_in_shared_memory_are_held_by_the_attempt(scene: Scene, tmp_path: Path) -> None:
    """What no process maps but the container is charged with is part of the peak."""
    root = scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    name = f"/dev/shm/{os.getpid()}-{tmp_path.name}"
    root.do(f"shm = open({name!r}, 'wb'); os.unlink({name!r}); shm.write(bytes(100 << 20)); shm.flush()")
    scene.look(tenancy, root)
    peak_bytes, source = tenancy.bounded(20 * MIB, "vmhwm")
    assert source == "cgroup"
    assert 100 * MIB <= peak_bytes <= 120 * MIB
    assert tenancy.bounded(peak_bytes + 1, "vmhwm") == (peak_bytes + 1, "vmhwm"), (
        "a higher mark, below what was charged"
    )


def test_a_peak_that_adds_up_too_much_is_bounded(scene: Scene) -> None:
    """No peak is believed that is more than the kernel ever charged to the container at once."""
    root = scene.enter()
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    root.do("held = bytearray(100 << 20); del held")
    scene.look(tenancy, root)
    peak_bytes, source = tenancy.bounded(300 * MIB, "vmhwm")
    assert source == "cgroup"
    assert 100 * MIB <= peak_bytes <= 130 * MIB


def test_memory_from_elsewhere_is_not_forgotten(scene: Scene) -> None:
    """A process that had its memory before it came into the container is not bounded by what that was charged."""
    command = [sys.executable, "-I", "-S", "-c", "held = bytearray(100 << 20)\n" + OBEY]
    root = Obedient(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    scene.actors.append(root)
    root.do("pass")
    for directory in scene.group.directories.values():
        (directory / "cgroup.procs").write_text(str(root.pid))
    tenancy = scene.tenancy(root)
    scene.look(tenancy, root)
    assert tenancy.is_sole
    assert tenancy.bounded(108 * MIB, "vmhwm") == (108 * MIB, "vmhwm")


@pytest.mark.parametrize("agent_inside", [False, True])
def test_an_attempt_in_a_container_of_its_own(place: Place, receiver: Receiver, *, agent_inside: bool) -> None:
    """CPU time that no process kept and memory that no process maps are the attempt's; the agent's are not."""
    settings = place.settings(endpoint=receiver.endpoint)
    if not agent_inside:
        place.run(settings, "warm", "")
    with contextlib.ExitStack() as stack:
        group = stack.enter_context(real_group("memory", "cpuacct"))
        if group is None:
            pytest.skip("no control group can be made here")
        stack.callback(stop_agent, settings)  # which may be in the group
        child = "import time\\ne = time.process_time() + 0.1\\nwhile time.process_time() < e: pass"
        body = f"""
        time.sleep(0.5)
        shm = open("/dev/shm/{place.runtime.name}", "wb"); os.unlink(shm.name)
        shm.write(bytes(100 << 20)); shm.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        for _ in range(6):
            subprocess.Popen([sys.executable, "-I", "-S", "-c", "{child}"]).wait()
        time.sleep(0.5)
        """
        place.run(settings, "sole", body, through=group.enter())
        receiver.end("sole")
        peak = max(receiver.of("stepsize.task.memory.peak", "sole"), key=lambda p: p.value)
        cpu_s = receiver.cpu_s("sole")
    assert cpu_s == pytest.approx(0.75, abs=0.15)
    assert 100 * MIB <= peak.value <= 160 * MIB
    assert peak.attributes["stepsize.memory.source"] == "cgroup"
