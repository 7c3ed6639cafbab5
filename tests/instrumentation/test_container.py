"""Containers: made-up groups of both versions, and real ones where this machine has some to spare."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepsize.instrumentation.agent.probes.container import Container, ContainerProbe, Containers
from stepsize.instrumentation.agent.probes.groups import groups
from tests.instrumentation.cgroups import real_group, write

if TYPE_CHECKING:
    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

MIB = 1 << 20
UNIFIED = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
NO_LIMIT_V1 = "9223372036854771712"


def _v2(folder: Path, limit: str = "max", oom_kills: int = 0) -> None:
    write(
        folder,
        memory__current="1000",
        memory__max=f"{limit}\n",
        memory__peak="1200\n",
        memory__stat="anon 400\nfile 450\nshmem 100\ninactive_file 300\nslab_reclaimable 20\n",
        memory__events=f"low 0\noom 0\noom_kill {oom_kills}\n",
        cpu__max="150000 100000\n",
        cpu__stat="usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\nthrottled_usec 500000\n",
        cpu__pressure="some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n",
        memory__pressure="some avg10=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n",
    )


def _probe(cgroup: str, mounts: str, prefix: Path) -> ContainerProbe:
    return ContainerProbe(Container(groups(cgroup, mounts, prefix)), os.getpid())


def _values(probe: ContainerProbe) -> dict[tuple[str, ...], float]:
    now = time.monotonic()
    return {
        (o.metric.name, *(str(v) for _, v in o.attributes)): o.value
        for at in (now + 10.0, now + 20.0)
        for o in probe.sample(at)
    }


def test_version_2_counts_from_the_first_look(tmp_path: Path) -> None:
    """Usage, working set, limits and sums of a container; what was there before the attempt is left out."""
    group = tmp_path / "sys/fs/cgroup/kubepods/pod"
    _v2(group, limit="4000", oom_kills=2)
    probe = _probe("0::/kubepods/pod\n", UNIFIED, tmp_path)
    cpu = "usage_usec 4750000\nuser_usec 3500000\nsystem_usec 1250000\nthrottled_usec 750000\n"
    write(group, cpu__stat=cpu, memory__events="oom_kill 3\n", cpu__pressure="some avg10=0.00 total=1500000\n")
    values = _values(probe)
    assert values[("container.cpu.time", "user")] == 1.5
    assert values[("container.cpu.time", "system")] == 0.25
    assert values[("container.cpu.limit",)] == 1.5
    assert values[("container.cpu.throttled.time",)] == 0.25
    assert values[("container.cpu.pressure.time", "some")] == 0.5
    assert values[("container.memory.pressure.time", "full")] == 0
    assert values[("container.memory.usage",)] == 1000
    assert values[("container.memory.limit",)] == 4000
    assert values[("container.memory.peak",)] == 1200
    assert values[("container.memory.oom_kills",)] == 1
    assert ("container.io.pressure.time", "some") not in values


def test_kinds_of_memory_are_kept_apart(tmp_path: Path) -> None:
    """What processes hold, tmpfs, and page cache: tmpfs is counted by the kernel as files, though nothing frees it."""
    _v2(tmp_path / "sys/fs/cgroup/docker/x")
    values = _values(_probe("0::/docker/x\n", UNIFIED, tmp_path))
    assert values[("container.memory.working_set",)] == 700
    assert values[("container.memory.rss",)] == 400
    assert values[("container.memory.shared",)] == 100
    assert values[("container.memory.cache",)] == 370


def test_the_lowest_limit_of_all_ancestors_counts(tmp_path: Path) -> None:
    """A parent's limit binds too, and "max" is no limit."""
    root = tmp_path / "sys/fs/cgroup"
    _v2(root / "a", limit="2000")
    _v2(root / "a/b", limit="max")
    _v2(root / "a/b/c", limit="5000")
    write(root / "a/b", cpu__max="50000 100000\n")
    values = _values(_probe("0::/a/b/c\n", UNIFIED, tmp_path))
    assert values[("container.memory.limit",)] == 2000
    assert values[("container.cpu.limit",)] == 0.5


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    """A container that may use everything has no limit, in either version's way of saying so."""
    _v2(tmp_path / "sys/fs/cgroup/docker/x")
    write(tmp_path / "sys/fs/cgroup/docker/x", cpu__max="max 100000\n")
    unlimited = _values(_probe("0::/docker/x\n", UNIFIED, tmp_path))
    assert ("container.memory.limit",) not in unlimited
    assert ("container.cpu.limit",) not in unlimited
    mounts = "31 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
    write(tmp_path / "cg/memory/docker/x", memory__limit_in_bytes=NO_LIMIT_V1, memory__usage_in_bytes="7")
    values = _values(_probe("4:memory:/docker/x\n", mounts, tmp_path))
    assert values[("container.memory.usage",)] == 7
    assert ("container.memory.limit",) not in values


def test_version_1_has_a_directory_for_each_controller(tmp_path: Path) -> None:
    """Memory, accounting and quota come from three hierarchies; joined controllers share one."""
    mounts = (
        "31 20 0:27 /docker/x /cg/memory rw - cgroup cgroup rw,memory\n"
        "32 20 0:28 /docker/x /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    write(
        tmp_path / "cg/memory",
        memory__usage_in_bytes="900",
        memory__limit_in_bytes="8000",
        memory__max_usage_in_bytes="950",
        memory__stat="inactive_file 1\ntotal_inactive_file 100\ntotal_cache 300\ntotal_shmem 50\ntotal_rss 500\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    )
    cpu = tmp_path / "cg/cpu,cpuacct"
    write(cpu, cpuacct__stat="user 100\nsystem 50\n", cpu__stat="throttled_time 1000000000\n")
    write(cpu, cpu__cfs_quota_us="250000\n", cpu__cfs_period_us="100000\n")
    probe = _probe("4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n", mounts, tmp_path)
    write(cpu, cpuacct__stat="user 300\nsystem 50\n", cpu__stat="throttled_time 3000000000\n")
    values = _values(probe)
    assert values[("container.cpu.time", "user")] == 2.0
    assert values[("container.cpu.limit",)] == 2.5
    assert values[("container.cpu.throttled.time",)] == 2.0
    assert values[("container.memory.working_set",)] == 800
    assert values[("container.memory.rss",)] == 500
    assert values[("container.memory.shared",)] == 50
    assert values[("container.memory.cache",)] == 250
    assert values[("container.memory.peak",)] == 950
    assert values[("container.memory.limit",)] == 8000


def test_the_host_is_never_taken_for_a_container(tmp_path: Path) -> None:
    """Processes in the root of the hierarchy, of version 1, 2 or both, are in no container."""
    mounts = UNIFIED + "31 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
    write(tmp_path / "sys/fs/cgroup", cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\n")
    write(tmp_path / "cg/memory", memory__usage_in_bytes="900", memory__limit_in_bytes=NO_LIMIT_V1)
    probe = _probe("4:memory:/\n0::/\n", mounts, tmp_path)
    assert _values(probe) == {}
    assert probe.oom_kills() == 0


def test_a_login_session_is_no_container(tmp_path: Path) -> None:
    """A group that limits nothing and is not named like a container tells nothing of a container."""
    session = tmp_path / "sys/fs/cgroup/user.slice/session-1.scope"
    _v2(session)
    write(session, cpu__max="max 100000\n")
    assert _values(_probe("0::/user.slice/session-1.scope\n", UNIFIED, tmp_path)) == {}


def test_a_namespace_shows_the_container_as_the_root(tmp_path: Path) -> None:
    """In a container with a cgroup namespace of its own, the top directory is the container's."""
    _v2(tmp_path / "sys/fs/cgroup", limit="6000")
    values = _values(_probe("0::/\n", UNIFIED, tmp_path))
    assert values[("container.memory.limit",)] == 6000


def test_a_group_that_is_gone_is_absent_not_zero(tmp_path: Path) -> None:
    """Files that disappear under the probe leave nothing behind."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    probe = _probe("0::/docker/x\n", UNIFIED, tmp_path)
    for file in group.iterdir():
        file.unlink()
    group.rmdir()
    assert _values(probe) == {}


def test_the_runtimes_name_holds_the_containers_id(tmp_path: Path) -> None:
    """The container's id is an attribute of its attempts, where a name says it; nothing else is taken for one."""
    number = "4c01db0b339c2d4ee6b1d1b3f8fb3a26f9b7ef5e2a6e2a9b1c3d4e5f60718293"
    for path in (f"docker/{number}", f"system.slice/cri-containerd-{number}.scope"):
        _v2(tmp_path / "sys/fs/cgroup" / path)
        assert _probe(f"0::/{path}\n", UNIFIED, tmp_path).container.attributes == {"container.id": number}
    _v2(tmp_path / "sys/fs/cgroup/kubepods/pod")
    assert _probe("0::/kubepods/pod\n", UNIFIED, tmp_path).container.attributes == {}


def test_a_kill_that_the_process_survived_was_anothers(tmp_path: Path) -> None:
    """A child that was killed for memory does not make a later kill of its parent one for memory."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    probe = _probe("0::/docker/x\n", UNIFIED, tmp_path)
    write(group, memory__events="oom_kill 1\n")
    assert probe.oom_kills() == 1
    probe.sample(time.monotonic() + 1.0)
    assert probe.oom_kills() == 0
    write(group, memory__events="oom_kill 2\n")
    assert probe.oom_kills() == 1


def test_a_kill_out_of_the_blue_is_seen_within_five_seconds(tmp_path: Path) -> None:
    """Far from its limit a container is read in full every five seconds; near it, at each sample."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    probe = _probe("0::/docker/x\n", UNIFIED, tmp_path)
    now = time.monotonic()
    probe.sample(now + 1.0)
    write(group, memory__events="oom_kill 1\n", memory__current="1500", memory__peak="3990\n")
    told = [(o.metric.name, o.value) for o in probe.sample(now + 3.0)]
    assert ("container.memory.usage", 1500) in told
    assert ("container.memory.working_set", 1200) in told
    assert probe.oom_kills() == 1
    told = [(o.metric.name, o.value) for o in probe.sample(now + 6.0)]
    assert ("container.memory.peak", 3990) in told
    assert ("container.memory.oom_kills", 1) in told
    assert probe.oom_kills() == 0

    write(group, memory__events="oom_kill 2\n", memory__current="2500")
    probe.sample(now + 7.0)  # says how much is used by now
    told = [(o.metric.name, o.value) for o in probe.sample(now + 8.0)]
    assert ("container.memory.oom_kills", 2) in told
    assert probe.oom_kills() == 0


def test_the_last_sample_tells_all(tmp_path: Path) -> None:
    """The last sample tells peak and kills as they are, however short a time after one that did not look for them."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    probe = _probe("0::/docker/x\n", UNIFIED, tmp_path)
    now = time.monotonic()
    probe.sample(now + 1.0)
    probe.sample(now + 2.0)
    write(group, memory__events="oom_kill 1\n", memory__peak="3990\n")
    told = {o.metric.name: o.value for o in probe.sample(now + 2.01, last=True)}
    assert told["container.memory.peak"] == 3990
    assert told["container.memory.oom_kills"] == 1


def test_a_kill_of_a_process_that_is_gone_may_be_its_own(tmp_path: Path) -> None:
    """A sample between the kernel's kill and the news of the end does not lose the evidence."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        probe = ContainerProbe(Container(groups("0::/docker/x\n", UNIFIED, tmp_path)), process.pid)
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        write(group, memory__events="oom_kill 1\n")
        probe.sample(time.monotonic() + 1.0)
        assert probe.oom_kills() == 1


def test_a_real_container_says_what_its_task_used(place: Place, receiver: Receiver) -> None:
    """CPU time, kinds of memory and limit of a group of this machine, told by a task in it."""
    settings = place.settings(endpoint=receiver.endpoint)
    place.run(settings, "warm", "")  # starts the agent, which stays outside
    with real_group("memory", "cpuacct", limit_bytes=300 * MIB) as group:
        if group is None:
            pytest.skip("no control group can be made here")
        body = f"""
        held = bytearray(100 << 20)
        with open("/dev/shm/{place.runtime.name}", "wb") as shm: shm.write(bytes(50 << 20))
        time.sleep(0.4)
        e = time.process_time() + 0.4
        while time.process_time() < e: pass
        os.unlink("/dev/shm/{place.runtime.name}")
        """
        place.run(settings, "contained", body, through=group.enter())
        receiver.end("contained")
    assert receiver.last("container.memory.limit", "contained") == 300 * MIB
    assert 100 * MIB <= max(p.value for p in receiver.of("container.memory.usage", "contained")) <= 200 * MIB
    assert 150 * MIB <= receiver.last("container.memory.peak", "contained") <= 250 * MIB
    cpu_s = sum(receiver.last("container.cpu.time", "contained", cpu_mode=mode) for mode in ("user", "system"))
    assert 0.4 <= cpu_s <= receiver.cpu_s("contained") + 0.1


def test_files_of_containers_that_ended_are_closed(tmp_path: Path) -> None:
    """However many have come and gone, only what living ones are read from stays open, and of them it does."""
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text(f"30 20 0:26 / {mount} rw - cgroup2 cgroup2 rw\n")
    (proc / "self" / "ns").mkdir()
    (proc / "self" / "ns" / "cgroup").symlink_to("cgroup:[4026531835]")
    containers = Containers(str(proc))

    def enter(number: int) -> ContainerProbe:
        name = f"docker-{number:064x}.scope"
        _v2(mount / name)
        (proc / str(number)).mkdir()
        (proc / str(number) / "cgroup").write_text(f"0::/{name}\n")
        container = containers.of(number)
        assert container is not None
        return ContainerProbe(container, number, str(proc), containers)

    living = [enter(0)]
    for number in range(1, 38):
        enter(number)
    living += [enter(38), enter(39)]
    opened = [path for link in Path("/proc/self/fd").iterdir() if (path := _target(link)).startswith(str(mount))]
    held = {int(Path(path).parent.name[7:71], 16) for path in opened}
    assert held == {0, 38, 39}
    assert containers.of(0) is living[0].container


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # the one that lists them


def test_a_process_that_moves_is_followed_until_it_ends() -> None:
    """What a task's starter puts into a container late is found there, and stays there when it is gone."""
    with real_group("memory") as group:
        if group is None:
            pytest.skip("no control group can be made here")
        (directory,) = group.directories.values()
        containers = Containers()
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
            container = containers.of(process.pid)
            assert container is not None
            probe = ContainerProbe(container, process.pid, containers=containers)
            (directory / "cgroup.procs").write_text(str(process.pid))
            probe.follow(time.monotonic())
            assert probe.container.directories == [directory]
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
            probe.follow(time.monotonic())
            assert probe.container.directories == [directory]
