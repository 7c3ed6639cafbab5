"""What `stepsize doctor` finds, in places that are well and in places that are not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from stepsize.store.manifest import read_manifests
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import Place, RunningCollector

if TYPE_CHECKING:
    pass

TIMEOUT_S = 60


def doctor(place: Place, *arguments: str, **variables: str) -> tuple[int, list[dict[str, str]]]:
    """Its exit code and findings."""
    command = [sys.executable, "-m", "stepsize", "doctor", "--format", "json", "--data", str(place.settings.data)]
    run = subprocess.run(
        [*command, *arguments],
        env=place.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert not run.stderr, run.stderr
    return run.returncode, json.loads(run.stdout)


def said(found: list[dict[str, str]], part: str, level: str) -> list[str]:
    return [one["said"] for one in found if one["part"] == part and one["level"] == level]


def stored(place: Place) -> RunningCollector:
    """A collector whose lake holds a point."""
    collector = place.collect()
    request = RequestBuilder(identity()).gauge("stepsize.task.memory.usage", [(time.time_ns(), 1)])
    assert collector.post(request.content())[0] == 200
    collector.flush()
    return collector


def test_a_machine_on_which_nothing_was_run_yet_is_well(place: Place) -> None:
    """Nothing is there and nothing is wrong: no directory is made, and the exit code says so."""
    code, found = doctor(place)
    assert code == 0, found
    assert said(found, "lake", "note") == [f"nothing in {place.settings.data} yet"]
    assert not place.settings.data.exists()


def test_a_collector_that_serves_and_its_lake_are_well(place: Place) -> None:
    """Who serves the directory, and how much is in it; over the network it takes metrics."""
    collector = stored(place)
    for protocol, address in (
        ("http/protobuf", collector.http),
        ("http/json", collector.http),
        ("grpc", collector.grpc),
    ):
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        code, found = doctor(place, **endpoint)
        assert code == 0, found
        assert said(found, "endpoint", "ok") == [f"http://{address} takes metrics over {protocol}"]
        assert any("1 attempts" in line for line in said(found, "lake", "ok"))
        assert any(f"pid {collector.process.pid} serves" in line for line in said(found, "collector", "ok"))


def test_a_collector_that_was_killed_is_noted(place: Place) -> None:
    """What it left is taken up by the next one: nothing is wrong."""
    collector = stored(place)
    collector.process.kill()
    collector.process.wait()
    code, found = doctor(place)
    assert code == 0, found
    assert said(found, "collector", "note")


@pytest.mark.parametrize(
    ("variables", "part", "words"),
    [
        ({"STEPSIZE_INTERVAL": "never"}, "settings", "STEPSIZE_INTERVAL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "endpoint", "http://127.0.0.1:9 does not take metrics"),
        ({"STEPSIZE_RUNTIME": "/dev/null"}, "host", "no place for sockets"),
    ],
)
def test_what_cannot_work_is_a_fault(place: Place, variables: dict[str, str], part: str, words: str) -> None:
    """Exit code 1, one line about it and what to do."""
    code, found = doctor(place, **variables)
    assert code == 1
    (fault,) = [one for one in found if one["part"] == part and one["level"] == "fault"]
    assert words in fault["said"]
    assert fault["remedy"]


def test_a_name_that_means_nothing_is_noted(place: Place) -> None:
    """A misspelt variable would be silently without effect."""
    code, found = doctor(place, STEPSIZE_INTERVALL="3")
    assert code == 0
    (note,) = [one for one in found if one["level"] == "note" and one["part"] == "settings"]
    assert note["remedy"] == "did you mean STEPSIZE_INTERVAL?"


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_a_file_of_the_lake_that_is_not_what_was_written_is_a_fault(place: Place, damage: str) -> None:
    """Somebody removed it, or a disk lost its end."""
    stored(place).terminate()
    (manifest,) = read_manifests(place.settings.data)
    file = place.settings.data / next(one.path for one in manifest.files if one.table == "points")
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    code, found = doctor(place)
    assert code == 1
    assert any("not as they were written" in line for line in said(found, "lake", "fault"))


def test_a_directory_that_others_may_write_to_is_a_fault(place: Place) -> None:
    """Whoever may put files there may have people's reports say anything."""
    stored(place).terminate()
    place.settings.data.chmod(0o777)
    code, found = doctor(place)
    assert code == 1
    assert said(found, "directory", "fault") == [f"others may write to {place.settings.data}"]


def test_metaflow_is_said_to_be_tracked_where_it_is(place: Place) -> None:
    """With STEPSIZE=1 every step is; without, none that does not say so."""
    _, off = doctor(place)
    _, on = doctor(place, STEPSIZE="1")
    assert any("no step is tracked" in line for line in said(off, "metaflow", "note"))
    assert any("every step of every flow is tracked" in line for line in said(on, "metaflow", "ok"))


def test_without_a_format_it_is_for_people(place: Place) -> None:
    """A line for each finding, the remedy below it."""
    command = [sys.executable, "-m", "stepsize", "doctor", "--data", str(place.settings.data)]
    run = subprocess.run(
        command, env=place.environment(), capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    lines = run.stdout.splitlines()
    assert any(line.startswith("ok") and "sockets in" in line for line in lines)
    assert any("→ run a flow with STEPSIZE=1" in line for line in lines)
