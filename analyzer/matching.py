"""Which servers of the catalogue fit a need, cheapest first.

What comes in: a :class:`Need` (what a task has to be given) and the catalogue's Parquet files. What goes out: a list of
:class:`Offer`, or, where nothing fits, the reason: which constraint has to give and by how much. Never touches the
network, never invents a price: a server without a price in the catalogue is not offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Need:
    """What a server has to have at least. ``vendors`` and ``regions`` hold names or globs; empty means any."""

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


@dataclass(frozen=True, slots=True)
class Offer:
    """A server in a region at an hourly price. ``price_observed_at`` is an ISO date, ``price_hourly`` is in ``currency``."""

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
    gpu_count: int
    gpu_model: str | None
    gpu_memory_total_mib: int | None
    cpu_architecture: str
    cpu_allocation: str
    storage_gb: int


class Catalog:
    """The servers, prices and regions that ship with stepsize."""

    @classmethod
    def open(cls, directory: Path | None = None) -> Catalog:
        """The catalogue in ``directory`` (default: the one that ships with stepsize)."""
        raise NotImplementedError

    def cheapest(self, need: Need, limit: int = 5) -> list[Offer]:
        """At most ``limit`` offers that satisfy ``need``, cheapest first."""
        raise NotImplementedError
