"""The build: packages' files in, Parquet files out, the same each time, or nothing and a reason."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stepsize.analyzer.catalog import parquet
from stepsize.analyzer.catalog.build import assemble, main
from stepsize.analyzer.catalog.sources import Source, Sources
from stepsize.errors import DataError
from tests.analyzer.shipped import DIRECTORY, SHARE_ALIKE

TABLES = ("servers", "server_prices", "regions")
SEEN = "2026-01-15 21:42:02.030529"
SERVER_COLUMNS = [
    "vendor_id",
    "server_id",
    "api_reference",
    "display_name",
    "family",
    "vcpus",
    "cpu_allocation",
    "cpu_cores",
    "cpu_speed",
    "cpu_architecture",
    "cpu_manufacturer",
    "cpu_model",
    "memory_amount",
    "gpu_count",
    "gpu_memory_min",
    "gpu_memory_total",
    "gpu_manufacturer",
    "gpu_family",
    "gpu_model",
    "storage_size",
    "storage_type",
    "network_speed",
    "status",
    "observed_at",
]
REGION_COLUMNS = [
    "vendor_id",
    "region_id",
    "api_reference",
    "display_name",
    "country_id",
    "city",
    "status",
    "observed_at",
]


def server(vendor: str, name: str, number: str, vcpus: int, memory_mib: int, **more: Any) -> dict[str, Any]:
    """A row of Spare Cores' table."""
    row = dict.fromkeys(SERVER_COLUMNS) | {
        "vendor_id": vendor,
        "server_id": number,
        "api_reference": name,
        "display_name": name,
        "family": name.partition("-")[0],
        "vcpus": vcpus,
        "cpu_allocation": "DEDICATED",
        "cpu_architecture": "X86_64",
        "memory_amount": memory_mib,
        "gpu_count": 0,
        "storage_size": 0,
        "status": "ACTIVE",
        "observed_at": SEEN,
    }
    return row | more


def sparecores(path: Path) -> Path:
    """A small database of Spare Cores' shape."""
    servers = [
        server("gcp", "e2-standard-2", "335002", 2, 8192),
        server("gcp", "e2-micro", "334002", 2, 1024, cpu_allocation="SHARED"),
        server("azure", "Standard_D2s_v3", "Standard_D2s_v3", 2, 8192),
        server("azure", "Standard_NC6s_v3", "Standard_NC6s_v3", 6, 114688, gpu_count=1),
        server("azure", "Standard_NX1", "Standard_NX1", 6, 114688, gpu_count=1),
    ]
    regions = [
        ("gcp", "1000", "us-central1", "Iowa"),
        ("gcp", "1230", "us-east1", "South Carolina"),
        ("azure", "eastus", "eastus", "East US"),
        ("aws", "us-east-1", "us-east-1", "N. Virginia"),
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE server ({', '.join(SERVER_COLUMNS)})")
        database.executemany(
            f"INSERT INTO server VALUES ({', '.join(':' + column for column in SERVER_COLUMNS)})", servers
        )
        database.execute(f"CREATE TABLE region ({', '.join(REGION_COLUMNS)})")
        database.executemany(
            "INSERT INTO region VALUES (?, ?, ?, ?, 'US', NULL, 'ACTIVE', ?)", [(*region, SEEN) for region in regions]
        )
    return path


def instance(vcpus: int, memory_mib: int, **more: Any) -> dict[str, Any]:
    """An answer of DescribeInstanceTypes, as far as it is read."""
    return {
        "BurstablePerformanceSupported": False,
        "CurrentGeneration": True,
        "MemoryInfo": {"SizeInMiB": memory_mib},
        "NetworkInfo": {"NetworkCards": [{"BaselineBandwidthInGbps": 0.75}]},
        "ProcessorInfo": {"Manufacturer": "Intel", "SupportedArchitectures": ["i386", "x86_64"]},
        "VCpuInfo": {"DefaultVCpus": vcpus, "DefaultCores": vcpus // 2},
    } | more


def moto(path: Path) -> Path:
    """A small file of moto's shape."""
    gpu = {"Count": 1, "Manufacturer": "NVIDIA", "MemoryInfo": {"SizeInMiB": 16384}, "Name": "T4"}
    types = {
        "m5.large": instance(2, 8192),
        "t3.large": instance(2, 8192),
        "m1.large": instance(2, 7680, CurrentGeneration=False),
        "g4dn.xlarge": instance(4, 16384, GpuInfo={"Gpus": [gpu], "TotalGpuMemoryInMiB": 16384}),
    }
    path.write_bytes(gzip.compress(json.dumps(types).encode(), mtime=0))
    return path


def libcloud(path: Path, **aws: float) -> Path:
    """A small price file of libcloud's shape; ``aws`` overrides the Linux price of m5.large."""
    linux = {"m5.large": aws.get("m5", 0.096), "t3.large": 0.0832, "g4dn.xlarge": 0.526, "x9.large": 1.0}
    rates = {"on_demand": {"us-central1": {"price": 0.02181159}}, "preemptible": {"us-central1": {"price": 0.006543}}}
    memory = {"on_demand": {"us-central1": {"price": 0.00292353}}, "preemptible": {"us-central1": {"price": 0.00087}}}
    published = {
        "updated": 1740936978,
        "compute": {
            "ec2_linux": {
                name: {"us-east-1": usd, "us-gov-west-1": usd, "us-west-2-lax-1": usd} for name, usd in linux.items()
            },
            "azure_linux": {
                "standardd2sv3": {"eastus": 0.096, "usgovtexas": 0.115},
                "lowpriorityd2sv3": {"eastus": 0.019},
                "standardnc6sv3": {"eastus": 3.06},
                "standardnx1": {"eastus": 0},
            },
            "gce_instances": {"e2": {"cpu": rates, "ram": memory}},
        },
    }
    path.write_text(json.dumps(published), encoding="utf-8")
    return path


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below, by its name there."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def found(tmp_path: Path) -> Sources:
    return Sources(
        sparecores=Source("sparecores-data 0.3.4", sparecores(tmp_path / "sc.db"), "CC-BY-SA-4.0"),
        moto=Source("moto 5.2.5", moto(tmp_path / "types.json.gz"), "Apache-2.0", "2026-10-27"),
        libcloud=Source("apache-libcloud 3.9.1", libcloud(tmp_path / "pricing.json"), "Apache-2.0"),
    )


def test_prices_join_servers_under_the_catalogues_ids(found: Sources) -> None:
    """Prices come out under Spare Cores' ids; what has an unknown server or region, or no price, stays out."""
    prices = {(row.vendor_id, row.region_id, row.server_id, row.allocation): row for row in assemble(found).prices}
    assert set(prices) == {
        ("aws", "us-east-1", "g4dn.xlarge", "ondemand"),
        ("aws", "us-east-1", "m5.large", "ondemand"),
        ("aws", "us-east-1", "t3.large", "ondemand"),
        ("azure", "eastus", "Standard_D2s_v3", "ondemand"),
        ("azure", "eastus", "Standard_D2s_v3", "spot"),
        ("azure", "eastus", "Standard_NC6s_v3", "ondemand"),
        *(("gcp", region, name, kind)
          for region in ("1000", "1230") for name in ("334002", "335002") for kind in ("ondemand", "spot")),
    }  # fmt: skip
    assert prices["gcp", "1000", "335002", "ondemand"].price == pytest.approx(0.067011, abs=1e-6)
    assert prices["gcp", "1000", "334002", "ondemand"].price == pytest.approx(0.0084, rel=0.01)
    assert {row.observed_at for row in prices.values()} == {"2025-03-02"}
    assert prices["azure", "eastus", "Standard_D2s_v3", "spot"].price_quality == "derived"


def test_servers_are_completed_and_marked(found: Sources) -> None:
    """Burstable families, architectures and GPUs come out as they are, or marked unknown."""
    servers = {row.api_reference: row for row in assemble(found).servers}
    assert servers["t3.large"].cpu_allocation == "burstable"
    assert servers["e2-micro"].cpu_allocation == "burstable"
    assert servers["m5.large"].cpu_architecture == "x86_64"
    known, unknown = servers["Standard_NC6s_v3"], servers["Standard_NX1"]
    assert (known.gpu_model, known.gpu_memory_total, known.gpu_quality) == ("V100", 16384, "derived")
    assert (unknown.gpu_model, unknown.gpu_memory_total, unknown.gpu_quality) == (None, None, "unknown")
    assert servers["g4dn.xlarge"].gpu_quality == "listed"
    assert (servers["m5.large"].status, servers["m1.large"].status) == ("active", "previous_generation")


def test_same_sources_give_the_same_bytes(found: Sources, tmp_path: Path) -> None:
    """Two builds of the same sources write the same bytes, and leave nothing else behind."""
    written = []
    for name in ("first", "second"):
        sizes = parquet.write(assemble(found), tmp_path / name)
        written.append(contents(tmp_path / name))
        assert {f"{table}.parquet": size for table, size in sizes.items()} == {
            file: len(content) for file, content in written[-1].items() if file.endswith(".parquet")
        }
    assert written[0] == written[1]
    own = {f"{table}.parquet" for table in TABLES}
    assert set(written[0]) == own | {f"{SHARE_ALIKE.name}/{name}" for name in (*own, "LICENCE.txt")}


def test_each_licence_is_a_part_and_both_are_the_catalogue(found: Sources, tmp_path: Path) -> None:
    """Rows under Apache-2.0 alone are those of a build without Spare Cores; with the others they are all of it."""
    whole = assemble(found)
    parquet.write(whole, tmp_path / "whole")
    parquet.write(assemble(Sources(None, found.moto, found.libcloud)), tmp_path / "own")
    assert parquet.read(tmp_path / "whole") == whole
    own = {name: content for name, content in contents(tmp_path / "whole").items() if "/" not in name}
    assert own == contents(tmp_path / "own")


def test_what_another_build_left_is_no_part(found: Sources, tmp_path: Path) -> None:
    """Built without share-alike where all of it was, only what is under Apache-2.0 is left to read."""
    parquet.write(assemble(found), tmp_path)
    own = assemble(Sources(None, found.moto, found.libcloud))
    parquet.write(own, tmp_path)
    assert parquet.read(tmp_path) == own


def test_without_share_alike_only_apache_data_is_left(found: Sources, tmp_path: Path) -> None:
    """Without Spare Cores the catalogue is AWS alone, in the regions that everybody may use, all under Apache-2.0."""
    tables = assemble(Sources(None, found.moto, found.libcloud))
    assert {row.vendor_id for row in tables.servers} == {"aws"}
    assert {row.region_id for row in tables.regions} == {"us-east-1"}
    assert {row.licence for row in (*tables.servers, *tables.prices, *tables.regions)} == {"Apache-2.0"}


def test_a_catalogue_that_does_not_hold_is_refused(found: Sources, tmp_path: Path) -> None:
    """A row that breaks an invariant ends the build with the row's name, before anything is written."""
    undated = Source("moto 5.2.5", found.moto.path, "Apache-2.0", "some day")
    with pytest.raises(DataError, match="some day"):
        assemble(Sources(found.sparecores, undated, found.libcloud))


@pytest.mark.peers
def test_what_ships_is_what_the_packages_give(tmp_path: Path) -> None:
    """Building again from the packages gives the tables that ship, row for row."""
    assert main(["--out", str(tmp_path)]) == 0
    for part in ("", SHARE_ALIKE.name):
        for table in TABLES:
            built, shipped = (pq.read_table(place / part / f"{table}.parquet") for place in (tmp_path, DIRECTORY))
            assert built.equals(shipped), (part, table)


@pytest.mark.peers
def test_what_ships_under_apache_is_a_build_without_the_rest(tmp_path: Path) -> None:
    """Without share-alike the packages give the tables beside the share-alike part, row for row, and no other."""
    assert main(["--out", str(tmp_path), "--without-share-alike"]) == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == {f"{t}.parquet" for t in TABLES}
    for table in TABLES:
        assert pq.read_table(tmp_path / f"{table}.parquet").equals(pq.read_table(DIRECTORY / f"{table}.parquet")), table


def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the packages the build ends with exit code 2 and the command that installs them."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert main(["--out", str(tmp_path)]) == 2
    assert "pip install 'stepsize[catalog]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
