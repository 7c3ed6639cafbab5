"""Which control groups a process is in, as hosts, containers and schedulers lay them out."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.instrumentation.agent.probes.groups import groups
from tests.instrumentation.cgroups import write

DOCKER = "4c01db0b339c2d4ee6b1d1b3f8fb3a26f9b7ef5e2a6e2a9b1c3d4e5f60718293"
V1 = (
    "31 20 0:27 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
    "32 20 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
)
V2 = "30 20 0:26 {root} /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = V1 + "33 20 0:29 {root} /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n"


class Layout(NamedTuple):
    """What a process sees, the directories that are there, and where its memory is accounted for."""

    cgroup: str
    mounts: str
    folders: list[str]
    memory: str | None
    contained: bool
    in_namespace: bool = False


KUBE = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7.slice"
LAYOUTS = {
    "host, version 2": Layout(
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        V2.format(root="/"),
        ["user.slice/user-1000.slice/session-2.scope"],
        "user.slice/user-1000.slice/session-2.scope",
        contained=False,
    ),
    "host, version 1": Layout(
        "9:memory:/user.slice\n4:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/session-2.scope\n",
        V1.format(root="/"),
        ["memory/user.slice", "cpu,cpuacct/user.slice"],
        "memory/user.slice",
        contained=False,
    ),
    "docker, version 1, the host's namespace": Layout(
        f"9:memory:/docker/{DOCKER}\n4:cpu,cpuacct:/docker/{DOCKER}\n",
        V1.format(root=f"/docker/{DOCKER}"),
        ["memory", "cpu,cpuacct"],
        "memory",
        contained=True,
    ),
    "docker, version 1, a namespace of its own": Layout(
        "9:memory:/\n4:cpu,cpuacct:/\n",
        V1.format(root="/"),
        ["memory", "cpu,cpuacct"],
        "memory",
        contained=True,
        in_namespace=True,
    ),
    "docker, version 2, a namespace of its own": Layout(
        "0::/\n", V2.format(root="/"), ["."], ".", contained=True, in_namespace=True
    ),
    "docker with the systemd driver, seen from the host": Layout(
        f"0::/system.slice/docker-{DOCKER}.scope\n",
        V2.format(root="/"),
        [f"system.slice/docker-{DOCKER}.scope"],
        f"system.slice/docker-{DOCKER}.scope",
        contained=True,
    ),
    "podman without root": Layout(
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{DOCKER}.scope/container\n",
        V2.format(root="/"),
        [f"user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{DOCKER}.scope/container"],
        f"user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{DOCKER}.scope/container",
        contained=True,
    ),
    "kubernetes, version 1, the host's namespace": Layout(
        f"9:memory:{KUBE}/cri-containerd-{DOCKER}.scope\n4:cpu,cpuacct:{KUBE}/cri-containerd-{DOCKER}.scope\n",
        V1.format(root=f"{KUBE}/cri-containerd-{DOCKER}.scope"),
        ["memory", "cpu,cpuacct"],
        "memory",
        contained=True,
    ),
    "kubernetes, version 2, seen from the node": Layout(
        f"0::{KUBE}/cri-containerd-{DOCKER}.scope\n",
        V2.format(root="/"),
        [f"{KUBE[1:]}/cri-containerd-{DOCKER}.scope"],
        f"{KUBE[1:]}/cri-containerd-{DOCKER}.scope",
        contained=True,
    ),
    "kubernetes in docker: the path is told from further up than the mount": Layout(
        f"9:memory:/docker/{DOCKER}/kubelet/kubepods/pod7/{DOCKER[::-1]}\n",
        V1.format(root=f"/kubelet/kubepods/pod7/{DOCKER[::-1]}"),
        [f"memory/kubepods/pod7/{DOCKER[::-1]}"],
        f"memory/kubepods/pod7/{DOCKER[::-1]}",
        contained=True,
    ),
    "slurm, version 1": Layout(
        "9:memory:/slurm/uid_1000/job_42/step_0/task_0\n4:cpuacct,cpu:/slurm/uid_1000/job_42/step_0/task_0\n",
        V1.format(root="/"),
        ["memory/slurm/uid_1000/job_42/step_0/task_0", "cpu,cpuacct/slurm/uid_1000/job_42/step_0/task_0"],
        "memory/slurm/uid_1000/job_42/step_0/task_0",
        contained=True,
    ),
    "slurm, version 2": Layout(
        "0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n",
        V2.format(root="/"),
        ["system.slice/slurmstepd.scope/job_42/step_0/user/task_0"],
        "system.slice/slurmstepd.scope/job_42/step_0/user/task_0",
        contained=True,
    ),
    "hybrid: memory in version 1, names in version 2": Layout(
        f"9:memory:/docker/{DOCKER}\n4:cpu,cpuacct:/docker/{DOCKER}\n0::/docker/{DOCKER}\n",
        HYBRID.format(root="/"),
        [f"{root}/docker/{DOCKER}" for root in ("memory", "cpu,cpuacct", "unified")],
        f"memory/docker/{DOCKER}",
        contained=True,
    ),
    "AWS Batch on ECS": Layout(
        f"9:memory:/ecs/0a1b/{DOCKER}\n4:cpu,cpuacct:/ecs/0a1b/{DOCKER}\n",
        V1.format(root=f"/ecs/0a1b/{DOCKER}"),
        ["memory", "cpu,cpuacct"],
        "memory",
        contained=True,
    ),
    "another container's process, in a shared namespace of pids": Layout(
        "0::/../cri-containerd-other.scope\n", V2.format(root="/"), ["."], None, contained=False, in_namespace=True
    ),
    "another container's process, version 1": Layout(
        "9:memory:/docker/other\n", V1.format(root=f"/docker/{DOCKER}"), ["memory"], None, contained=False
    ),
    "the host's root": Layout("0::/\n", V2.format(root="/"), ["."], None, contained=False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_group_that_a_process_is_in(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each layout's group is found, told from the host, and nobody else's is taken for it."""
    layout, prefix = LAYOUTS[name], tmp_path_factory.mktemp("root")
    top = prefix / "sys/fs/cgroup"
    for folder in layout.folders:
        write(top / folder)
    found = groups(layout.cgroup, layout.mounts, prefix, in_namespace=layout.in_namespace)
    group = found.get("memory", found.get(""))
    at = None if group is None or group.is_root else group.directory
    assert at == (None if layout.memory is None else top / layout.memory)
    if group is not None and at is not None:
        assert group.named is layout.contained


def test_mount_points_with_spaces_are_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Spaces in a mount point are written as octal in mountinfo."""
    prefix = tmp_path_factory.mktemp("root")
    write(prefix / "my groups/docker/x")
    found = groups("0::/docker/x\n", r"30 20 0:26 / /my\040groups rw - cgroup2 cgroup2 rw" + "\n", prefix)
    assert found[""].directory == prefix / "my groups/docker/x"


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_makes_it_fail(cgroup: str, mountinfo: str) -> None:
    """Whatever stands in these files, there is an answer."""
    assert isinstance(groups(cgroup, mountinfo), dict)
