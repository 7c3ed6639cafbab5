"""Control groups: made-up trees of both versions, and a real one where this machine has one to spare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.probes.container import ContainerProbe, groups

if TYPE_CHECKING:
    from pathlib import Path

UNIFIED = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
NO_LIMIT_V1 = "9223372036854771712"


def _write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def _v2(folder: Path, limit: str = "max", oom_kills: int = 0) -> None:
    _write(
        folder,
        memory__current="1000",
        memory__max=f"{limit}\n",
        memory__stat="anon 500\ninactive_file 300\n",
        memory__events=f"low 0\noom 0\noom_kill {oom_kills}\n",
        cpu__max="max 100000\n",
        cpu__stat="usage_usec 5\nuser_usec 2000000\nsystem_usec 1000000\nthrottled_usec 500000\n",
    )


def _values(probe: ContainerProbe) -> dict[tuple[str, ...], float]:
    return {
        (o.metric.name, *(str(v) for _, v in o.attributes)): o.value
        for at in (1.0, 2.0)
        for o in probe.sample(at)
    }  # fmt: skip


def test_version_2_counts_from_the_first_look(tmp_path: Path) -> None:
    """Usage, working set, limit and sums of a container; what was there before the attempt is left out."""
    group = tmp_path / "sys/fs/cgroup/kubepods/pod"
    _v2(group, limit="4000", oom_kills=2)
    probe = ContainerProbe(groups("0::/kubepods/pod\n", UNIFIED, tmp_path))
    cpu = "usage_usec 5\nuser_usec 3500000\nsystem_usec 1250000\nthrottled_usec 750000\n"
    _write(group, cpu__stat=cpu, memory__events="oom_kill 3\n")
    values = _values(probe)
    assert values[("container.cpu.time", "user")] == 1.5
    assert values[("container.cpu.time", "system")] == 0.25
    assert values[("container.cpu.throttled.time",)] == 0.25
    assert values[("container.memory.usage",)] == 1000
    assert values[("container.memory.working_set",)] == 700
    assert values[("container.memory.limit",)] == 4000
    assert values[("container.memory.oom_kills",)] == 1
    assert probe.oom_kills() == 1


def test_the_lowest_limit_of_all_ancestors_counts(tmp_path: Path) -> None:
    """A parent's limit binds too, and "max" is no limit."""
    root = tmp_path / "sys/fs/cgroup"
    _v2(root / "a", limit="2000")
    _v2(root / "a/b", limit="max")
    _v2(root / "a/b/c", limit="5000")
    probe = ContainerProbe(groups("0::/a/b/c\n", UNIFIED, tmp_path))
    assert _values(probe)[("container.memory.limit",)] == 2000


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    """A container that may use everything has no limit, in either version's way of saying so."""
    _v2(tmp_path / "sys/fs/cgroup/docker/x")
    unlimited = ContainerProbe(groups("0::/docker/x\n", UNIFIED, tmp_path))
    assert ("container.memory.limit",) not in _values(unlimited)
    mounts = "31 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
    _write(tmp_path / "cg/memory/docker/x", memory__limit_in_bytes=NO_LIMIT_V1, memory__usage_in_bytes="7")
    values = _values(ContainerProbe(groups("4:memory:/docker/x\n", mounts, tmp_path)))
    assert values[("container.memory.usage",)] == 7
    assert ("container.memory.limit",) not in values


def test_version_1_has_a_directory_for_each_controller(tmp_path: Path) -> None:
    """Memory, accounting and quota come from three hierarchies; joined controllers share one."""
    mounts = (
        "31 20 0:27 /docker/x /cg/memory rw - cgroup cgroup rw,memory\n"
        "32 20 0:28 /docker/x /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    )
    _write(
        tmp_path / "cg/memory",
        memory__usage_in_bytes="900",
        memory__limit_in_bytes="8000",
        memory__stat="inactive_file 1\ntotal_inactive_file 100\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    )
    cpu = tmp_path / "cg/cpu,cpuacct"
    _write(cpu, cpuacct__stat="user 100\nsystem 50\n", cpu__stat="throttled_time 1000000000\n")
    probe = ContainerProbe(groups("4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n", mounts, tmp_path))
    _write(cpu, cpuacct__stat="user 300\nsystem 50\n", cpu__stat="throttled_time 3000000000\n")
    values = _values(probe)
    assert values[("container.cpu.time", "user")] == 2.0
    assert values[("container.cpu.throttled.time",)] == 2.0
    assert values[("container.memory.working_set",)] == 800
    assert values[("container.memory.limit",)] == 8000


def test_the_host_is_never_taken_for_a_container(tmp_path: Path) -> None:
    """Processes in the root of the hierarchy, of version 1, 2 or both, are in no container."""
    mounts = UNIFIED + "31 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
    _write(tmp_path / "sys/fs/cgroup", cpu__stat="usage_usec 5\nuser_usec 3\nsystem_usec 2\n")
    _write(tmp_path / "cg/memory", memory__usage_in_bytes="900", memory__limit_in_bytes=NO_LIMIT_V1)
    probe = ContainerProbe(groups("4:memory:/\n0::/\n", mounts, tmp_path))
    assert _values(probe) == {}
    assert probe.oom_kills() == 0


def test_a_login_session_is_no_container(tmp_path: Path) -> None:
    """A group that limits nothing and is not named like a container tells nothing of a container."""
    _v2(tmp_path / "sys/fs/cgroup/user.slice/session-1.scope")
    probe = ContainerProbe(groups("0::/user.slice/session-1.scope\n", UNIFIED, tmp_path))
    assert _values(probe) == {}


def test_a_namespace_shows_the_container_as_the_root(tmp_path: Path) -> None:
    """In a container with a cgroup namespace of its own, the top directory is the container's."""
    _v2(tmp_path / "sys/fs/cgroup", limit="6000")
    values = _values(ContainerProbe(groups("0::/\n", UNIFIED, tmp_path)))
    assert values[("container.memory.limit",)] == 6000


def test_a_group_that_is_gone_is_absent_not_zero(tmp_path: Path) -> None:
    """Files that disappear under the probe leave nothing behind."""
    group = tmp_path / "sys/fs/cgroup/docker/x"
    _v2(group, limit="4000")
    probe = ContainerProbe(groups("0::/docker/x\n", UNIFIED, tmp_path))
    for file in group.iterdir():
        file.unlink()
    group.rmdir()
    assert _values(probe) == {}
