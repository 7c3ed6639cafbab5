"""What a vendor's library said of its devices at one moment.

What comes in: nothing. What goes out: frozen value classes, and the seam behind which each vendor is one file. Never
does I/O. ``None`` is what could not be read, never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence


class NoAnswerError(UnavailableError):
    """A vendor's library, its driver or all its devices are not there now."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that has a context on a device.

    Attributes:
        pid: its number, in the numbering that `Device.local_pids` says.
        memory_bytes: what it holds of the device's memory now.
        memory_peak_bytes: the most that it ever held, where the driver keeps accounts.
        utilization: share of the device's time that it used, 0 to 1.
    """

    pid: int
    memory_bytes: int | None = None
    memory_peak_bytes: int | None = None
    utilization: float | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device, or an instance of one that is partitioned (MIG).

    Attributes:
        id: unique on the host and the same at each reading: the UUID where it has one.
        index: its place in the order in which the vendor's library lists devices.
        name, vendor: as people know it.
        parent: the partitioned device that it is an instance of.
        node: the file that whoever uses it has open.
        utilization: share of the time in which it was busy, 0 to 1.
        memory_bytes, memory_limit_bytes: in use, and there.
        processes: who is on it; ``None`` where that is not told.
        local_pids: whether processes are named as the agent's own /proc names them, rather than as the host does.
    """

    id: str
    index: int
    name: str
    vendor: str
    parent: str | None = None
    node: str | None = None
    utilization: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    processes: tuple[GpuProcess, ...] | None = None
    local_pids: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """All devices that answered, and when they were asked."""

    time_unix_nano: int
    devices: tuple[Device, ...]


class Vendor(Protocol):
    """One vendor's library. Called from one thread alone; every call may take as long as its driver likes."""

    @property
    def name(self) -> str:
        """As people know it."""

    def is_likely(self) -> bool:
        """Whether anything on this host speaks for the library being there; costs microseconds."""

    def open(self) -> None:
        """Load the library.

        Raises:
            NoAnswerError: it, or its driver, is not there now.
        """

    def read(self) -> Sequence[Device]:
        """The devices that answer; one that is lost is left out.

        Raises:
            NoAnswerError: it has to be opened anew.
        """

    def close(self) -> None:
        """Let go of the devices; never raises."""
