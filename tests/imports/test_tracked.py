"""resource-tracker's own files: their shape is that of its 0.5.0 (`ResourceTracker.snapshot`), the figures are ours."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from stepsize.model import cpu_bucket
from tests.imports.conftest import Place

START_S = 1_793_527_200.25


def snapshot(number: int, **more: Any) -> dict[str, Any]:
    sample = {
        "timestamp": START_S,
        "pid": 4000,
        "children": 2,
        "utime": 0.5,
        "stime": 0.25,
        "cpu_usage": 0.75,
        "memory_mib": 200.5 + number,
        "disk_read_bytes": 0,
        "gpu_usage": 0,
        "gpu_vram_mib": 0,
        "gpu_utilized": 0,
    }
    said = {
        "metadata": {
            "version": 1,
            "pid": 4000,
            "interval": 1.0,
            "start_time": START_S + number * 100,
            "duration": 60.0,
        },
        "server_info": {"vcpus": 8, "memory_mib": 16_000.0},
        "cloud_info": {"vendor": "aws", "region": "eu-west-1", "instance_type": "m5.2xlarge"},
        "process_metrics": [sample, sample | {"memory_mib": 100.0, "cpu_usage": 0.5}],
        "system_metrics": [sample | {"memory_used_mib": 9000.0}],
    }
    return said | more


def dumped(path: Path, content: Any) -> str:
    """As `ResourceTracker.dump` writes it: packed, whatever its name."""
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return str(path)


def test_files_become_advice(place: Place) -> None:
    """Six runs of one command."""
    files = [dumped(place.home / f"{number}.json", snapshot(number)) for number in range(6)]
    said = place.imported("resource-tracker", *files, "--flow", "jobs", "--step", "train")
    assert said["steps"] == [{"flow": "jobs", "step": "train", "runs": 6, "attempts": 6}]
    assert place.imported("resource-tracker", *files, "--flow", "jobs", "--step", "train")["added"] == 0
    assert 215 <= place.advice()["jobs/train"]["recommended"]["memory_mb"] < 600


def test_what_a_file_says(place: Place) -> None:
    """Of the process, not of the machine; no GPU was seen, so nothing is known of any."""
    path = dumped(place.home / "a.json", snapshot(0))
    place.imported("resource-tracker", path, "--flow", "jobs", "--step", "train", "--run", "r", "--user", "ann")
    (row,) = place.tasks()
    assert (row["memory_peak_bytes"], row["memory_source"]) == (int(200.5 * 2**20), "resource-tracker")
    assert (row["cpu_seconds"], row["cpu_max"], row["samples"], row["duration_s"]) == (1.5, 0.75, 2, 60.0)
    assert (row["run"], row["user"], row["host_cpus"]) == ("r", "ann", 8)
    assert (row["cloud_vendor"], row["cloud_region"], row["instance_type"]) == ("aws", "eu-west-1", "m5.2xlarge")
    assert row["started_at"].timestamp() == START_S
    assert dict(row["cpu_histogram"]) == {cpu_bucket(0.75): 1.0, cpu_bucket(0.5): 1.0}
    assert row["gpu_count"] is row["gpu_utilization_mean"] is row["requested_memory_bytes"] is None


def test_gpus(place: Place) -> None:
    """The most devices at once, and the most of their memory together."""
    samples = [{"gpu_usage": 0.5, "gpu_vram_mib": 1000, "gpu_utilized": 1}, {"gpu_usage": 1.5, "gpu_utilized": 2}]
    (place.home / "a.json").write_text(json.dumps(snapshot(0, process_metrics=samples, cloud_info=None)))
    place.imported("resource-tracker", "a.json", "--flow", "jobs", "--step", "train")
    (row,) = place.tasks()
    assert (row["gpu_count"], row["gpu_utilization_mean"], row["gpu_utilization_max"]) == (2.0, 1.0, 1.5)
    assert (row["gpu_memory_peak_bytes"], row["memory_peak_bytes"]) == (1000 << 20, None)


def test_files_that_are_none(place: Place) -> None:
    """No JSON, no snapshot, no sample: each is told, the others count."""
    (place.home / "text").write_text("no JSON")
    other = dumped(place.home / "list.json", [1, 2])
    empty = dumped(place.home / "empty.json", snapshot(0, process_metrics=[]))
    good = dumped(place.home / "good.json", snapshot(1))
    said = place.imported("resource-tracker", "text", other, empty, good, "--flow", "jobs", "--step", "train")
    assert (said["read"], said["bad"], said["added"]) == (4, 3, 1)
    cut = place.home / "cut.json"
    cut.write_bytes(Path(good).read_bytes()[:-9])
    done = place.run("import", "resource-tracker", str(cut), "--flow", "jobs", "--step", "train")
    assert done.returncode == 1
    assert "is damaged" in done.stderr
