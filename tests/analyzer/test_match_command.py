"""``stepsize match`` as people and scripts call it: text out, an exit code."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import stepsize
from tests.analyzer import in_process
from tests.analyzer.in_process import Finished

FIELDS = [
    "vendor_id",
    "server_id",
    "region",
    "allocation",
    "price_hourly",
    "currency",
    "price_observed_at",
    "price_quality",
    "vcpus",
    "memory_mib",
    "gpu_count",
    "gpu_model",
    "gpu_memory_total_mib",
    "cpu_architecture",
    "cpu_allocation",
    "storage_gb",
]


def match(home: Path, *arguments: str) -> Finished:
    """Runs the command with a home directory of its own."""
    return in_process.stepsize({"HOME": str(home), "STEPSIZE_DATA": str(home / "lake")}, "match", *arguments)


def test_json_is_the_contract(tmp_path: Path) -> None:
    """``--format json`` is a list, cheapest first, of objects with exactly the fields that are documented."""
    result = match(tmp_path, "--cpu", "2", "--memory", "8GiB", "--limit", "7", "--format", "json")
    offers = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0, "")
    assert [list(offer) for offer in offers] == [FIELDS] * 7
    prices = [offer["price_hourly"] for offer in offers]
    assert prices == sorted(prices)
    for offer in offers:
        assert offer["vcpus"] >= 2
        assert offer["memory_mib"] >= 8192
        assert (offer["currency"], offer["allocation"]) == ("USD", "ondemand")
        assert isinstance(offer["gpu_count"], int)
        assert (offer["gpu_model"], offer["gpu_memory_total_mib"]) == (None, None)


def test_every_constraint_is_an_option(tmp_path: Path) -> None:
    """All constraints together reach the catalogue in the right units."""
    result = match(
        tmp_path,
        *("--cpu", "4", "--memory", "15000", "--gpu", "1", "--vram", "16GiB", "--disk", "100GB", "--arch", "amd64"),
        *("--vendor", "a*", "--vendor", "gcp", "--region", "us-*", "--region", "eastus*", "--no-burstable"),
        *("--limit", "20", "--format", "json"),
    )
    offers = json.loads(result.stdout)
    assert offers
    assert "g4dn.xlarge" in {offer["server_id"] for offer in offers}
    for offer in offers:
        assert offer["memory_mib"] * 2**20 >= 15_000 * 10**6
        assert offer["gpu_memory_total_mib"] >= 16 * 1024
        assert offer["storage_gb"] >= 100
        assert offer["cpu_architecture"] == "x86_64"
        assert offer["region"].startswith(("us-", "eastus"))
        assert offer["cpu_allocation"] != "burstable"


def test_spot(tmp_path: Path) -> None:
    """``--spot`` gives spot prices, below the on-demand price of the same server in the same region."""
    options = ("--memory", "8GiB", "--vendor", "gcp", "--region", "us-central1", "--limit", "1", "--format", "json")
    (spot,) = json.loads(match(tmp_path, "--spot", *options).stdout)
    (ondemand,) = json.loads(match(tmp_path, *options).stdout)
    assert (spot["allocation"], ondemand["allocation"]) == ("spot", "ondemand")
    assert spot["price_hourly"] < ondemand["price_hourly"]


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_age_of_prices_is_shown(tmp_path: Path, form: str) -> None:
    """Text for people has a line per server and says from when the prices are and how old that is."""
    result = match(tmp_path, "--memory", "8GiB", "--limit", "3", "--format", form)
    head, *lines = [line for line in result.stdout.splitlines() if line and not line.startswith("| --")]
    assert "USD/hour" in head
    assert len(lines) == 4
    assert "2025-03-02" in lines[-1]
    assert "days old" in lines[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cpu", "1"),
        ("--gpu", "1", "--vendor", "azure", "--limit", "50"),
        ("--gpu", "1", "--duration", "20m", "--tasks", "400", "--limit", "50"),
        ("--region", "northamerica-northeast1", "--spot", "--limit", "50"),
    ],
)
def test_tables_fit_a_terminal_of_80_columns(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """What does not fit goes on below its row; nothing is cut."""
    shown = match(tmp_path, *arguments).stdout
    lines = shown.partition("\n\n")[0].splitlines()
    assert max(map(len, lines)) <= 80
    offers = json.loads(match(tmp_path, *arguments, "--format", "json").stdout)
    assert len(lines) % (len(offers) + 1) == 0
    for offer in offers:
        assert all(str(offer[name]) in shown for name in ("server_id", "region", "price_quality", "cpu_architecture"))


def test_csv_has_the_fields_of_json(tmp_path: Path) -> None:
    """``--format csv`` has a header of the same fields, and the same offers."""
    options = ("--memory", "8GiB", "--gpu", "1", "--limit", "4")
    rows = list(csv.DictReader(io.StringIO(match(tmp_path, *options, "--format", "csv").stdout)))
    offers = json.loads(match(tmp_path, *options, "--format", "json").stdout)
    assert [list(row) for row in rows] == [FIELDS] * 4
    assert [row["server_id"] for row in rows] == [offer["server_id"] for offer in offers]
    assert [float(row["price_hourly"]) for row in rows] == [offer["price_hourly"] for offer in offers]


def test_nothing_fits(tmp_path: Path) -> None:
    """Where nothing fits, scripts get an empty list, people one line with what has to give, both exit code 1."""
    result = match(tmp_path, "--cpu", "5000", "--memory", "8GiB", "--format", "json")
    assert (result.returncode, json.loads(result.stdout)) == (1, [])
    (line,) = result.stderr.splitlines()
    assert "no server fits" in line
    assert "instead of 5000" in line


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--memory", "lots"), "8GiB"),
        (("--memory", "-5"), "8GiB"),
        (("--memory", "1GiB", "--vendor", "nimbus"), "aws"),
        (("--memory", "1GiB", "--region", "us-east-9"), "us-east-1"),
        (("--memory", "1GiB", "--arch", "z80"), "arm64"),
        (("--memory", "1GiB", "--cpu", "nan"), "cpu"),
        (("--memory", "1GiB", "--format", "html"), "markdown"),
        (("--memory", "1GiB", "--limit", "0"), "limit"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], word: str) -> None:
    """What is wrong in the options ends with exit code 2 and a line that names what would be right."""
    result = match(tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_it_touches_nothing(tmp_path: Path) -> None:
    """Matching, in a process of its own, reads the catalogue alone: home and lake stay empty."""
    places = {"HOME": str(tmp_path), "STEPSIZE_DATA": str(tmp_path / "lake"), "PATH": "/usr/bin:/bin"}
    environment = places | {
        "PYTHONPATH": str(Path(stepsize.__file__).parents[1])
    }  # this checkout, whatever is installed
    command = [sys.executable, "-m", "stepsize", "match", "--memory", "8GiB"]
    finished = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert (finished.returncode, finished.stderr) == (0, b"")
    assert list(tmp_path.iterdir()) == []


def test_a_fleet_file_that_is_none_is_not_read_to_its_end(tmp_path: Path) -> None:
    """One line, at once: YAML would take minutes."""
    file = tmp_path / "fleet.yaml"
    file.write_text("- m5.large\n" * 900_000)
    for path in (file, Path("/dev/zero")):
        found = match(tmp_path, "--fleet", str(path))
        assert (found.returncode, len(found.stderr.splitlines())) == (2, 1)
        assert "larger than 512 KiB" in found.stderr
