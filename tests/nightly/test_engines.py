"""Nights that count tasks anew first, and nights beside a collector that lives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stepsize.store.lake import Lake
from tests.nightly.site import Site
from tests.recount import lakes
from tests.recount.test_spark import on_cluster


def steps(data: Path) -> list[tuple[str, str, int]]:
    found = json.loads((data / "reports/latest/report.json").read_bytes())
    return [(step["flow"], step["step"], step["tasks"]) for step in found]


def test_tasks_are_counted_anew_and_reported(site: Site) -> None:
    """From the points of the lake, into a lake of their own, which the report reads in place of collectors' rows."""
    log, _ = lakes.write(site.home / "from")
    data = log.lake.data
    finished = site.nightly("--data", str(data), "--engine", "duckdb", "--counted", str(site.home / "counted"))
    assert finished.returncode == 0, finished.stderr
    with Lake(site.home / "counted").reading() as connection:
        (found,) = connection.sql("SELECT count(*), count(outcome) FROM tasks").fetchall()
    attempts, ended = found
    assert f"{attempts} attempts counted anew from" in finished.stdout
    assert 0 < ended < attempts  # points that came a moment ago: what fell silent counts as running still
    report = json.loads((data / "reports/latest/report.json").read_bytes())
    counts = [count for step in report for name, count in step["outcomes"].items() if name != "running"]
    assert sum(counts) == ended


@pytest.mark.soak
def test_a_roll_up_that_fails_makes_no_report(site: Site) -> None:
    """What it would be made of is not there; the directory of a collector is no place for it."""
    log, _ = lakes.write(site.home / "from")
    data = log.lake.data
    finished = site.measured().nightly("--data", str(data), "--engine", "duckdb", "--counted", str(site.data))
    assert finished.returncode == 1
    assert f"stepsize nightly: rollup: {site.data} holds what collectors have written" in finished.stderr
    assert not (data / "reports/latest").exists()
    finished = site.nightly("--data", str(data), "--engine", "duckdb", "--counted", str(data))
    assert (finished.returncode, len(finished.stderr.splitlines())) == (2, 1)


@pytest.mark.peers
@pytest.mark.xdist_group("spark")
@pytest.mark.skipif(shutil.which("java") is None, reason="no Java here")
@pytest.mark.skipif(find_spec("pyspark") is None, reason="no PySpark here: pip install 'stepsize[spark]'")
def test_a_night_on_a_cluster(tmp_path: Path) -> None:
    """Spark counts, with two worker processes; nothing of what it prints is said."""
    log, _ = lakes.write(tmp_path / "from")
    command = [sys.executable, "-m", "stepsize", "nightly", "--data", str(log.lake.data)]
    finished = on_cluster(tmp_path, *command, "--engine", "spark", "--counted", str(tmp_path / "counted"))
    assert (finished.returncode, finished.stderr) == (0, "")
    assert len(finished.stdout.splitlines()) == 1
    assert steps(log.lake.data)


def test_beside_a_collector_that_lives(site: Site) -> None:
    """What ran a moment ago is in the report, and the collector goes on."""

    def stepsize(*arguments: str) -> None:
        command = [sys.executable, "-m", "stepsize", *arguments]
        subprocess.run(command, env=site.environment, check=True, cwd=site.home, stdout=subprocess.DEVNULL)

    stepsize("run", "--quiet", "--flow", "Earlier", "--step", "one", "--", "true")
    stepsize("report")  # waits until the collector has it
    pid = json.loads((site.data / "collector.json").read_bytes())["pid"]
    stepsize("run", "--quiet", "--flow", "Fresh", "--step", "one", "--", "true")
    finished = site.nightly()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert sorted(steps(site.data)) == [("Earlier", "one", 1), ("Fresh", "one", 1)]
    os.kill(pid, 0)
