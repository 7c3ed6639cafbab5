"""The rows of the catalogue, one class per Parquet file; their fields are the files' columns, in order.

Names and units are those of Spare Cores' data model (sc-crawler, ``tables.py``): memory in MiB, storage in GB, network
in Gbit/s, prices per hour. Ours besides: ``price_quality``, ``gpu_quality``, ``eks_max_pods``, ``source``, ``licence``.
Knows neither where a row comes from nor where it goes.
"""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

PriceQuality = Literal["listed", "repaired", "derived"]
"""As the source lists it; corrected by evidence in the source; computed from other published figures."""
GpuQuality = Literal["listed", "derived", "unknown"]
"""GPU figures as the source has them; filled in from the type's documented hardware; not known (then null)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """One server type. ``gpu_count`` may be a fraction; GPU columns are null where there is no GPU or it is unknown.

    ``eks_max_pods`` is how many pods EKS lets a node of an EC2 type run without prefix delegation: addresses of its
    network interfaces less one each, and two (awslabs/amazon-eks-ami, max-pods-calculator.sh); null where not known.
    """

    vendor_id: str
    server_id: str
    api_reference: str
    display_name: str
    family: str | None
    vcpus: int
    cpu_allocation: str
    cpu_cores: int | None
    cpu_speed: float | None
    cpu_architecture: str
    cpu_manufacturer: str | None
    cpu_model: str | None
    memory_amount: int
    gpu_count: float
    gpu_memory_min: int | None
    gpu_memory_total: int | None
    gpu_manufacturer: str | None
    gpu_family: str | None
    gpu_model: str | None
    gpu_quality: GpuQuality | None
    storage_size: int
    storage_type: str | None
    network_speed: float | None
    eks_max_pods: int | None
    status: str
    source: str
    observed_at: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """The price of one server in one region and allocation (``ondemand`` or ``spot``), Linux, without taxes."""

    vendor_id: str
    region_id: str
    server_id: str
    operating_system: str = "linux"
    allocation: str
    unit: str = "hour"
    price: float
    currency: str = "USD"
    price_quality: PriceQuality
    source: str
    observed_at: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """One region of one vendor."""

    vendor_id: str
    region_id: str
    api_reference: str
    display_name: str
    country_id: str | None
    city: str | None
    status: str
    source: str
    observed_at: str
    licence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """The scores of one server: ``score`` is Spare Cores' own, ``benchmark_scores`` all of them as a JSON object."""

    vendor_id: str
    server_id: str
    score: float | None
    benchmark_scores: str
    source: str
    licence: str


@dataclass(frozen=True, slots=True)
class Tables:
    """The whole catalogue, each table sorted by its key; ``scores`` are there only after an update."""

    servers: tuple[ServerRow, ...]
    prices: tuple[PriceRow, ...]
    regions: tuple[RegionRow, ...]
    scores: tuple[ScoreRow, ...] = ()


_LARGEST_INTEGER = 2**31 - 1
"""The files' integers have 32 bits."""


def wrong_field(row: object) -> str:
    """The name of the first field of a row that does not hold what it is declared to; empty where all do."""
    kind: Any = type(row)
    return next((name for name, kinds in _kinds(kind) if not _holds(getattr(row, name), kinds)), "")


@cache
def _kinds(row: Any) -> tuple[tuple[str, tuple[type, ...]], ...]:
    hints = get_type_hints(row)
    return tuple((field.name, _types(hints[field.name])) for field in fields(row))


def _types(hint: Any) -> tuple[type, ...]:
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for part in get_args(hint) for kind in _types(part))
    return (str,) if get_origin(hint) is Literal else (hint,)


def _holds(value: object, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return (int in kinds or float in kinds) and abs(value) <= _LARGEST_INTEGER
    return isinstance(value, kinds) and (not isinstance(value, float) or math.isfinite(value))
