"""Matching finds what a plain filter and sort over the tables finds, and says why where nothing fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stepsize.analyzer.catalog
from stepsize.analyzer.matching import Catalog, Need, Offer
from stepsize.errors import DataError, UsageError

DIRECTORY = Path(stepsize.analyzer.catalog.__file__).parent
GIB = 1024.0

NEEDS = st.builds(
    Need,
    cpu=st.sampled_from([0, 0.5, 1, 2, 3.7, 4, 8, 16, 30, 64, 96, 200, 448]),
    memory_mib=st.sampled_from([0, 1, 512, 2048, 3500.5, 8 * GIB, 30 * GIB, 64 * GIB, 500 * GIB, 3000 * GIB]),
    gpu=st.sampled_from([0, 0, 0, 1, 2, 4, 8]),
    vram_mib=st.sampled_from([0, 0, 0, 2048, 15000, 16 * GIB, 40 * GIB, 300 * GIB]),
    disk_gb=st.sampled_from([0, 0, 0, 20, 100, 1000, 10_000]),
    architecture=st.sampled_from([None, None, "x86_64", "arm64", "aarch64"]),
    vendors=st.sampled_from([(), (), ("aws",), ("azure", "gcp"), ("a*",)]),
    regions=st.sampled_from([(), (), ("us-east-1",), ("us-*", "eastus"), ("europe-west?",), ("*",)]),
    allocation=st.sampled_from(["ondemand", "ondemand", "spot", None]),
    burstable=st.booleans(),
)


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    with Catalog.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def joined() -> list[dict[str, Any]]:
    """Each price with its server and region, cheapest first, joined here and not by the code under test."""

    def table(name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(DIRECTORY / f"{name}.parquet").to_pylist()
        return rows

    servers = {(row["vendor_id"], row["server_id"]): row for row in table("servers")}
    regions = {(row["vendor_id"], row["region_id"]): row["api_reference"] for row in table("regions")}
    rows = [
        {
            "price": row["price"],
            "allocation": row["allocation"],
            "region": regions[row["vendor_id"], row["region_id"]],
            **servers[row["vendor_id"], row["server_id"]],
            "vendor_id": row["vendor_id"],
        }
        for row in table("server_prices")
        if servers[row["vendor_id"], row["server_id"]]["status"] == "active"
    ]
    return sorted(rows, key=lambda row: (row["price"], row["region"], row["allocation"]))


def fits(row: dict[str, Any], need: Need) -> bool:
    """Whether a row of the tables satisfies the need, in plain words."""
    architecture = {"aarch64": "arm64"}.get(need.architecture or "", need.architecture)
    return (
        row["vcpus"] >= need.cpu
        and row["memory_amount"] >= need.memory_mib
        and row["gpu_count"] >= need.gpu
        and (row["gpu_memory_min"] or 0) * max(need.gpu, 1) >= need.vram_mib
        and row["storage_size"] >= need.disk_gb
        and architecture in (None, row["cpu_architecture"])
        and (not need.vendors or any(fnmatch(row["vendor_id"], pattern) for pattern in need.vendors))
        and (not need.regions or any(fnmatch(row["region"], pattern) for pattern in need.regions))
        and need.allocation in (None, row["allocation"])
        and (need.burstable or row["cpu_allocation"] != "burstable")
    )


def offered(offer: Offer) -> tuple[object, ...]:
    return offer.vendor_id, offer.server_id, offer.region, offer.allocation, offer.price_hourly


def brute_force(joined: list[dict[str, Any]], need: Need, limit: int) -> list[tuple[object, ...]]:
    """Filter, the cheapest row of each server, sort, cut."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in joined:
        if fits(row, need):
            best.setdefault((row["vendor_id"], row["server_id"]), row)
    ordered = sorted(
        best.values(),
        key=lambda row: (row["price"], -row["vcpus"], -row["memory_amount"], row["vendor_id"], row["api_reference"]),
    )
    return [
        (row["vendor_id"], row["api_reference"], row["region"], row["allocation"], row["price"])
        for row in ordered[:limit]
    ]


@settings(max_examples=25, deadline=None)
@given(need=NEEDS, limit=st.integers(1, 12))
def test_the_result_equals_filter_and_sort(
    catalog: Catalog, joined: list[dict[str, Any]], need: Need, limit: int
) -> None:
    """For any need the offers are those of a brute-force filter and sort over the tables, in the same order."""
    assert [offered(offer) for offer in catalog.cheapest(need, limit)] == brute_force(joined, need, limit)


@settings(max_examples=25, deadline=None)
@given(need=NEEDS)
def test_every_offer_satisfies_the_need(catalog: Catalog, need: Need) -> None:
    """No offer has less of anything than was asked for."""
    offers = catalog.cheapest(need, 50)
    for offer in offers:
        assert offer.vcpus >= need.cpu
        assert offer.memory_mib >= need.memory_mib
        assert offer.gpu_count >= need.gpu
        assert (offer.gpu_memory_total_mib or 0) >= need.vram_mib
        assert offer.storage_gb >= need.disk_gb
        assert need.burstable or offer.cpu_allocation != "burstable"
        assert need.allocation in (None, offer.allocation)
        assert offer.price_hourly > 0
    assert [offer.price_hourly for offer in offers] == sorted(offer.price_hourly for offer in offers)
    assert len({(offer.vendor_id, offer.server_id) for offer in offers}) == len(offers)


@settings(max_examples=25, deadline=None)
@given(need=NEEDS, factor=st.sampled_from([1, 1.5, 2, 10]), gpus=st.integers(0, 2))
def test_a_stronger_need_is_never_cheaper(catalog: Catalog, need: Need, factor: float, gpus: int) -> None:
    """More of anything (per GPU for their memory) never gives a cheaper first offer."""
    more_gpu = need.gpu + gpus
    stronger = replace(
        need,
        cpu=need.cpu * factor,
        memory_mib=need.memory_mib * factor,
        disk_gb=need.disk_gb * factor,
        gpu=more_gpu,
        vram_mib=need.vram_mib / max(need.gpu, 1) * max(more_gpu, 1),
        burstable=False,
    )
    weak, strong = catalog.cheapest(need, 1), catalog.cheapest(stronger, 1)
    if strong:
        assert weak
        assert weak[0].price_hourly <= strong[0].price_hourly


@settings(max_examples=25, deadline=None)
@given(need=NEEDS, factor=st.sampled_from([1, 20, 1000]))
def test_relaxations_are_given_exactly_where_nothing_fits(catalog: Catalog, need: Need, factor: int) -> None:
    """There is a way out if and only if there is no offer, and all ways have the same, smallest, length."""
    need = replace(need, cpu=need.cpu * factor)
    ways = catalog.relaxations(need)
    assert bool(ways) != bool(catalog.cheapest(need, 1))
    assert len({len(way.changes) for way in ways}) <= 1


def test_a_relaxation_that_is_followed_leads_to_an_offer(catalog: Catalog) -> None:
    """Asking for what a relaxation names, in place of what was asked, finds a server; asking for more does not."""
    need = Need(cpu=5000, memory_mib=4 * GIB, architecture="arm64")
    assert catalog.cheapest(need) == []
    ways = {change[0]: change for way in catalog.relaxations(need) for change in way.changes}
    possible = float(ways["cpu"][2])
    assert catalog.cheapest(replace(need, cpu=possible))
    assert not catalog.cheapest(replace(need, cpu=possible + 1))


def test_gpus_that_are_asked_for_hold_the_memory_together(catalog: Catalog) -> None:
    """40 GiB on one GPU is not met by several small ones, which do meet 40 GiB on four."""
    one = catalog.cheapest(Need(cpu=1, memory_mib=0, gpu=1, vram_mib=40_000))
    four = catalog.cheapest(Need(cpu=1, memory_mib=0, gpu=4, vram_mib=40_000))
    assert all((offer.gpu_memory_total_mib or 0) / offer.gpu_count >= 40_000 for offer in one)
    assert any((offer.gpu_memory_total_mib or 0) / offer.gpu_count < 40_000 for offer in four)


def test_a_share_of_a_gpu_is_not_a_gpu(catalog: Catalog) -> None:
    """A type with an eighth of a GPU is offered for a little GPU memory, and never for a whole GPU."""
    shared = catalog.cheapest(Need(cpu=1, memory_mib=0, vram_mib=1024, vendors=("azure",)), 50)
    whole = catalog.cheapest(Need(cpu=1, memory_mib=0, gpu=1, vendors=("azure",)), 50)
    assert "Standard_NV4as_v4" in {offer.server_id for offer in shared}
    assert "Standard_NV4as_v4" not in {offer.server_id for offer in whole}


def test_a_previous_generation_is_not_offered(catalog: Catalog) -> None:
    """m1.small is the cheapest of its size on paper, and hardly to be had."""
    offers = catalog.cheapest(Need(cpu=1, memory_mib=1024, vendors=("aws",), regions=("us-east-1",)), limit=1000)
    assert offers
    assert not {"m1", "m2", "m3", "c1", "c3", "t1"} & {offer.server_id.partition(".")[0] for offer in offers}


def test_servers_and_regions_have_the_names_people_use(catalog: Catalog) -> None:
    """Google's servers and regions are named as Google names them, not by their numbers."""
    offer = catalog.cheapest(Need(cpu=2, memory_mib=8 * GIB, vendors=("gcp",), burstable=False), 1)[0]
    assert offer.server_id.startswith("e2-")
    assert offer.region in catalog.known("region")
    assert not offer.region.isdigit()


@pytest.mark.parametrize(
    ("need", "known"),
    [
        (Need(1, 0, vendors=("aws", "nimbus")), "aws, azure, gcp"),
        (Need(1, 0, regions=("atlantis-*",)), "us-east-1"),
        (Need(1, 0, architecture="z80"), "arm64"),
        (Need(1, 0, allocation="reserved"), "ondemand, spot"),
    ],
)
def test_unknown_names_are_refused_with_those_known(catalog: Catalog, need: Need, known: str) -> None:
    """A name that nothing has is wrong usage, and the message lists the names there are."""
    with pytest.raises(UsageError, match=known):
        catalog.cheapest(need)


@pytest.mark.parametrize("need", [Need(-1, 0), Need(1, float("nan")), Need(1, float("inf")), Need(1, 1, disk_gb=-2)])
def test_sizes_that_are_none_are_refused(catalog: Catalog, need: Need) -> None:
    """Negative, infinite and undefined sizes are wrong usage, and so is a limit of nothing."""
    with pytest.raises(UsageError):
        catalog.cheapest(need)
    with pytest.raises(UsageError):
        catalog.cheapest(Need(1, 1), 0)


def test_a_directory_without_a_catalogue_is_refused(tmp_path: Path) -> None:
    """Missing and broken files are an error that names the directory and what makes a catalogue."""
    with pytest.raises(DataError, match="make catalog"):
        Catalog.open(tmp_path)
    for name in ("servers", "server_prices", "regions"):
        (tmp_path / f"{name}.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=str(tmp_path)):
        Catalog.open(tmp_path)


def test_another_directory_is_read(tmp_path: Path) -> None:
    """A catalogue elsewhere, in a directory with a quote in its name, is read in place of the one that ships."""
    directory = tmp_path / "it's here"
    directory.mkdir()
    for name in ("servers", "server_prices", "regions"):
        table = pq.read_table(DIRECTORY / f"{name}.parquet")
        pq.write_table(table.slice(0, 500) if name == "server_prices" else table, directory / f"{name}.parquet")
    with Catalog.open(directory) as small:
        assert len(small.cheapest(Need(0, 0), 10_000)) <= 500
