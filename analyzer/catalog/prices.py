"""Hourly prices of the servers, from apache-libcloud's price lists of AWS, Azure and Google.

What comes in: the lists, the servers and the regions. What goes out: price rows, each of a known server in a known
region, none of them zero. Other vendors' prices are in no package; their servers are in the catalogue without one.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.catalog import aws_prices
from stepsize.analyzer.catalog.rows import PriceQuality, PriceRow, RegionRow, ServerRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.analyzer.catalog.sources import Source

_AWS_LISTS = {"linux": "ec2_linux", "rhel": "ec2_rhel", "rhel_ha": "ec2_rhel_ha", "suse": "ec2_suse"}
_GCP_AMERICAS = ("us-east1", "us-west1")
"""Regions of Google's "Americas" price, which the source files under us-central1 alone."""
_GCP_SHARED_CORES = {"e2-micro": 0.25, "e2-small": 0.5, "e2-medium": 1.0}
"""vCPUs that the shared-core E2 types are charged for (Google's "VM instance pricing", E2 shared-core)."""


def prices(source: Source, servers: Sequence[ServerRow], regions: Sequence[RegionRow]) -> tuple[PriceRow, ...]:
    """Every price of a known server in a known region, sorted by vendor, region, server and allocation.

    Where no region of a vendor is known (a build without share-alike data) every region that has a price is.
    """
    published = json.loads(source.path.read_bytes())
    day = datetime.fromtimestamp(published["updated"], timezone.utc).date().isoformat()
    rows = [
        row
        for vendor in (_aws, _azure, _gcp)
        for row in vendor(published["compute"], _Writer(source, day, servers, regions))
    ]
    return tuple(sorted(rows, key=lambda row: (row.vendor_id, row.region_id, row.server_id, row.allocation)))


class _Writer:
    """Makes rows of prices whose server and region the catalogue knows, under the catalogue's ids."""

    def __init__(self, source: Source, day: str, servers: Sequence[ServerRow], regions: Sequence[RegionRow]) -> None:
        self._source = source
        self._day = day
        self._regions = {(row.vendor_id, row.api_reference): row.region_id for row in regions}
        self.servers = servers

    def of(self, vendor: str) -> list[ServerRow]:
        return [server for server in self.servers if server.vendor_id == vendor]

    def row(
        self,
        server: ServerRow,
        region: str,
        usd: float,
        quality: PriceQuality,
        allocation: str = "ondemand",
        changed_on: str | None = None,
    ) -> Iterable[PriceRow]:
        region_id = self._regions.get((server.vendor_id, region)) if self._regions else region
        mixed = server.licence != self._source.licence
        if region_id is not None and usd > 0:
            yield PriceRow(
                vendor_id=server.vendor_id,
                region_id=region_id,
                server_id=server.server_id,
                allocation=allocation,
                price=usd,
                price_quality=quality,
                # It carries its server's id, Google's its size too: what another licence describes, that one covers.
                source=f"{self._source.name} with {server.source}" if mixed else self._source.name,
                observed_at=changed_on or self._day,
                licence=server.licence if mixed else self._source.licence,
            )


def _floats(listing: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {server: {region: float(usd) for region, usd in by.items()} for server, by in listing.items()}


def _aws(compute: Mapping[str, Any], writer: _Writer) -> Iterable[PriceRow]:
    by_name = {server.api_reference: server for server in writer.of("aws")}
    lists = {name: _floats(compute.get(key, {})) for name, key in _AWS_LISTS.items()}
    found = aws_prices.on_demand(lists, {name: server.vcpus for name, server in by_name.items()})
    for (name, region), price in found.items():
        if name in by_name:
            changed_on = aws_prices.REDUCED_ON if price.reduced else None
            yield from writer.row(by_name[name], region, price.usd, price.quality, changed_on=changed_on)


def _azure(compute: Mapping[str, Any], writer: _Writer) -> Iterable[PriceRow]:
    """Azure's own list. Its low-priority rate stands for the spot price, so that one is ``derived``."""
    by_name = {re.sub(r"[_-]", "", server.api_reference.lower()): server for server in writer.of("azure")}
    for key, by_region in _floats(compute.get("azure_linux", {})).items():
        low = key.startswith("lowpriority")
        server = by_name.get("standard" + key.removeprefix("lowpriority") if low else key)
        if server is None:
            continue
        quality: PriceQuality = "derived" if low else "listed"
        for region, usd in by_region.items():
            yield from writer.row(server, region, usd, quality, "spot" if low else "ondemand")


def _gcp(compute: Mapping[str, Any], writer: _Writer) -> Iterable[PriceRow]:
    """Google charges cores and memory apart, so each type's price is their sum."""
    rates = compute.get("gce_instances", {})
    for server in writer.of("gcp"):
        series = _gcp_series(server)
        if series not in rates:
            continue
        for allocation, key in (("ondemand", "on_demand"), ("spot", "preemptible")):
            for region, usd in _gcp_by_region(rates[series], key, server).items():
                targets = (region, *_GCP_AMERICAS) if region == "us-central1" else (region,)
                for target in targets:
                    yield from writer.row(server, target, usd, "derived", allocation)


def _gcp_series(server: ServerRow) -> str | None:
    """The name under which a type's rates are filed; None for types that carry a GPU or are charged otherwise."""
    name = server.api_reference
    if server.gpu_count:
        return None
    if re.fullmatch(r"(f1-micro|g1-small)", name):
        return name.partition("-")[0]
    if re.fullmatch(r"(m1-(ultramem|megamem)-\d+|n1-(ultramem|megamem)-\d+)", name):
        return "m1"
    match = re.fullmatch(r"(n1|n2|n2d|e2|c2)-(standard|highmem|highcpu)-\d+", name)
    return match[1] if match else "e2" if name in _GCP_SHARED_CORES else None


def _gcp_by_region(rates: Mapping[str, Any], key: str, server: ServerRow) -> dict[str, float]:
    cores = rates["cpu"].get(key, {})
    if "ram" not in rates:  # f1-micro and g1-small have one price for the whole server
        return {region: float(rate["price"]) for region, rate in cores.items()}
    memory = rates["ram"].get(key, {})
    vcpus = _GCP_SHARED_CORES.get(server.api_reference, float(server.vcpus))
    usd = {}
    for region, rate in cores.items():
        core_usd, gib_usd = float(rate["price"]), float(memory.get(region, {}).get("price", 0))
        if core_usd > 0 and gib_usd > 0:
            usd[region] = round(core_usd * vcpus + gib_usd * server.memory_amount / 1024, 6)
    return usd
