"""What is true of the catalogue that ships."""

from __future__ import annotations

import re
import shutil
import statistics
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stepsize.analyzer.catalog import parquet
from stepsize.analyzer.catalog.checks import violations
from stepsize.analyzer.catalog.contents import part_contents
from stepsize.analyzer.matching import Catalog, Need
from tests.analyzer.shipped import DIRECTORY, SHARE_ALIKE, rows

Row = dict[str, Any]
GROWTH_TOLERANCE = 0.02
TABLES = ("servers", "server_prices", "regions")

AWS_US_EAST_1 = {
    "m5.large": 0.096,
    "m5.xlarge": 0.192,
    "m5.24xlarge": 4.608,
    "m4.large": 0.10,
    "m6i.large": 0.096,
    "m6g.medium": 0.0385,
    "m7g.large": 0.0816,
    "m7i.large": 0.1008,
    "m7a.large": 0.11592,
    "m8g.large": 0.08976,
    "c4.large": 0.10,
    "c5.xlarge": 0.17,
    "c5.18xlarge": 3.06,
    "c6a.large": 0.0765,
    "c6i.large": 0.085,
    "c7g.large": 0.0725,
    "c7i.large": 0.08925,
    "r4.large": 0.133,
    "r5.2xlarge": 0.504,
    "r6g.large": 0.1008,
    "r7i.large": 0.1323,
    "t2.micro": 0.0116,
    "t3.micro": 0.0104,
    "t3.medium": 0.0416,
    "t4g.small": 0.0168,
    "i3.large": 0.156,
    "i4i.large": 0.172,
    "x1e.32xlarge": 26.688,
    "z1d.large": 0.186,
    "g4dn.xlarge": 0.526,
    "g4dn.8xlarge": 2.176,
    "g4dn.12xlarge": 3.912,
    "inf1.24xlarge": 4.721,
    "g5.xlarge": 1.006,
    "g5.12xlarge": 5.672,
    "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048,
    "g6e.xlarge": 1.861,
    "p3.2xlarge": 3.06,
    "p3.16xlarge": 24.48,
    "p4d.24xlarge": 21.957642,
    "p5.48xlarge": 55.04,
    "inf2.xlarge": 0.7582,
    "trn1.2xlarge": 1.34375,
}
AZURE_EASTUS = {
    "Standard_D2s_v3": 0.096,
    "Standard_D4s_v3": 0.192,
    "Standard_B2s": 0.0416,
    "Standard_E2s_v3": 0.126,
    "Standard_F2s_v2": 0.0846,
    "Standard_NC6s_v3": 3.06,
}
GCP_US_CENTRAL1 = {
    "n1-standard-1": 0.0475,
    "e2-standard-2": 0.06701,
    "e2-medium": 0.0335,
    "e2-micro": 0.0084,
    "n2-standard-2": 0.0971,
    "n2d-standard-2": 0.0845,
    "c2-standard-4": 0.2088,
}
AWS_ELSEWHERE = {
    ("us-east-2", "inf2.xlarge"): 0.7582,
    ("eu-west-1", "m5.large"): 0.107,
    ("eu-central-1", "m5.large"): 0.115,
    ("eu-central-1", "c5.xlarge"): 0.194,
    ("us-west-2", "g5.xlarge"): 1.006,
    ("ap-southeast-1", "m5.large"): 0.12,
}
KNOWN_PRICES = [
    *(("aws", region, name, usd) for (region, name), usd in AWS_ELSEWHERE.items()),
    *(("aws", "us-east-1", name, usd) for name, usd in AWS_US_EAST_1.items()),
    *(("azure", "eastus", name, usd) for name, usd in AZURE_EASTUS.items()),
    *(("gcp", "us-central1", name, usd) for name, usd in GCP_US_CENTRAL1.items()),
]


@pytest.fixture(scope="module")
def servers() -> dict[tuple[str, str], Row]:
    return {(row["vendor_id"], row["server_id"]): row for row in rows("servers")}


@pytest.fixture(scope="module")
def regions() -> dict[tuple[str, str], Row]:
    return {(row["vendor_id"], row["region_id"]): row for row in rows("regions")}


@pytest.fixture(scope="module")
def prices() -> list[Row]:
    return rows("server_prices")


def test_files_are_small() -> None:
    """The whole catalogue is below 1 MB, so that a wheel can hold it."""
    assert sum(path.stat().st_size for path in DIRECTORY.rglob("*.parquet")) < 1_000_000


def test_keys_are_unique(prices: list[Row]) -> None:
    """No server, region or price is there twice."""
    keys = {
        "servers": ("vendor_id", "server_id"),
        "regions": ("vendor_id", "region_id"),
        "server_prices": ("vendor_id", "region_id", "server_id", "operating_system", "allocation"),
    }
    for table, columns in keys.items():
        counts = Counter(tuple(row[column] for column in columns) for row in rows(table))
        assert max(counts.values()) == 1, table


def test_prices_are_of_known_servers_in_known_regions(
    servers: dict[tuple[str, str], Row], regions: dict[tuple[str, str], Row], prices: list[Row]
) -> None:
    """Every price joins a server and a region, is above zero, in USD per hour, and says how it is known."""
    for row in prices:
        assert (row["vendor_id"], row["server_id"]) in servers, row
        assert (row["vendor_id"], row["region_id"]) in regions, row
        assert row["price"] > 0, row
        assert (row["currency"], row["unit"], row["operating_system"]) == ("USD", "hour", "linux"), row
        assert row["price_quality"] in {"listed", "repaired", "derived"}, row
        assert row["allocation"] in {"ondemand", "spot"}, row


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_source_date_and_licence(table: str) -> None:
    """Each row says which packages it is from, of which day, and under which licence: share-alike what is of both."""
    for row in rows(table):
        packages = row["source"].split(" with ")
        assert all(re.fullmatch(r"(sparecores-data|moto|apache-libcloud) [\d.]+", name) for name in packages), row
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["observed_at"]), row
        shared_alike = packages[-1].startswith("sparecores")
        assert row["licence"] == ("CC-BY-SA-4.0" if shared_alike else "Apache-2.0"), row


@pytest.mark.parametrize("table", TABLES)
def test_each_licence_has_files_of_its_own(table: str, servers: dict[tuple[str, str], Row]) -> None:
    """What is under CC BY-SA lies in a directory of its own, with its licence; a price lies beside its server."""
    for directory, licence in ((DIRECTORY, "Apache-2.0"), (SHARE_ALIKE, "CC-BY-SA-4.0")):
        found = pq.read_table(directory / f"{table}.parquet").to_pylist()
        assert {row["licence"] for row in found} == {licence}
        assert table != "server_prices" or {
            servers[row["vendor_id"], row["server_id"]]["licence"] for row in found
        } == {licence}
    assert "Attribution-ShareAlike 4.0 International" in (SHARE_ALIKE / "LICENCE.txt").read_text()
    assert {path.parent for path in DIRECTORY.rglob("*.parquet")} == {DIRECTORY, SHARE_ALIKE}


def test_without_share_alike_the_rest_is_a_catalogue(tmp_path: Path) -> None:
    """The files under Apache-2.0 hold every invariant, say what they are, and offer what they do beside others."""
    for table in TABLES:
        shutil.copy(DIRECTORY / f"{table}.parquet", tmp_path)
    assert violations(parquet.read(tmp_path)) == []
    (part,) = part_contents(tmp_path)
    assert part.licences == ["Apache-2.0"]
    need = Need(cpu=2, memory_mib=4096, gpu=1, vendors=("aws",), regions=("us-east-1",))
    with Catalog.open(tmp_path) as alone, Catalog.open() as whole:
        assert alone.known("vendor_id") == ["aws"]
        assert set(alone.known("region")) < set(whole.known("region"))
        own = {row["server_id"] for row in rows("servers") if row["licence"] == "Apache-2.0"}
        expected = [offer for offer in whole.cheapest(need, 1000) if offer.server_id in own]
        assert len(expected) > 10
        assert alone.cheapest(need, 1000) == expected
        (record,) = alone.full(alone.cheapest(need, 1))
    assert record["region_licence"] == "Apache-2.0"


def test_price_grows_with_size(servers: dict[tuple[str, str], Row], prices: list[Row]) -> None:
    """Of one AWS family in one region, a server with more of something and less of nothing never costs 2 % less."""
    groups: dict[tuple[str, str], list[tuple[Row, float]]] = {}
    for price in prices:
        if price["vendor_id"] == "aws":
            server = servers["aws", price["server_id"]]
            groups.setdefault((server["family"], price["region_id"]), []).append((server, price["price"]))
    columns = ("vcpus", "memory_amount", "gpu_count", "storage_size")
    compared = 0
    for members in groups.values():
        for (left, left_usd), (right, right_usd) in combinations(members, 2):
            sizes = [(left[column], right[column]) for column in columns]
            if all(low <= high for low, high in sizes) and any(low < high for low, high in sizes):
                compared += 1
                assert right_usd >= left_usd * (1 - GROWTH_TOLERANCE), (left["server_id"], right["server_id"])
    assert compared > 10_000


def test_prices_of_a_family_differ_by_one_factor_between_regions(prices: list[Row]) -> None:
    """No EC2 size costs 4 % more or less than its family's other sizes there say, by what they cost elsewhere."""
    usd = {(row["server_id"], row["region_id"]): row["price"] for row in prices if row["vendor_id"] == "aws"}
    ratios: dict[tuple[str, str], dict[str, float]] = {}
    for (name, region), price in usd.items():
        at_home = usd.get((name, "us-east-1"))
        if at_home:
            ratios.setdefault((name.partition(".")[0], region), {})[name] = price / at_home
    unlike = {
        (name, region)
        for (family, region), of_names in ratios.items()
        if len(of_names) >= 3 and family not in ("c3", "g2", "m2", "m3", "f1", "g4ad")  # priced otherwise in us-east-1
        for name, ratio in of_names.items()
        if not 0.96 < ratio / statistics.median(of_names.values()) < 1.04
    }
    assert unlike == set()


def test_gpus_have_model_and_memory_or_are_marked_unknown(servers: dict[tuple[str, str], Row]) -> None:
    """A server with a GPU names its model and memory, or says that they are unknown; every priced one knows them."""
    for row in servers.values():
        if not row["gpu_count"]:
            assert row["gpu_quality"] is None, row
        elif row["gpu_quality"] != "unknown":
            assert row["gpu_model"], row
            assert row["gpu_memory_total"] >= row["gpu_memory_min"] > 0, row
    priced = {(row["vendor_id"], row["server_id"]) for row in rows("server_prices")}
    assert not [key for key in priced if servers[key]["gpu_quality"] == "unknown"]


@pytest.mark.parametrize(
    ("vendor", "name", "allocation"),
    [
        ("aws", "t2.micro", "burstable"),
        ("aws", "t3a.large", "burstable"),
        ("aws", "t4g.small", "burstable"),
        ("aws", "m5.large", "dedicated"),
        ("azure", "Standard_B2s", "burstable"),
        ("azure", "Standard_B4pls_v2", "burstable"),
        ("azure", "Standard_D2s_v3", "dedicated"),
        ("gcp", "e2-micro", "burstable"),
        ("gcp", "e2-small", "burstable"),
        ("gcp", "e2-medium", "burstable"),
        ("gcp", "e2-standard-2", "dedicated"),
        ("alicloud", "ecs.t5-lc1m1.small", "burstable"),
        ("hcloud", "cx22", "shared"),
    ],
)
def test_burstable_families_are_marked(
    servers: dict[tuple[str, str], Row], vendor: str, name: str, allocation: str
) -> None:
    """Families with cpu credits or shared cores are marked on every vendor, whatever the source says."""
    found = [row for row in servers.values() if row["vendor_id"] == vendor and row["api_reference"] == name]
    assert [row["cpu_allocation"] for row in found] == [allocation]


def test_every_t_family_of_aws_is_burstable(servers: dict[tuple[str, str], Row]) -> None:
    """No EC2 type named t2 or later is left unmarked."""
    types = [row for row in servers.values() if row["vendor_id"] == "aws" and re.match(r"t[2-9]", row["server_id"])]
    assert len(types) > 20
    assert {row["cpu_allocation"] for row in types} == {"burstable"}


def test_vendors_and_architectures(servers: dict[tuple[str, str], Row], prices: list[Row]) -> None:
    """Seven vendors, both architectures, prices on demand and spot."""
    assert {vendor for vendor, _ in servers} == {"alicloud", "aws", "azure", "gcp", "hcloud", "ovh", "upcloud"}
    assert {"x86_64", "arm64"} <= {row["cpu_architecture"] for row in servers.values()}
    kinds = {(row["vendor_id"], row["allocation"]) for row in prices}
    assert {("aws", "ondemand"), ("azure", "ondemand"), ("azure", "spot"), ("gcp", "spot")} <= kinds


@pytest.mark.parametrize(("vendor", "region", "name", "usd"), KNOWN_PRICES)
def test_known_prices(
    servers: dict[tuple[str, str], Row],
    regions: dict[tuple[str, str], Row],
    prices: list[Row],
    vendor: str,
    region: str,
    name: str,
    usd: float,
) -> None:
    """On-demand Linux prices that are known for sure are right within 0.5 %."""
    found = [
        row["price"]
        for row in prices
        if row["vendor_id"] == vendor
        and row["allocation"] == "ondemand"
        and servers[vendor, row["server_id"]]["api_reference"] == name
        and regions[vendor, row["region_id"]]["api_reference"] == region
    ]
    assert found == pytest.approx([usd], rel=0.005)


@pytest.mark.parametrize(
    ("vendor", "name", "count", "memory_mib"),
    [
        ("azure", "Standard_NV4as_v4", 1 / 8, 2048),
        ("azure", "Standard_NV4ads_V710_v5", 1 / 6, 4096),
        ("azure", "Standard_NG8ads_V620_v1", 1 / 4, 8192),
        ("aws", "g6f.large", 1 / 8, 2861),
        ("alicloud", "ecs.vgn6i-m8.2xlarge", 1 / 2, 8192),
        ("alicloud", "ecs.sgn7i-vws-m2.xlarge", 1 / 12, 2048),
        ("alicloud", "ecs.sgn8ga-wy-32g-m12.4xlarge", 1 / 4, 12288),
        ("alicloud", "ecs.sgn8ia-m24.12xlarge", 1 / 2, 24576),
        ("alicloud", "ecs.gn6i-c4g1.xlarge", 1, 16384),
        ("gcp", "ct5lp-hightpu-1t", 0, None),
        ("alicloud", "ecs.f3-c4f1.xlarge", 0, None),
    ],
)
def test_a_share_of_a_gpu_is_a_fraction_and_what_is_none_is_none(
    servers: dict[tuple[str, str], Row], vendor: str, name: str, count: float, memory_mib: int | None
) -> None:
    """A type that shares a GPU has a part of one, never to be taken for a whole one; TPUs and FPGAs are none."""
    (found,) = (row for row in servers.values() if (row["vendor_id"], row["api_reference"]) == (vendor, name))
    assert (found["gpu_count"], found["gpu_memory_total"]) == (pytest.approx(count), memory_mib)
