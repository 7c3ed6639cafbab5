"""A process tree in a container: what the tree tells, completed by what a container of its own counted.

What comes in: the tree, its container. What goes out: samples as the tree's, with the CPU time that no process kept and
a peak that the container bears out. Where there is no container, or it is not the attempt's alone, the tree's samples
go through as they are. Reads nothing itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.probes.dedicated import Tenancy, Unseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.instrumentation.agent.probes.container import Container, ContainerProbe
    from stepsize.instrumentation.agent.probes.observation import Rest, TreeSample
    from stepsize.instrumentation.agent.probes.tree import ProcessTree

_NOTHING = Unseen()


class ContainedTree:
    """Samples one tree and its container.

    Args:
        tree: the attempt's.
        probe: knows the container that the attempt is in now.
        tenancy: makes the attempt's tenancy of a container.
    """

    def __init__(self, tree: ProcessTree, probe: ContainerProbe, tenancy: Callable[[Container], Tenancy]) -> None:
        self._tree, self._probe, self._make_tenancy = tree, probe, tenancy
        self._container = probe.container
        self._tenancy = tenancy(self._container)
        self._last: TreeSample | None = None
        self._earlier = self._unseen = _NOTHING

    def sample(self) -> TreeSample | None:
        """The tree now; once its root is gone what the container still knows, without any process."""
        sample = self._tree.sample()
        if sample is None:
            return self._afterwards()
        self._last = sample
        unseen = self._unseen = self._look(sample)
        peak_bytes, source = self._tenancy.bounded(sample.memory_peak_bytes, sample.memory_source)
        if unseen == _NOTHING and peak_bytes == sample.memory_peak_bytes:
            return sample
        return sample._replace(
            cpu_user_s=sample.cpu_user_s + unseen.user_s,
            cpu_system_s=sample.cpu_system_s + unseen.system_s,
            memory_peak_bytes=peak_bytes,
            memory_source=source,
        )

    def rest(self, *, with_orphans: bool = False) -> Rest:
        """What is not the root's, and what no process kept up to the last sample: orphans that the root's has not."""
        rest, unseen = self._tree.rest(with_orphans=with_orphans), self._unseen
        if with_orphans:
            return rest
        return replace(
            rest, cpu_user_s=rest.cpu_user_s + unseen.user_s, cpu_system_s=rest.cpu_system_s + unseen.system_s
        )

    def final_peak(self, root_peak_bytes: int) -> int:
        """The tree's peak in bytes, given what the root says its own was."""
        return self._tenancy.bounded(self._tree.final_peak(root_peak_bytes), "")[0]

    def pids(self) -> list[int]:
        """The tree's processes, as the last sample saw them."""
        return self._tree.pids()

    def _afterwards(self) -> TreeSample | None:
        last = self._last
        if last is None or not self._tenancy.is_sole:
            return None
        unseen = self._look(last)
        return last._replace(
            time_unix_nano=time.time_ns(),
            cpu_user_s=last.cpu_user_s + unseen.user_s,
            cpu_system_s=last.cpu_system_s + unseen.system_s,
            processes=0,
            threads=0,
            disk_read_bytes=None,
            disk_write_bytes=None,
        )

    def _look(self, sample: TreeSample) -> Unseen:
        now_s = time.monotonic()
        self._probe.follow(now_s)
        if self._probe.container is not self._container:
            self._container = self._probe.container
            self._earlier = self._earlier + self._tenancy.unseen
            self._tenancy = self._make_tenancy(self._container)
        self._tenancy.look(now_s, self._tree.pids(), sample.cpu_user_s + sample.cpu_system_s)
        unseen = self._tenancy.unseen
        return unseen if self._earlier is _NOTHING else self._earlier + unseen
