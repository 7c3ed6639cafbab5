"""What `stepsize doctor` says of a collector, its directories and what waits, each fault being there for real."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector import control
from stepsize.collector.drain import drain
from stepsize.commands.checks.agent import check_agent
from stepsize.commands.checks.collector import check_collector
from stepsize.commands.checks.directories import check_directories
from stepsize.commands.checks.environment import check_environment
from stepsize.commands.checks.finding import Finding, Level
from stepsize.commands.checks.lake import check_lake
from stepsize.commands.settle import settle
from stepsize.instrumentation.agent.account import account_of
from stepsize.instrumentation.agent.delivery import Request
from stepsize.instrumentation.agent.label import Label
from stepsize.instrumentation.agent.spool import Spool
from stepsize.instrumentation.agent.spools import directory_of
from stepsize.settings import Settings
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, Place, post_to_socket, wait_for
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.collector.running import RunningCollector


def of(found: list[Finding], level: Level) -> list[str]:
    assert all(one.remedy for one in found if one.level is Level.FAULT), found
    return [one.said for one in found if one.level is level]


def post(collector: RunningCollector, ahead_s: float = 0.0) -> None:
    moment = time.time_ns() + int(ahead_s * 1e9)
    request = RequestBuilder(identity()).gauge("stepsize.task.memory.usage", [(moment, 1)])
    assert collector.post(request.content())[0] == 200


def value(place: Place, name: str) -> float:
    readings = control.metrics(place.settings, DEADLINE_S)
    assert readings is not None
    return sum(one.value for one in readings if one.name == name)


def test_a_configuration_that_was_not_read_again(place: Place) -> None:
    """Who edits the file and forgets the reload is told; where it was reloaded and refused, that is a fault."""
    collector = place.collect()
    file = place.home / "config.yaml"
    assert of(check_collector(place.settings), Level.NOTE) == []
    content = file.read_text()
    loaded_unix_s = value(place, "stepsize_config_loaded_time")
    file.write_text(content + "receivrs: {}\n")
    assert of(check_collector(place.settings), Level.NOTE) == [f"{file} has changed since it was read"]
    collector.process.send_signal(signal.SIGHUP)
    wait_for(lambda: value(place, "stepsize_config_refused_reloads"), "a reload that is refused")
    (refused,) = of(check_collector(place.settings), Level.FAULT)
    assert refused == f"{file} has changed, was read again and refused: the one before goes on"
    file.write_text(content)
    collector.process.send_signal(signal.SIGHUP)
    wait_for(lambda: value(place, "stepsize_config_loaded_time") > loaded_unix_s, "a reload")
    assert of(check_collector(place.settings), Level.FAULT) == []


def test_a_sink_that_ends_again_and_again(place: Place) -> None:
    """Once is an accident of which nobody has to know; three times are a fault."""
    collector = place.collect()
    restarts: list[float] = [0]
    while restarts[-1] < 3:
        assert of(check_collector(place.settings), Level.FAULT) == []
        collector.sink().kill()
        wait_for(lambda: value(place, "stepsize_sink_restarts") > restarts[-1], "another sink")
        restarts.append(value(place, "stepsize_sink_restarts"))
    assert of(check_collector(place.settings), Level.FAULT) == ["its sink had to be started again 3 times"]


def test_what_it_refused(place: Place) -> None:
    """Which bounds its senders break is told by name."""
    collector = place.collect()
    assert collector.post(b"\xff")[0] == 400
    (note,) = of(check_collector(place.settings), Level.NOTE)
    assert note.endswith("by the bound that they broke: invalid 1")


def test_another_version(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector of another version than the command's is named with both."""
    place.collect()
    monkeypatch.setattr("stepsize.commands.checks.collector.__version__", "99.0")
    (note,) = of(check_collector(place.settings), Level.NOTE)
    assert note.startswith("it is stepsize 0.")
    assert note.endswith("and this command is 99.0")


def test_a_collector_that_hangs(place: Place) -> None:
    """One that was stopped takes connections, since the kernel does, and answers nobody."""
    collector = place.collect()
    collector.process.send_signal(signal.SIGSTOP)
    (fault,) = of(check_collector(place.settings), Level.FAULT)
    assert fault == f"pid {collector.process.pid} takes connections and does not answer within 2 s"


def test_a_log_that_nobody_has_read(place: Place) -> None:
    """What a killed collector acknowledged and did not store is told in bytes, and taken in by the next report."""
    collector = place.collect()
    sink = collector.sink()
    sink.send_signal(signal.SIGSTOP)
    post(collector)
    collector.process.kill()
    collector.process.wait()
    gone, left = of(check_collector(place.settings), Level.NOTE)
    assert gone.endswith("is gone without a word")
    assert left.endswith(f"bytes of requests in {place.settings.state_dir} are not in the lake yet")
    sink.kill()


def test_clocks(place: Place) -> None:
    """A host whose points are of the future has a clock that is ahead."""
    collector = place.collect()
    post(collector)
    collector.flush()
    assert of(check_lake(place.settings), Level.NOTE) == []
    post(collector, ahead_s=90)
    collector.flush()
    (note,) = of(check_lake(place.settings), Level.NOTE)
    assert "s ahead of the collector's" in note


def test_two_lakes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where STEPSIZE_DATA is set in one place and left away in another, there are two lakes; the other one is named."""
    monkeypatch.setenv("HOME", str(place.home))
    usual = place.settings._replace(data=place.home / ".stepsize")
    assert not any("another lake" in line for line in of(check_lake(usual), Level.NOTE))
    process = place.spawn("--embedded", "--data", str(usual.data), stdin=-1)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    request = RequestBuilder(identity()).gauge("stepsize.task.memory.usage", [(time.time_ns(), 1)])
    assert post_to_socket(usual, "/v1/metrics", request.content())[0] == 200
    assert control.flush(usual, DEADLINE_S) is control.Answer.DONE
    note = of(check_lake(place.settings), Level.NOTE)[-1]
    assert note.startswith(f"there is another lake in {usual.data}")
    assert of(check_lake(usual), Level.NOTE) == []


@pytest.mark.parametrize(
    ("variable", "what"),
    [("STEPSIZE_DATA", "the lake"), ("STEPSIZE_STATE", "the write-ahead log"), ("STEPSIZE_SPOOL", "points that wait")],
)
def test_directories_that_cannot_be_made(tmp_path: Path, variable: str, what: str) -> None:
    """A file in the way is a fault that names the directory, the file and the variable, before anything is lost."""
    (tmp_path / "file").write_text("")
    environ = {"HOME": str(tmp_path), "STEPSIZE_DATA": str(tmp_path / "lake"), variable: str(tmp_path / "file/x")}
    (fault,) = check_directories(Settings.load(environ))
    assert fault.level is Level.FAULT
    assert fault.said == f"{tmp_path}/file/x for {what} cannot be made: {tmp_path}/file is no directory"
    assert variable in fault.remedy
    assert not (tmp_path / "lake").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no such file system")
def test_a_disk_without_room(tmp_path: Path) -> None:
    """A file system without room, or which this user may not write to, is a fault before a task needs it."""
    settings = Settings.load({"STEPSIZE_DATA": str(tmp_path / "lake"), "STEPSIZE_STATE": "/proc/wal"})
    (fault,) = of(check_directories(settings), Level.FAULT)
    assert fault.startswith(("0 MiB are free for /proc/wal", "/proc/wal for the write-ahead log cannot be made"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directories_without_permission(tmp_path: Path) -> None:
    """A directory that this user cannot write to is a fault."""
    tmp_path.chmod(0o500)
    (fault,) = check_directories(Settings.load({"STEPSIZE_DATA": str(tmp_path / "lake")}))
    tmp_path.chmod(0o700)
    assert "cannot be written to by this user" in fault.said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_others(tmp_path: Path) -> None:
    """Who ran a command as root once has left files that the lake's owner cannot change: found before they matter."""
    lake = tmp_path / "lake"
    (lake / "points").mkdir(parents=True, mode=0o700)
    lake.chmod(0o700)
    settings = Settings.load({"STEPSIZE_DATA": str(lake)})
    assert check_directories(settings) == []
    (lake / "points/day=2026-01-01").mkdir()
    os.chown(lake / "points/day=2026-01-01", 12345, -1)
    (fault,) = of(check_directories(settings), Level.FAULT)
    assert fault == f"1 files in {lake} belong to others than root, {lake}/points/day=2026-01-01 first"
    os.chown(lake, 12345, -1)
    (note,) = of(check_directories(settings), Level.NOTE)
    assert note == f"{lake} belongs to user 12345, and this is root"


def as_another_user(what: Callable[[], Any]) -> Any:
    """What a function says in a process of another user, who has imported what it needs."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(12345)
        os.setuid(12345)
        with contextlib.suppress(BaseException):
            os.write(writing, pickle.dumps(what()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return pickle.loads(said)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_the_lake_of_another_user() -> None:
    """Who may not read it is told so in one line, by the doctor and by a command that reads, and by no traceback."""
    with short_directory() as runtime, short_directory() as home:
        home.chmod(0o711)
        place = Place(home, runtime)
        place.collect().terminate()
        _judge(place.settings._replace(runtime=runtime / "theirs"))


def _judge(settings: Settings) -> None:
    checks = check_directories, check_lake, check_collector
    (fault,) = as_another_user(lambda: [finding for check in checks for finding in check(settings)])
    assert fault.level is Level.FAULT
    assert fault.said == f"{settings.data} for the lake cannot be read and written by this user"
    assert drain  # imported here, since the other user may not
    line = as_another_user(lambda: settle(settings, 1.0)[-1])
    assert line == f"cannot read {settings.data}/wal: Permission denied; the newest tasks may be missing"


def spooled(settings: Settings, environ: dict[str, str], **label: object) -> Path:
    """The directory of a spool with one request of seven points in it."""
    account = account_of(settings, environ)
    said = replace(Label(account.digest, account.destination, account.headers), **label)  # type: ignore[arg-type]  # its fields
    spool = Spool(directory_of(settings), 1 << 20, label=said, now_unix_s=lambda: time.time() - 7200)
    spool.add(Request(b"x" * 2000, 7))
    return directory_of(settings)


def test_what_waits(place: Place) -> None:
    """Every spool is told with its destination, what is in it and why it waits; a token that is refused is a fault."""
    base = {"STEPSIZE_DATA": str(place.settings.data), "STEPSIZE_RUNTIME": str(place.runtime)}
    elsewhere = {**base, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://other.example:4318"}
    barred = {
        **base,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://here.example:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=s3cret",
    }
    other = spooled(Settings.load(elsewhere), elsewhere, reason="Connection refused")
    refused = spooled(Settings.load(barred), barred, barred=True, reason="HTTP 401")
    found = check_agent(Settings.load(base), base)
    (note,) = of(found, Level.NOTE)
    assert note.startswith("7 points (")
    assert f", the oldest of 2 h ago) wait in {other} for http://other.example:4318 to take it" in note
    (fault,) = of(found, Level.FAULT)
    assert f"{refused} for credentials that http://here.example:4318 accepts (HTTP 401)" in fault
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("name", "text", "remedy"),
    [
        ("STEPSZE", "1", "did you mean STEPSIZE?"),
        ("stepsize_data", "/x", "did you mean STEPSIZE_DATA?"),
        ("STEPSIZE_INTERVALL", "1", "did you mean STEPSIZE_INTERVAL?"),
        ("OTEL_EXPORTER_OTLP_HEADER", "a=b", "did you mean OTEL_EXPORTER_OTLP_HEADERS?"),
        ("OTEL_EXPORTER_OLTP_ENDPOINT", "http://h", "did you mean OTEL_EXPORTER_OTLP_ENDPOINT?"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "write grpc, http/protobuf or http/json"),
    ],
)
def test_what_is_nearly_right(tmp_path: Path, name: str, text: str, remedy: str) -> None:
    """A variable without effect is named, and the one that was meant."""
    settings, found = check_environment({"HOME": str(tmp_path), name: text}, None)
    assert settings is not None
    (note,) = [one for one in found if one.level is Level.NOTE]
    assert note.said.startswith(name)
    assert note.remedy == remedy


@pytest.mark.parametrize(
    "name",
    [
        *("STEPS", "STEPSIZE_LISTEN", "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER", "STEPSIZE"),
        *("STEPSIZE_COLLECTOR_SERVICE_HOST", "STEPSIZE_COLLECTOR_PORT_4317_TCP_ADDR", "STEPSIZE_COLLECTOR_PORT"),
    ],
)
def test_what_is_somebody_elses(tmp_path: Path, name: str) -> None:
    """Variables of others, and those that mean something, are nobody's mistake."""
    _, found = check_environment({"HOME": str(tmp_path), name: "1"}, None)
    assert [one for one in found if one.level is not Level.WELL] == []
