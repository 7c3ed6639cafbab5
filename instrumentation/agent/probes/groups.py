"""Finds the control groups of a process, of version 1, 2 or both.

What comes in: the texts of ``/proc/<pid>/cgroup`` and ``/proc/self/mountinfo``, as one process reads both. What goes
out: a `Group` for each controller that can be seen. Looks which directories exist; reads and writes nothing else.

The root of a hierarchy is the host and never taken for a container, and a group that lies outside of what is mounted
here is nobody's rather than somebody else's. Sources: cgroups(7), cgroup_namespaces(7), Linux
``Documentation/admin-guide/cgroup-v1/memory.rst`` and ``cgroup-v2.rst``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_LIMIT = 1 << 60
"""Version 1 says "none" as the largest multiple of a page that fits: anything near it is none."""
_FIRST_NAMESPACE = "cgroup:[4026531835]"
"""The name of the first namespace of control groups, in which the root is the host (``include/linux/proc_ns.h``)."""
_CONTAINER = re.compile(
    r"docker|kubepods|containerd|crio|libpod|podman|lxc|machine\.slice|slurm|ecs/|garden|nomad|htcondor|pbs_jobs|lsf/"
    r"|[0-9a-f]{32}"
)


@dataclass(frozen=True, slots=True)
class Group:
    """One control group of a process.

    Attributes:
        directory: where it is.
        mount: where its hierarchy's mount begins; its ancestors that can be seen are the directories between.
        version: 1 or 2.
        is_root: whether it is the root of the whole hierarchy, which is the host.
        named: whether its path looks like a container's, or only a part of the hierarchy can be seen.
    """

    directory: Path
    mount: Path
    version: int
    is_root: bool
    named: bool

    def lineage(self) -> Iterator[Path]:
        """The group's directory and those of its ancestors."""
        yield self.directory
        for parent in self.directory.parents:
            if self.directory == self.mount or not parent.is_relative_to(self.mount):
                return
            yield parent


def in_namespace(proc: str) -> bool:
    """Whether this process sees the groups through a namespace, so that what looks like their root is a container's."""
    try:
        link = os.readlink(f"{proc}/self/ns/cgroup")  # noqa: PTH115 - a text, not a path
    except OSError:
        return False
    return link != _FIRST_NAMESPACE


def groups(cgroup: str, mountinfo: str, prefix: Path = Path("/"), *, in_namespace: bool = False) -> dict[str, Group]:
    """Control groups by controller; version 2 under the empty name.

    ``prefix`` is where the mounts are looked for, ``in_namespace`` says that the top of what can be seen is a
    container's.
    """
    mounts = _mounts(mountinfo)
    found: dict[str, Group] = {}
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            group = _group(path, mounts.get(controller), 1 if controller else 2, prefix, in_namespace=in_namespace)
            if group is not None:
                found[controller] = group
    return found


def _mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """Controller (empty: version 2) → (root of the mount, mount point)."""
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 5 or len(after) < 3:
            continue
        root, point = (field.replace("\\040", " ") for field in before[3:5])
        if after[0] == "cgroup2":
            mounts.setdefault("", (root, point))
        elif after[0] == "cgroup":
            for option in after[2].split(","):
                mounts.setdefault(option, (root, point))
    return mounts


def _group(
    path: str, mounted: tuple[str, str] | None, version: int, prefix: Path, *, in_namespace: bool
) -> Group | None:
    if mounted is None:
        return None
    root, point = mounted
    mount = prefix / point.lstrip("/")
    directory = _directory(path, root, mount)
    if directory is None:
        return None
    top = directory == mount and root == "/"
    is_root = top and not in_namespace and not _is_below_a_root(directory, version)
    named = root != "/" or (top and not is_root) or _CONTAINER.search(path) is not None
    return Group(directory, mount, version, is_root, named)


def _directory(path: str, root: str, mount: Path) -> Path | None:
    """Where a path of the hierarchy is, given which part of the hierarchy is mounted; ``None`` where it is not."""
    if ".." in PurePosixPath(path).parts:
        return None  # of another namespace, whose groups are not mounted here
    try:
        inside = PurePosixPath(path).relative_to(root)
    except ValueError:
        return _trimmed(path, mount)
    directory = mount / inside
    return directory if directory.is_dir() else None


def _trimmed(path: str, mount: Path) -> Path | None:
    """The longest end of a path that is there: nested containers see their path from another root than their mount."""
    parts = PurePosixPath(path).parts[1:]
    candidates = (mount.joinpath(*parts[start:]) for start in range(len(parts)))
    return next((candidate for candidate in candidates if candidate.is_dir()), None)


def _is_below_a_root(directory: Path, version: int) -> bool:
    """Whether the top directory of a mount is a group like any other: the hierarchy's root has no such files."""
    if version == 2:
        return (directory / "cgroup.type").exists() or (directory / "memory.max").exists()
    memory, cpu = number(directory / "memory.limit_in_bytes"), number(directory / "cpu.cfs_quota_us")
    return (memory is not None and memory < NO_LIMIT) or (cpu is not None and cpu > 0)


def number(path: Path) -> int | None:
    """The one number in a file, ``None`` where there is none."""
    text = procfs.read(str(path)).strip()
    return int(text) if text.isdigit() else None
