"""Matching finds what a plain filter and sort over the tables finds, and says why where nothing fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.analyzer.catalog.contents import contents
from stepsize.analyzer.matching import PLATFORMS, Catalog, Need, Offer, Relaxation, Work
from stepsize.errors import DataError, UsageError
from stepsize.sizes import MIB, parse_size
from tests.analyzer.shipped import DIRECTORY, SHARE_ALIKE

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
    gpu_models=st.sampled_from([(), (), (), ("T4",), ("*A100*", "H100"), ("*",)]),
    platform=st.sampled_from(PLATFORMS),
)
WORKS = st.builds(
    Work,
    need=NEEDS,
    duration_s=st.sampled_from([0.5, 20, 61, 600, 3600.5, 40_000]),
    tasks=st.sampled_from([1, 1, 2, 7, 40, 1000]),
    at_once=st.sampled_from([None, None, 1, 3, 16, 5000]),
)


def system_mib(vendor: str, mib: float) -> float:
    """What docs/catalogue.md says that the machine's own system takes."""
    if vendor != "gcp":
        return 0.075 * mib
    return mib / 64 + 16 + (64 if mib > 3 * GIB else 0) + (8 if mib <= 8 * GIB else 0) + min(0.00175 * mib, 248)


def kubelet_mib(vendor: str, mib: float, pods: float) -> float:
    """What it says that a kubelet keeps, with what it evicts below."""
    if vendor == "aws":
        return 100 + 255 + 11 * pods
    if vendor == "azure":
        return 100 + min(mib / 4, 5050e6 / 2**20)
    if mib < GIB:
        return 100 + 255
    steps = [(4, 0.25), (4, 0.2), (8, 0.1), (112, 0.06), (10**9, 0.02)]
    kept, left = 100.0, mib
    for gib, share in steps:
        kept += share * min(left, gib * GIB)
        left -= min(left, gib * GIB)
    return kept


def left_for_tasks(row: dict[str, Any], platform: str) -> tuple[float, float]:
    """Cores and MiB of a server that tasks may have on a platform."""
    vendor, mib, cores = row["vendor_id"], row["memory_amount"], row["vcpus"]
    if platform == "none":
        return cores, mib
    free = mib - system_mib(vendor, mib)
    if platform == "batch":
        free -= 32
    if platform == "kubernetes":
        free -= kubelet_mib(vendor, mib, row["eks_max_pods"] or (110 if cores < 30 else 250))
        first = [0.06, 0.04, 0.02, 0.02] if vendor == "azure" else [0.06, 0.01, 0.005, 0.005]
        more = 0.01 if vendor == "azure" else 0.0025
        cores -= sum(first[:cores]) + more * max(0, cores - 4)
    return cores, max(0, free)


def fits(row: dict[str, Any], need: Need) -> bool:
    """Whether a row of the tables satisfies the need, in plain words."""
    architecture = {"aarch64": "arm64"}.get(need.architecture or "", need.architecture)
    cores, memory_mib = left_for_tasks(row, need.platform)
    model = row["gpu_model"]
    return (
        cores >= need.cpu
        and memory_mib >= need.memory_mib
        and (not need.gpu_models or any(model and fnmatch(model, pattern) for pattern in need.gpu_models))
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


@settings(max_examples=15, deadline=None)
@given(need=NEEDS, limit=st.integers(1, 12))
def test_the_result_equals_filter_and_sort(
    catalog: Catalog, joined: list[dict[str, Any]], need: Need, limit: int
) -> None:
    """For any need the offers are those of a brute-force filter and sort over the tables, in the same order."""
    assert [offered(offer) for offer in catalog.cheapest(need, limit)] == brute_force(joined, need, limit)


def packed_by_hand(row: dict[str, Any], work: Work) -> tuple[int, int, float]:
    """Tasks that share a server, servers at once, and the cost of all, wave after wave."""
    need, at_once = work.need, min(work.tasks, work.at_once or work.tasks)
    cores, memory_mib = left_for_tasks(row, need.platform)
    room = [at_once]
    room += [int(cores / need.cpu)] if need.cpu else []
    room += [int(memory_mib / need.memory_mib)] if need.memory_mib else []
    room += [int(row["gpu_count"] // max(1, need.gpu))] if need.gpu or need.vram_mib else []
    room += [int(row["storage_size"] / need.disk_gb)] if need.disk_gb else []
    each = max(1, min(room))
    waves = [at_once] * (work.tasks // at_once) + ([work.tasks % at_once] if work.tasks % at_once else [])
    busy_s = [0.0] * ceil(at_once / each)
    for wave in waves:
        for server in range(ceil(wave / each)):
            busy_s[server] += work.duration_s
    by_second = row["vendor_id"] in ("aws", "gcp", "azure", "alicloud")
    charged = [max(60, ceil(s)) if by_second else ceil(s / 3600) * 3600 for s in busy_s]
    return each, len(busy_s), sum(charged) / 3600 * row["price"]


@settings(max_examples=8, deadline=None)
@given(work=WORKS)
def test_packing_equals_counting_servers_wave_by_wave(
    catalog: Catalog, joined: list[dict[str, Any]], work: Work
) -> None:
    """What tasks cost on every server in every region is what a count of its servers' seconds comes to."""
    found = {
        (p.offer.vendor_id, p.offer.server_id, p.offer.region, p.offer.allocation): (
            p.tasks_per_server,
            p.servers,
            p.cost,
        )
        for p in catalog.everywhere(work)
    }
    expected = {
        (row["vendor_id"], row["api_reference"], row["region"], row["allocation"]): packed_by_hand(row, work)
        for row in joined
        if fits(row, work.need)
    }
    assert found.keys() == expected.keys()
    for key, (each, servers, cost) in expected.items():
        assert found[key] == (each, servers, pytest.approx(cost, rel=1e-9))
    best = catalog.packed(work, 3)
    assert [p.cost for p in best] == pytest.approx(sorted(_least_of_each_server(expected))[:3], rel=1e-9)
    assert all(p.cost_per_task == pytest.approx(p.cost / work.tasks) for p in best)


def _least_of_each_server(costs: dict[tuple[str, ...], tuple[int, int, float]]) -> list[float]:
    least: dict[tuple[str, ...], float] = {}
    for key, (_, _, cost) in costs.items():
        least[key[:2]] = min(cost, least.get(key[:2], cost))
    return list(least.values())


@settings(max_examples=15, deadline=None)
@given(work=WORKS, more=st.integers(1, 50), factor=st.sampled_from([1.5, 3]))
def test_more_work_never_costs_less(catalog: Catalog, work: Work, more: int, factor: float) -> None:
    """More tasks, longer tasks and larger tasks cost at least as much."""
    now = catalog.packed(work, 1)
    larger = replace(work.need, cpu=work.need.cpu * factor, memory_mib=work.need.memory_mib * factor)
    for heavier in (
        replace(work, tasks=work.tasks + more, at_once=work.side_by_side),
        replace(work, duration_s=work.duration_s * factor),
        replace(work, need=larger),
    ):
        then = catalog.packed(heavier, 1)
        if then:
            assert now[0].cost <= then[0].cost * (1 + 1e-9)


def test_short_tasks_share_a_server(catalog: Catalog) -> None:
    """Tasks of ten seconds, four at a time, are charged for one server's minutes, not for sixty seconds each."""
    need = Need(cpu=0.5, memory_mib=600, vendors=("aws",), burstable=False)
    best = catalog.packed(Work(need, duration_s=10, tasks=40, at_once=4), 1)[0]
    alone = catalog.packed(Work(need, duration_s=10), 1)[0]
    assert best.tasks_per_server > 1
    assert best.cost == pytest.approx(best.servers * best.offer.price_hourly * 100 / 3600)
    assert alone.cost == pytest.approx(alone.offer.price_hourly * 60 / 3600)
    assert best.cost_per_task < alone.cost_per_task / 10


@pytest.mark.parametrize(
    ("vendor", "server", "platform", "free_mib"),
    [
        # learn.microsoft.com: 8 GB and 25 % less the eviction's 100 MiB, after what the machine keeps
        ("azure", "Standard_D2s_v3", "kubernetes", 8192 * 0.925 - 8192 * 0.25 - 100),
        # 29 pods on an m7g.large (eni-max-pods.txt): 255 + 11 * 29 + 100
        ("aws", "m7g.large", "kubernetes", 8192 * 0.925 - 674),
        ("aws", "m7g.large", "batch", 8192 * 0.925 - 32),
        ("aws", "m7g.large", "machine", 8192 * 0.925),
        ("aws", "m7g.large", "none", 8192),
        # cloud.google.com: 25 % of 4 GiB and 20 % of 4 GiB are 1.8 GiB, and 100 MiB
        ("gcp", "e2-standard-2", "kubernetes", 8192 - 128 - 16 - 64 - 8 - 0.00175 * 8192 - 1843.2 - 100),
    ],
)
def test_what_the_system_and_the_kubelet_take_is_left_free(
    catalog: Catalog, vendor: str, server: str, platform: str, free_mib: float
) -> None:
    """A task as large as what is left fits a type, and one of a MiB more does not."""
    for memory_mib, there in ((free_mib - 0.1, True), (free_mib + 1, False)):
        need = Need(cpu=1, memory_mib=memory_mib, vendors=(vendor,), platform=platform)
        assert (server in {offer.server_id for offer in catalog.cheapest(need, 10_000)}) is there


@settings(max_examples=15, deadline=None)
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


@settings(max_examples=15, deadline=None)
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


def followed(need: Need, way: Relaxation) -> Need:
    """The need, as somebody would ask again who takes a way out at its word."""
    asked: dict[str, Callable[[str], dict[str, Any]]] = {
        "cpu": lambda text: {"cpu": float(text)},
        "memory": lambda text: {"memory_mib": parse_size(text) / MIB},
        "gpu": lambda text: {"gpu": int(text)},
        "vram": lambda text: {"vram_mib": parse_size(text) / MIB},
        "disk": lambda text: {"disk_gb": parse_size(text) / 1e9},
        "arch": lambda text: {"architecture": text},
        "vendor": lambda text: {"vendors": (text,)},
        "region": lambda text: {"regions": (text,)},
        "allocation": lambda text: {"allocation": text},
        "burstable": lambda _text: {"burstable": True},
        "gpu-model": lambda text: {"gpu_models": () if text == "none" else (text,)},
    }
    for name, _, possible in way.changes:
        need = replace(need, **asked[name](possible))
    return need


@settings(max_examples=12, deadline=None)
@given(need=NEEDS, factor=st.sampled_from([1, 1, 20, 1000]), gpu=st.sampled_from([0, 0, 1, 16, 100]))
def test_a_way_out_that_is_followed_leads_to_an_offer(catalog: Catalog, need: Need, factor: int, gpu: int) -> None:
    """Where nothing fits there are ways out, all of the same length; asking again as each says finds a server."""
    need = replace(need, cpu=need.cpu * factor, gpu=need.gpu + gpu)
    ways = catalog.relaxations(need)
    assert bool(ways) != bool(catalog.cheapest(need, 1))
    assert len({len(way.changes) for way in ways}) <= 1
    for way in ways:
        assert catalog.cheapest(followed(need, way), 1), str(way)


@pytest.mark.parametrize(
    ("need", "says"),
    [
        # 16 GPUs of 40 GiB would hold it; the 8 that there are do not
        (Need(1, 0, gpu=16, vram_mib=330 * GIB, gpu_models=("A100",), regions=("eu-west-1",)), {"gpu", "vram"}),
        (Need(1, 0, gpu=16, vram_mib=320 * GIB, gpu_models=("A100",), regions=("eu-west-1",)), {"gpu"}),
        # 1.85 TiB, written out, is more than the 1939865.6 MiB that are left of 2 TiB
        (Need(1, 25e6, gpu=1, gpu_models=("H200",)), {"memory"}),
    ],
)
def test_what_gives_is_all_that_has_to(catalog: Catalog, need: Need, says: set[str]) -> None:
    """Fewer GPUs hold less together, and what is written is never more than there is."""
    ways = catalog.relaxations(need)
    assert says in [{name for name, _, _ in way.changes} for way in ways]
    assert all(catalog.cheapest(followed(need, way), 1) for way in ways)


def test_more_than_a_way_out_names_is_not_to_be_had(catalog: Catalog) -> None:
    """What is named is the most there is, not just something."""
    need = Need(cpu=5000, memory_mib=4 * GIB, architecture="arm64")
    (most,) = [c[2] for way in catalog.relaxations(need) for c in way.changes if c[0] == "cpu"]
    assert catalog.cheapest(replace(need, cpu=float(most)))
    assert not catalog.cheapest(replace(need, cpu=float(most) + 1))


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
        (Need(1, 0, regions=("us-east1-b",)), "97 are known, such as us-east1, "),
        (Need(1, 0, vendors=("HCLOUD",)), "no price is known of the vendor 'HCLOUD': run `stepsize catalog update`"),
        (Need(1, 0, regions=("me-central2",)), "no price is known of the region"),
        (Need(1, 0, architecture="z80"), "arm64"),
        (Need(1, 0, allocation="reserved"), "ondemand, spot"),
        (Need(1, 0, gpu_models=("Voodoo2",)), "T4"),
        (Need(1, 0, platform="mainframe"), "kubernetes"),
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


def test_a_part_without_the_catalogues_own_is_refused(tmp_path: Path) -> None:
    """Other licences' rows alone are not taken for a catalogue."""
    shutil.copytree(SHARE_ALIKE, tmp_path / SHARE_ALIKE.name)
    with pytest.raises(DataError, match="make catalog"):
        Catalog.open(tmp_path)
    with pytest.raises(DataError):
        contents(tmp_path)


def test_another_directory_is_read(tmp_path: Path) -> None:
    """A catalogue elsewhere, in a directory with a quote in its name, is read in place of the one that ships."""
    directory = tmp_path / "it's here"
    directory.mkdir()
    for name in ("servers", "server_prices", "regions"):
        table = pq.read_table(DIRECTORY / f"{name}.parquet")
        pq.write_table(table.slice(0, 500) if name == "server_prices" else table, directory / f"{name}.parquet")
    with Catalog.open(directory) as small:
        assert len(small.cheapest(Need(0, 0), 10_000)) <= 500
