"""`stepsize run` says what the command used and what to ask for, from all its runs so far."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import short_directory

ALLOCATE = "x = b'1' * (100 << 20)"


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A lake of the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
    with short_directory() as directory:
        yield {
            **kept,
            "HOME": str(directory),
            "STEPSIZE_DATA": str(directory / "lake"),
            "STEPSIZE_RUNTIME": str(directory / "run"),
        }


def _run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "stepsize", "run", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_advice_stands_on_every_run_of_the_command(environment: dict[str, str]) -> None:
    """Two lines on standard error after the command; its own output is its own."""
    for count in (1, 2):
        finished = _run(environment, "--flow", "job", "--", sys.executable, "-c", f"{ALLOCATE}; print('mine')")
        assert (finished.returncode, finished.stdout) == (0, "mine\n")
        used, advice = finished.stderr.splitlines()
        assert re.search(r"job/run used .* memory peak 1[01]\d MiB", used)
        # 120 MB, and as much more as so few runs do not rule out; never under the floor.
        assert re.search(rf"ask for cpu 1, memory [23]\d\d MB \(from {count} runs?; why: stepsize report job\)", advice)


def test_runs_that_say_nothing_of_what_is_needed_make_no_advice(environment: dict[str, str]) -> None:
    """What a command that failed had used is said, with its own exit code; an amount to ask for is not made of it."""
    finished = _run(environment, "--flow", "job", "--", sys.executable, "-c", f"{ALLOCATE}; exit(3)")
    used, advice = finished.stderr.splitlines()
    assert finished.returncode == 3
    assert re.search(r"job/run used .* memory peak 1[01]\d MiB", used)
    assert "nothing to ask for yet: none has succeeded (from 1 run; why: stepsize report job)" in advice


@pytest.mark.parametrize(("name", "code"), [("./nosuch.sh", 127), ("/proc/self/stat", 126)])
def test_a_command_that_was_never_executed_is_no_run(environment: dict[str, str], name: str, code: int) -> None:
    """Why is said as a shell does, and nothing else; what comes later does not stand on it."""
    finished = _run(environment, "--flow", "job", "--", name)
    assert finished.returncode == code
    (said,) = finished.stderr.splitlines()
    assert said.startswith(f"stepsize: {name}: ")
    later = _run(environment, "--flow", "job", "--", sys.executable, "-c", ALLOCATE)
    assert "(from 1 run;" in later.stderr


def test_quiet_says_nothing(environment: dict[str, str]) -> None:
    """For scripts that compare output."""
    finished = _run(environment, "--quiet", "--", "true")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_points_that_went_to_an_endpoint_are_advised_on_where_the_lake_is(environment: dict[str, str]) -> None:
    """Used is known here; no lake is made where none is asked for."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    finished = _run({**environment, **endpoint}, "--flow", "job", "--", "true")
    assert finished.returncode == 0
    (used,) = finished.stderr.splitlines()
    assert "job/run used" in used
    assert not Path(environment["STEPSIZE_DATA"]).exists()
