"""`stepsize report` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A home, a lake, a place for sockets and the command."""

    home: Path
    runtime: str

    @property
    def data(self) -> Path:
        return self.home / "lake"

    def report(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment |= {
            "HOME": str(self.home),
            "STEPSIZE_DATA": str(self.data),
            "STEPSIZE_RUNTIME": self.runtime,
        }
        return subprocess.run(
            [sys.executable, "-m", "stepsize", "report", *arguments],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with short_directory() as runtime:
        yield Place(tmp_path, str(runtime))


@pytest.fixture
def measured(place: Place) -> Place:
    """Ten days of one flow, the last one today."""
    now = datetime.now(timezone.utc)
    rows = [row(run=str(day), started_at=now - timedelta(days=9 - day), branch="user.ann") for day in range(10)]
    write_tasks(place.data, [*rows, row(flow="OtherFlow", started_at=now, run_origin="schedule")])
    return place


def test_without_options_it_prints_a_table_of_everything(measured: Place) -> None:
    """Not a terminal: no colours, eighty columns."""
    finished = measured.report()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "TrainFlow/train" in finished.stdout
    assert "OtherFlow/train" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert max(len(line) for line in finished.stdout.splitlines()) <= 80


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("TrainFlow",), [("TrainFlow", 10)]),
        (("TrainFlow/train", "--runs", "4"), [("TrainFlow", 4)]),
        (("--since", "60h", "TrainFlow"), [("TrainFlow", 3)]),
        (("--branch", "user.*"), [("TrainFlow", 10)]),
        (("--origin", "schedule"), [("OtherFlow", 1)]),
    ],
)
def test_filters(measured: Place, arguments: tuple[str, ...], expected: list[tuple[str, int]]) -> None:
    """Each narrows what the report is made from."""
    finished = measured.report("--format", "json", *arguments)
    assert finished.returncode == 0, finished.stderr
    assert [(step["flow"], step["tasks"]) for step in json.loads(finished.stdout)] == expected


def test_out_writes_the_file_in_the_format_of_its_suffix_and_says_where(measured: Place) -> None:
    """Standard output stays empty for pipes."""
    finished = measured.report("--out", "r.json", "TrainFlow")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert "r.json" in finished.stderr
    assert json.loads((measured.home / "r.json").read_text())[0]["flow"] == "TrainFlow"


def test_format_wins_over_the_suffix(measured: Place) -> None:
    """Whoever says both means the format."""
    assert measured.report("--out", "r.txt", "--format", "csv").returncode == 0
    assert (measured.home / "r.txt").read_text().startswith("flow,step,")


def test_the_policy_can_be_chosen(measured: Place) -> None:
    """By its name."""
    finished = measured.report("--policy", "resource-tracker", "--format", "json", "TrainFlow")
    assert json.loads(finished.stdout)[0]["policy"] == "resource-tracker"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "best"), "balanced, cheap, resource-tracker, safe"),
        (("--target", "moon"), "kubernetes, batch, fargate"),
        (("TrianFlow",), "known are TrainFlow"),
        (("TrainFlow/tarin",), "known are train"),
        (("TrainFlow/",), "neither FLOW nor FLOW/STEP"),
        (("a/b/c",), "neither FLOW nor FLOW/STEP"),
        (("--since", "soon"), "30d"),
        (("--since", "9999999999w"), "--since"),
        (("--since", "1d", "--runs", "2"), "exclude each other"),
        (("--out", "report.pdf"), "--format"),
        (("--out", "missing/report.html"), "cannot write"),
        (("--branch", "nobody"), "--branch"),
    ],
)
def test_wrong_usage_gets_one_line_that_says_what_to_do(measured: Place, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, nothing on standard output."""
    finished = measured.report(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert said in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_no_lake_and_an_empty_lake_say_how_to_begin(place: Place) -> None:
    """Exit code 1, and nothing is made where nothing was."""
    finished = place.report()
    assert finished.returncode == 1
    assert "STEPSIZE=1" in finished.stderr
    assert not place.data.exists()
    write_tasks(place.data, [])
    finished = place.report()
    assert finished.returncode == 1
    assert "STEPSIZE=1" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_help_names_every_option(place: Place) -> None:
    """Help is the documentation."""
    finished = place.report("--help")
    assert finished.returncode == 0
    for option in ("--since", "--runs", "--policy", "--branch", "--origin", "--data", "--format", "--out"):
        assert option in finished.stdout
