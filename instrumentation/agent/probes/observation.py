"""What probes return: observations, and samples of a process tree.

What comes in: nothing. What goes out: frozen value classes. Never does I/O. Those that are made at each sample are
named tuples, which cost a third of what a frozen dataclass does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from stepsize.model import AttributeValue, Metric

Attributes = tuple[tuple[str, "AttributeValue"], ...]


class Observation(NamedTuple):
    """One value of one metric, with the attributes of its point."""

    metric: Metric
    value: int | float
    attributes: Attributes = ()


class TreeSample(NamedTuple):
    """A process tree at one moment; ``None`` where it could not be read.

    Attributes:
        time_unix_nano: when.
        cpu_user_s, cpu_system_s: CPU seconds of the tree since its processes were made, exited ones included; never
            falls from one sample to the next.
        memory_usage_bytes: memory of the tree now.
        memory_peak_bytes: highest true peak so far.
        memory_source: where the peak comes from, as in `stepsize.model.Attr.MEMORY_SOURCE`.
        processes, threads: how many live.
        disk_read_bytes, disk_write_bytes: bytes from and to storage, exited children included; never falls.
    """

    time_unix_nano: int
    cpu_user_s: float
    cpu_system_s: float
    memory_usage_bytes: int
    memory_peak_bytes: int
    memory_source: str
    processes: int
    threads: int
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """What an attempt has used since it was registered, as far as is known."""

    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    disk_read_bytes: int = 0
    disk_write_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Rest:
    """What to add to the root's own reading: processes that it has not waited for, less attempts that it has.

    Attributes:
        cpu_user_s, cpu_system_s, disk_read_bytes, disk_write_bytes: below zero where the latter outweigh the former.
        children_apart: whether such attempts ended, so that the highest peak among the children may be one of theirs.
    """

    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    disk_read_bytes: int = 0
    disk_write_bytes: int = 0
    children_apart: bool = False


class TreeProbe(Protocol):
    """Samples the process tree of one attempt."""

    def sample(self) -> TreeSample | None:
        """The tree now, or ``None`` when its root is gone."""

    def rest(self, *, with_orphans: bool = False) -> Rest:
        """What is not the root's, whether that lives or not; ``with_orphans`` the root's has those that ended."""

    def final_peak(self, root_peak_bytes: int) -> int:
        """The tree's peak in bytes, given what the root says its own was."""

    def pids(self) -> list[int]:
        """The tree's processes, as the last sample saw them."""


class Probe(Protocol):
    """Samples anything else: a container, a network, the host."""

    def sample(self, monotonic_s: float) -> list[Observation]:
        """What can be read now."""
