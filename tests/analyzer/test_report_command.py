"""`stepsize report` as a user calls it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from stepsize.analyzer import formats
from stepsize.model import cpu_bucket
from stepsize.testing import write_tasks
from tests.analyzer.in_process import Finished, stepsize
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

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {
            **kept,
            "HOME": str(self.home),
            "STEPSIZE_DATA": str(self.data),
            "STEPSIZE_RUNTIME": self.runtime,
        }

    def report(self, *arguments: str) -> Finished:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.home)
            return stepsize(self.environment, "report", *arguments)

    def in_a_process(self, *arguments: str) -> Finished:
        command = [sys.executable, "-m", "stepsize", "report", *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=60
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def on_a_terminal(self, columns: int, **more: str) -> str:
        """What a terminal of so many columns is sent."""
        ours, theirs = pty.openpty()
        environment = {**self.environment, "TERM": "xterm-256color", "COLUMNS": str(columns), **more}
        with subprocess.Popen(
            [sys.executable, "-m", "stepsize", "report"], env=environment, cwd=self.home, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                while more_seen := os.read(ours, 65_536):
                    seen += more_seen
        os.close(ours)
        assert process.returncode == 0, seen
        return seen.decode()


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
    finished = measured.in_a_process()
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "TrainFlow/train" in finished.stdout
    assert "OtherFlow/train" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert max(len(line) for line in finished.stdout.splitlines()) <= 80


def test_a_terminal_gets_colours_unless_it_wants_none(measured: Place) -> None:
    """In as many columns as it has, of which sixty are enough for every figure."""
    escape = re.compile("\x1b\\[([0-9;]*)m")
    for more, colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        seen = measured.on_a_terminal(60, **more)
        codes = {code for found in escape.findall(seen) for code in found.split(";")}
        assert any(code.startswith("3") for code in codes) is colours
        lines = escape.sub("", seen).splitlines()
        assert "\x1b" not in "".join(lines)
        assert max(map(len, lines)) <= 60
        assert "4,096 → 650" in " ".join(" ".join(lines).split())


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


def test_a_budget_for_cores_takes_the_place_of_the_price_of_waiting(place: Place) -> None:
    """In every format, with the run time on them; a policy with a rule of its own takes none."""
    half = {"cpu_histogram": {cpu_bucket(1.0): 30.0, cpu_bucket(8.0): 30.0}, "cpu_seconds": 270.0, "cpu_max": 8.0}
    half["memory_peak_bytes"] = 10**7
    write_tasks(place.data, [row(task=str(n), requested_cpu=8.0, **half) for n in range(3)])
    cores = {
        budget: json.loads(place.report("--cpu-budget", budget, "--format", "json").stdout)[0]["recommended"]["cpu"]
        for budget in ("1", "1.2", "4")
    }
    assert cores == {"1": 1, "1.2": 2, "4": 8}
    for chosen in formats.FORMATS:
        shown = place.report("--cpu-budget", "1.2", "--format", chosen).stdout
        text = " ".join(shown.split())
        assert "On 2 cores a task takes about 2.5 min" in text, chosen
        assert "the budget is 1.2" in text, chosen
    refused = place.report("--cpu-budget", "2", "--policy", "resource-tracker")
    assert refused.returncode == 2
    assert "resource-tracker has a rule of its own for cores" in refused.stderr
    assert place.report("--cpu-budget", "0.5").returncode == 2


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
    finished = measured.in_a_process(*arguments) if "best" in arguments else measured.report(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert said in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_the_page_draws_what_the_query_asks_for(measured: Place) -> None:
    """Runs and the newest of them, of those attempts alone that count."""
    finished = measured.report("TrainFlow/train", "--runs", "4", "--out", "report.html")
    assert (finished.returncode, finished.stderr) == (0, "Report written to report.html\n")
    text = (measured.home / "report.html").read_text("utf-8")
    assert "4 runs, the newest on the right." in text
    assert "Run 9 began" in text


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
