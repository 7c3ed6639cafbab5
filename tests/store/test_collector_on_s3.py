"""A collector whose lake is in an object store: real processes, a real S3 server that is away at times."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from stepsize.collector import control
from stepsize.discovery import read_address
from stepsize.errors import LakeError
from stepsize.settings import Settings
from stepsize.store.objects import ObjectLake
from tests.collector.otlp import cpu_samples
from tests.collector.rollup_log import T0, attempt
from tests.collector.running import CONFIG, Place, RunningCollector, wait_for
from tests.places import short_directory
from tests.store.s3 import URL, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store.s3 import Server

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
pytest.importorskip("boto3", reason="no boto3 here: pip install 'stepsize[s3]'")
pytestmark = [pytest.mark.peers]
WITHOUT_BOTO3 = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "boto3" else found(name, *more)
"""


class StorePlace(Place):
    """A place whose lake is in the store."""

    @property
    def settings(self) -> Settings:
        return Settings.load({}, data=URL, state=self.home / "state", runtime=self.runtime)

    def environment(self, **more: str) -> dict[str, str]:
        state = {"STEPSIZE_STATE": str(self.home / "state"), "STEPSIZE_DATA": URL}
        return super().environment(**{**state, "STEPSIZE_CLOUD": "off", "STEPSIZE_AGENT_IDLE": "1", **more})

    def collect(self, config: str = CONFIG) -> RunningCollector:
        file = self.home / "config.yaml"
        file.write_text(config.replace("parquet: {}", f"parquet: {{directory: '{URL}'}}"))
        process = self.spawn("--config", str(file))
        assert process.stderr
        said = ""
        for line in map(bytes.decode, process.stderr):  # where the store is away it says so, perhaps before
            if f"lake in {URL}" in line:
                return RunningCollector(self, process, line)
            said += line
        raise AssertionError(said)

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stepsize", *arguments]
        environment = self.environment(**more)
        return subprocess.run(
            command, env=environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=90
        )


@pytest.fixture
def place(tmp_path: Path, server: tuple[Server, Any]) -> Iterator[StorePlace]:
    with short_directory() as runtime:
        made = StorePlace(tmp_path, runtime)
        try:
            yield made
        finally:
            made.close()


def post(collector: RunningCollector, task: str) -> None:
    request = attempt(task).gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0, 3.0]), unit="{cpu}")
    assert collector.post(request.end(T0, "ok").content())[0] == 200


def tasks() -> list[str]:
    """What a reader of the store sees."""
    try:
        with ObjectLake(URL).reading() as connection:
            return [task for (task,) in connection.execute("SELECT task FROM tasks ORDER BY task").fetchall()]
    except LakeError:  # nothing has come yet
        return []


def points() -> list[tuple[str, int]]:
    with ObjectLake(URL).reading() as connection:
        return connection.execute("SELECT task, count(*) FROM points GROUP BY task ORDER BY task").fetchall()


def uploading(collector: RunningCollector) -> psutil.Process | None:
    family = psutil.Process(collector.process.pid).children()
    return next((one for one in family if "stepsize.collector.uploads.process" in one.cmdline()), None)


def reading(place: StorePlace, name: str) -> float:
    found = control.metrics(place.settings, 10)
    assert found is not None
    return next(one.value for one in found if one.name == name)


def test_what_is_flushed_is_in_the_store(place: StorePlace) -> None:
    """A flush answers when readers of the store see everything; without one the store follows by itself."""
    collector = place.collect()
    post(collector, "1")
    collector.flush()
    assert tasks() == ["1"]
    assert points() == [("1", 3)]
    post(collector, "2")
    wait_for(lambda: tasks() == ["1", "2"], "a generation that comes by itself")
    assert reading(place, "stepsize_upload_files") >= 2
    assert reading(place, "stepsize_upload_bytes") > 0
    assert wait_for(lambda: reading(place, "stepsize_upload_lag") == 0, "nothing that waits")
    assert collector.terminate() == 0


def test_what_a_collector_has_taken_is_in_the_store_when_it_has_ended(place: StorePlace) -> None:
    """Stopping folds the log, and brings what came of it there."""
    collector = place.collect()
    post(collector, "1")
    assert collector.terminate() == 0
    assert tasks() == ["1"]


def test_a_store_that_is_away_loses_nothing(place: StorePlace, server: tuple[Server, Any]) -> None:
    """Requests are acknowledged, a flush is late, and what waits comes once the store is there; the log says both."""
    collector = place.collect()
    post(collector, "1")
    collector.flush()
    server[0].stop()
    post(collector, "2")
    assert control.flush(place.settings, 1.0) is control.Answer.LATE
    wait_for(lambda: reading(place, "stepsize_upload_failures") > 0, "an upload that fails")
    assert reading(place, "stepsize_upload_lag") > 0
    server[0].start()
    collector.flush()
    assert tasks() == ["1", "2"]
    assert collector.terminate() == 0
    assert collector.process.stderr
    said = collector.process.stderr.read().decode()
    assert "the upload failed, and is tried again" in said
    assert f"{URL} is there again" in said
    assert "secret" not in said


def test_an_upload_that_is_killed_is_started_again(place: StorePlace) -> None:
    """Nothing is lost or there twice."""
    collector = place.collect()
    for task in ("1", "2", "3"):
        post(collector, task)
        victim = wait_for(lambda: uploading(collector), "an upload")
        victim.kill()
        victim.wait(10)
        wait_for(lambda: uploading(collector), "another one")
    collector.flush()
    assert points() == [("1", 3), ("2", 3), ("3", 3)]
    assert reading(place, "stepsize_upload_restarts") >= 1


def test_a_collector_that_is_killed_goes_on(place: StorePlace) -> None:
    """With all its processes, at any moment: everything acknowledged is in the store once the next one has flushed."""
    for task in ("1", "2", "3"):
        collector = place.collect()
        family = psutil.Process(collector.process.pid).children(recursive=True)
        post(collector, task)
        for process in (collector.process, *family):
            process.send_signal(signal.SIGKILL)
        collector.process.wait()
        psutil.wait_procs(family, 10)
    place.collect().flush()
    assert points() == [("1", 3), ("2", 3), ("3", 3)]
    assert tasks() == ["1", "2", "3"]


def test_a_report_brings_what_a_killed_collector_has_left(place: StorePlace) -> None:
    """Nobody has to start it again: the lake of this machine is brought up before the store is read."""
    collector = place.collect()
    family = psutil.Process(collector.process.pid).children(recursive=True)
    post(collector, "1")
    for process in (collector.process, *family):
        process.send_signal(signal.SIGKILL)
    collector.process.wait()
    psutil.wait_procs(family, 10)
    report = place.command("report", "--format", "csv")
    assert (report.returncode, report.stderr) == (0, "")
    assert tasks() == ["1"]


def test_track_and_report_without_a_server(place: StorePlace) -> None:
    """`stepsize run`, then `stepsize report`: an agent's own collector brings what it measures to the store."""
    ran = place.command("run", "--flow", "F", "--step", "s", "--", sys.executable, "-c", "print(sum(range(10**6)))")
    assert ran.returncode == 0, ran.stderr
    report = place.command("report", "--format", "csv")
    assert (report.returncode, report.stderr) == (0, "")
    assert report.stdout.splitlines()[1].startswith("F,s,")
    assert len(tasks()) == 1
    wait_for(lambda: read_address(place.settings) is None, "the agent's end, and its collector's")


def test_erasure_reaches_the_store(place: StorePlace) -> None:
    """Done in the lake here, which the error of a command that is given the store names; readers see it gone."""
    collector = place.collect()
    post(collector, "1")
    collector.flush()
    refused = place.command("erase", "--flow", "TrainFlow")
    assert refused.returncode == 2
    assert str(place.settings.data) in refused.stderr
    erased = place.command("erase", "--flow", "TrainFlow", "--now", STEPSIZE_DATA=str(place.settings.data))
    assert erased.returncode == 0, erased.stderr
    wait_for(lambda: not tasks(), "rows that are gone")
    assert points() == []


def test_a_collector_that_can_never_upload_does_not_start(place: StorePlace, server: tuple[Server, Any]) -> None:
    """Without boto3, or with a profile that is not there, it ends with one line; a store that is away it waits for."""
    patch = place.home / "patch"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(WITHOUT_BOTO3)
    config = place.home / "config.yaml"
    config.write_text(CONFIG)
    for said, more in (
        ("pip install 'stepsize[s3]'", {"PYTHONPATH": str(patch)}),
        ("nobody", {"AWS_PROFILE": "nobody"}),
    ):
        failed = place.command("collect", "--config", str(config), "--data", URL, **more)
        assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1), failed.stderr
        assert said in failed.stderr
    server[0].stop()
    collector = place.collect()
    server[0].start()
    post(collector, "1")
    collector.flush()
    assert tasks() == ["1"]


def test_two_collectors_bring_their_lakes_to_one_store(tmp_path: Path, server: tuple[Server, Any]) -> None:
    """Each has a state directory of its own; readers see both."""
    assert names(server[1]) == []
    with short_directory() as one, short_directory() as other:
        places = [StorePlace(tmp_path / name, runtime) for name, runtime in (("a", one), ("b", other))]
        try:
            for place, task in zip(places, ("1", "2"), strict=True):
                place.home.mkdir()
                collector = place.collect()
                post(collector, task)
                collector.flush()
            assert tasks() == ["1", "2"]
        finally:
            for place in places:
                place.close()
