"""Server types and regions: Spare Cores' inventory for all vendors, moto's DescribeInstanceTypes for EC2.

What comes in: the files of ``sources``. What goes out: rows, one per type. Where both know an EC2 type moto's row is
taken: it is Amazon's own answer, newer, and under a licence without share-alike. Never sets a price.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.catalog.gpus import complete
from stepsize.analyzer.catalog.rows import RegionRow, ServerRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stepsize.analyzer.catalog.sources import Source, Sources

_BURSTABLE = {
    "aws": re.compile(r"t\d.*\..*"),
    "azure": re.compile(r"Standard_B\d.*"),
    "gcp": re.compile(r"f1-micro|g1-small|e2-(micro|small|medium)"),
    "alicloud": re.compile(r"ecs\.t\d\b.*"),
}
"""Types whose cores may be used in full only for a while, by the vendors' own documentation."""


def servers(sources: Sources) -> tuple[ServerRow, ...]:
    """Every server type that a source knows, sorted by vendor and id."""
    rows: dict[tuple[str, str], ServerRow] = {}
    if sources.sparecores is not None:
        found = map(dict, _query(sources.sparecores, "SELECT * FROM server"))
        known = servers_of(found, sources.sparecores.name, sources.sparecores.licence)
        rows = {(row.vendor_id, row.server_id): row for row in known}
    rows |= {(row.vendor_id, row.server_id): complete(_with_allocation(row)) for row in _moto_servers(sources.moto)}
    return tuple(rows[key] for key in sorted(rows))


def regions(sources: Sources) -> tuple[RegionRow, ...]:
    """Every region that Spare Cores knows, sorted by vendor and id; none in a build without share-alike data."""
    if sources.sparecores is None:
        return ()
    found = _query(sources.sparecores, "SELECT * FROM region ORDER BY vendor_id, region_id")
    return tuple(regions_of(map(dict, found), sources.sparecores.name, sources.sparecores.licence))


def regions_of(rows: Iterable[Mapping[str, Any]], source: str, licence: str) -> Iterator[RegionRow]:
    """Regions of rows of Spare Cores' table ``region``."""
    for row in rows:
        yield RegionRow(
            vendor_id=row["vendor_id"],
            region_id=row["region_id"],
            api_reference=row["api_reference"],
            display_name=row["display_name"],
            country_id=row["country_id"],
            city=row["city"],
            status=row["status"].lower(),
            source=source,
            observed_at=row["observed_at"][:10],
            licence=licence,
        )


def servers_of(rows: Iterable[Mapping[str, Any]], source: str, licence: str) -> Iterator[ServerRow]:
    """Servers of rows of Spare Cores' table ``server``, GPUs completed and burstable ones marked."""
    for row in rows:
        if (row["vcpus"] or 0) > 0 and (row["memory_amount"] or 0) > 0:
            yield complete(_with_allocation(_sparecores_server(row, source, licence)))


def _query(source: Source, sql: str) -> list[sqlite3.Row]:
    # immutable: the package's directory may be read-only, and SQLite would otherwise want to lock beside it
    with closing(sqlite3.connect(f"file:{source.path}?mode=ro&immutable=1", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(sql).fetchall()


def _sparecores_server(row: Mapping[str, Any], source: str, licence: str) -> ServerRow:
    return ServerRow(
        vendor_id=row["vendor_id"],
        server_id=row["server_id"],
        api_reference=row["api_reference"],
        display_name=row["display_name"],
        family=row["family"],
        vcpus=row["vcpus"],
        cpu_allocation=row["cpu_allocation"].lower(),
        cpu_cores=row["cpu_cores"],
        cpu_speed=row["cpu_speed"],
        cpu_architecture=row["cpu_architecture"].lower(),
        cpu_manufacturer=row["cpu_manufacturer"],
        cpu_model=row["cpu_model"],
        memory_amount=row["memory_amount"],
        gpu_count=row["gpu_count"] or 0,
        gpu_memory_min=row["gpu_memory_min"],
        gpu_memory_total=row["gpu_memory_total"],
        gpu_manufacturer=row["gpu_manufacturer"],
        gpu_family=row["gpu_family"],
        gpu_model=row["gpu_model"],
        gpu_quality=None,
        storage_size=row["storage_size"] or 0,
        storage_type=row["storage_type"].lower() if row["storage_type"] else None,
        network_speed=row["network_speed"],
        eks_max_pods=None,
        status=row["status"].lower(),
        source=source,
        observed_at=row["observed_at"][:10],
        licence=licence,
    )


def _moto_servers(source: Source) -> Iterable[ServerRow]:
    with gzip.open(source.path) as file:
        types: dict[str, dict[str, Any]] = json.load(file)
    for name, spec in types.items():
        processor, storage = spec["ProcessorInfo"], spec.get("InstanceStorageInfo", {})
        gpus = spec.get("GpuInfo", {}).get("Gpus", [])
        cards = spec["NetworkInfo"].get("NetworkCards", [])
        yield ServerRow(
            vendor_id="aws",
            server_id=name,
            api_reference=name,
            display_name=name,
            family=name.partition(".")[0],
            vcpus=spec["VCpuInfo"]["DefaultVCpus"],
            cpu_allocation="burstable" if spec["BurstablePerformanceSupported"] else "dedicated",
            cpu_cores=spec["VCpuInfo"].get("DefaultCores"),
            cpu_speed=processor.get("SustainedClockSpeedInGhz"),
            cpu_architecture=processor["SupportedArchitectures"][-1],
            cpu_manufacturer=processor.get("Manufacturer"),
            cpu_model=None,
            memory_amount=spec["MemoryInfo"]["SizeInMiB"],
            gpu_count=sum(gpu.get("LogicalGpuCount", gpu["Count"]) * gpu.get("GpuPartitionSize", 1.0) for gpu in gpus),
            gpu_memory_min=min((gpu["MemoryInfo"]["SizeInMiB"] for gpu in gpus), default=None),
            gpu_memory_total=spec.get("GpuInfo", {}).get("TotalGpuMemoryInMiB"),
            gpu_manufacturer=gpus[0]["Manufacturer"] if gpus else None,
            gpu_family=None,
            gpu_model=gpus[0]["Name"] if gpus else None,
            gpu_quality=None,
            storage_size=storage.get("TotalSizeInGB", 0),
            storage_type=_storage_type(storage),
            network_speed=sum(card.get("BaselineBandwidthInGbps", 0.0) for card in cards) or None,
            eks_max_pods=_max_pods(spec["NetworkInfo"]),
            status="active" if spec["CurrentGeneration"] else "previous_generation",
            source=source.name,
            observed_at=source.observed_at,
            licence=source.licence,
        )


def _max_pods(network: Mapping[str, Any]) -> int | None:
    cards = network.get("NetworkCards", [])
    place = network.get("DefaultNetworkCardIndex", 0)
    interfaces = cards[place].get("MaximumNetworkInterfaces") if place < len(cards) else None
    addresses = network.get("Ipv4AddressesPerInterface")
    return interfaces * (addresses - 1) + 2 if interfaces and addresses else None


def _storage_type(storage: Mapping[str, Any]) -> str | None:
    disks = storage.get("Disks", [])
    if not disks:
        return None
    kind = str(disks[0].get("Type", "ssd"))
    nvme = storage.get("NvmeSupport") in ("required", "supported")
    return "nvme_ssd" if kind == "ssd" and nvme else kind


def _with_allocation(server: ServerRow) -> ServerRow:
    pattern = _BURSTABLE.get(server.vendor_id)
    if pattern and pattern.fullmatch(server.api_reference):
        return replace(server, cpu_allocation="burstable")
    return server
