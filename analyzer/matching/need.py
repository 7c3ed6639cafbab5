"""What is asked of servers and what is offered: frozen values and their checks.

What comes in: numbers and names. What goes out: the same, checked. Never reads the catalogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from stepsize.errors import UsageError

CONSTRAINTS = (
    *("cpu", "memory", "gpu", "vram", "disk", "arch", "vendor", "region", "allocation", "burstable", "gpu-model"),
)
"""What a server can fall short of, in the order of the bits of ``match_offers.sql``."""
PLATFORMS = ("machine", "kubernetes", "batch", "none")
"""Whose share of a server's memory and cores is left free (``match_offers.sql``, docs/catalogue.md)."""
DEFAULT_PLATFORM = "machine"


@dataclass(frozen=True, slots=True)
class Need:
    """What a server has to have at least.

    Attributes:
        cpu: cores (vCPUs) for the task.
        memory_mib: MiB for the task; what the system takes comes on top, see ``platform``.
        gpu: whole GPUs; a server with a share of one has none.
        vram_mib: GPU memory in MiB that the GPUs asked for hold together (one GPU where ``gpu`` is 0), so that
            ``gpu=1, vram_mib=40_000`` is not met by four GPUs of 16 GiB.
        disk_gb: GB of storage on the server itself; what can be attached to it is charged apart and not counted.
        architecture: ``x86_64``, ``arm64``, ...; None for any.
        vendors: names or globs; empty for any.
        regions: names or globs, of any vendor; empty for any.
        allocation: ``ondemand``, ``spot``, or None for the cheaper of both.
        burstable: whether a server may be one whose cores can be used in full only for a while.
        gpu_models: names or globs (``A100``, ``*H100*``); empty for any, or none.
        platform: what runs the task and takes its share of the server: one of :data:`PLATFORMS`.
    """

    cpu: float
    memory_mib: float
    gpu: int = 0
    vram_mib: float = 0
    disk_gb: float = 0
    architecture: str | None = None
    vendors: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    allocation: str | None = "ondemand"
    burstable: bool = True
    gpu_models: tuple[str, ...] = ()
    platform: str = DEFAULT_PLATFORM

    def check(self) -> None:
        """Raises :class:`UsageError` where a size is negative or no number, or the platform is none."""
        sizes = {
            "cpu": self.cpu,
            "memory": self.memory_mib,
            "gpu": self.gpu,
            "vram": self.vram_mib,
            "disk": self.disk_gb,
        }
        for name, value in sizes.items():
            if not math.isfinite(value) or value < 0:
                raise UsageError(f"{name} {value}: give a number of 0 or more")
        if self.platform not in PLATFORMS:
            raise UsageError(f"no platform is named {self.platform!r}: known are {', '.join(PLATFORMS)}")


@dataclass(frozen=True, slots=True)
class Work:
    """Tasks that all need the same, as those of a foreach step do.

    Attributes:
        need: of one task.
        duration_s: seconds that one task takes, on any server and beside any others.
        tasks: how many there are.
        at_once: how many of them may run at the same time; all, where it is None.
    """

    need: Need
    duration_s: float
    tasks: int = 1
    at_once: int | None = None

    @property
    def side_by_side(self) -> int:
        """How many run at the same time."""
        return min(self.tasks, self.at_once or self.tasks)

    def check(self) -> None:
        """Raises :class:`UsageError` where a number cannot be."""
        self.need.check()
        if not math.isfinite(self.duration_s) or self.duration_s <= 0:
            raise UsageError(f"duration {self.duration_s}: give seconds above 0")
        if self.tasks < 1 or (self.at_once is not None and self.at_once < 1):
            raise UsageError(f"{self.tasks} tasks, {self.at_once} at once: give at least one")


@dataclass(frozen=True, slots=True)
class Offer:
    """A server in a region at an hourly price in ``currency``, without tax; ``price_observed_at`` is an ISO date.

    ``memory_mib`` is the machine's. ``gpu_count`` may be a fraction, and the GPU's model and memory are None where
    there is none or it is not known.
    """

    vendor_id: str
    server_id: str
    region: str
    allocation: str
    price_hourly: float
    currency: str
    price_observed_at: str
    price_quality: str
    vcpus: float
    memory_mib: int
    gpu_count: float
    gpu_model: str | None
    gpu_memory_total_mib: int | None
    cpu_architecture: str
    cpu_allocation: str
    storage_gb: int


@dataclass(frozen=True, slots=True)
class Packed:
    """Some :class:`Work` on servers of one type: how many tasks share one, how many servers at once, what all cost.

    ``cost`` is of all tasks together, each server charged for at least the vendor's minimum (``match_packed.sql``).
    """

    offer: Offer
    tasks_per_server: int
    servers: int
    cost: float
    cost_per_task: float


@dataclass(frozen=True, slots=True)
class Relaxation:
    """Constraints that have to give together for anything to fit: each with what was asked and what there is."""

    changes: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        return " and ".join(f"{name} {possible} instead of {asked}" for name, asked, possible in self.changes)
