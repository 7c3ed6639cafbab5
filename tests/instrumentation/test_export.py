"""How points leave: over OpenTelemetry's exporters, to an endpoint or the data directory's collector, or not at all."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from stepsize import discovery
from stepsize.discovery import CollectorAddress
from stepsize.instrumentation import client
from stepsize.instrumentation.agent.embedded import EmbeddedCollector
from stepsize.settings import Settings
from tests.instrumentation.conftest import is_running, status, wait_until
from tests.instrumentation.receiver import grpc_receiver, http_receiver, unix_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.instrumentation.conftest import Place
    from tests.instrumentation.receiver import Receiver

TOKEN = "a token of the test's own"


def test_points_leave_over_grpc(place: Place) -> None:
    """With the protocol set to grpc a gRPC server has the task's points, sums with their start."""
    with grpc_receiver() as receiver:
        settings = place.settings(endpoint=receiver.endpoint, protocol="grpc")
        place.run(settings, "grpc", "time.sleep(0.5)")
        end = receiver.end("grpc")
        assert end.attributes["stepsize.outcome"] == "ok"
        assert all(p.start_unix_nano > 0 for p in receiver.of("stepsize.task.cpu.time", "grpc"))
        assert all(p.start_unix_nano == 0 for p in receiver.of("stepsize.task.memory.usage", "grpc"))


def test_points_leave_over_http_with_the_headers_that_were_set(place: Place, settings: Settings) -> None:
    """The exporters read `OTEL_EXPORTER_OTLP_*` themselves: headers, compression, the path of the signal."""
    with http_receiver() as receiver:
        settings = place.settings(endpoint=receiver.endpoint)
        more = {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        place.run(settings, "http", "", env=more)
        receiver.end("http")
        assert receiver.headers["x-tenant"] == "blue"
        assert receiver.headers["content-encoding"] == "gzip"
        assert receiver.headers["path"] == "/v1/metrics"


def test_the_metrics_endpoint_goes_before_the_general_one(place: Place, receiver: Receiver) -> None:
    """`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` is used as it is."""
    settings = place.settings(endpoint="http://127.0.0.1:9", metrics_endpoint=f"{receiver.endpoint}/custom")
    place.run(settings, "metrics", "")
    receiver.end("metrics")
    assert receiver.headers["path"] == "/custom"


def test_a_collector_that_hangs_does_not_delay_samples(place: Place, settings: Settings, receiver: Receiver) -> None:
    """While an export waits for its answer, samples go on being taken at their times."""
    receiver.answering.clear()
    place.run(settings, "hang", "time.sleep(1.5)")
    assert receiver.points == []
    receiver.answering.set()
    receiver.end("hang")
    times = sorted(p.time_unix_nano for p in receiver.of("stepsize.task.memory.usage", "hang"))
    assert len(times) >= 5
    assert max(b - a for a, b in pairwise(times)) < 1.0e9


def test_what_is_refused_for_good_does_not_hold_up_the_rest(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """A request that the collector calls wrong is dropped and counted; what comes after it arrives."""
    receiver.status = 400
    place.run(settings, "refused", "")
    wait_until(lambda: (found := status(settings)) and found.dropped_points and not found.unsent_points)
    receiver.status = 200
    place.run(settings, "after", "")
    receiver.end("after")
    assert not receiver.of("stepsize.task.end", "refused")


def test_the_agents_of_two_destinations_tell_of_their_host_apart(place: Place, receiver: Receiver) -> None:
    """By `service.instance.id` on the host's resource, of the agent as long as it is one; attempts keep their own."""
    told: list[set[str]] = []
    with http_receiver() as other:
        for one, runs in ((receiver, ("1", "2")), (other, ("3",))):
            settings = place.settings(endpoint=one.endpoint)
            for run in runs:
                place.run(settings, run, "time.sleep(1)")  # some samples of the host
                one.end(run)
                wait_until(lambda one=one: one.of("system.memory.limit"))
            told.append({point.resource["service.instance.id"] for point in one.of("system.memory.limit")})
            assert not told[-1] & {point.resource["service.instance.id"] for point in one.of("stepsize.task.end")}
    assert [len(instances) for instances in told] == [1, 1]
    assert told[0] != told[1]


def test_points_carry_flow_run_and_step_where_asked_to(place: Place, receiver: Receiver) -> None:
    """`STEPSIZE_POINT_ATTRIBUTES` copies them from the resource, for backends that drop resources."""
    settings = place.settings(endpoint=receiver.endpoint, point_attributes=True)
    place.run(settings, "copied", "")
    wanted = {"flow": "Flow", "run": "1", "step": "step", "stepsize.outcome": "ok"}
    assert wanted.items() <= receiver.end("copied").attributes.items()


def test_without_an_endpoint_the_collector_of_the_data_directory_gets_the_points(place: Place) -> None:
    """It is found by its address file and spoken to over its socket, with its token; no proxy comes between."""
    settings = place.settings()
    path = place.runtime / "collector.sock"
    settings.data.mkdir()
    with unix_receiver(path) as receiver:
        discovery.write_address(
            settings, CollectorAddress(os.getpid(), discovery.machine_id(), str(path), TOKEN, embedded=False)
        )
        place.run(settings, "local", "", env={"http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"})
        receiver.end("local")
        assert receiver.headers["authorization"] == f"Bearer {TOKEN}"
        assert receiver.headers["path"] == "/v1/metrics"


def test_a_collector_that_took_over_gets_the_next_points(place: Place) -> None:
    """When the address file names another socket, the agent follows it."""
    settings = place.settings()
    settings.data.mkdir()
    for name in ("one", "two"):
        path = place.runtime / f"{name}.sock"
        with unix_receiver(path) as receiver:
            address = CollectorAddress(os.getpid(), discovery.machine_id(), str(path), name, embedded=False)
            discovery.write_address(settings, address)
            place.run(settings, name, "")
            receiver.end(name)
            assert receiver.headers["authorization"] == f"Bearer {name}"


COLLECTOR = """
import argparse, os, sys, threading
from pathlib import Path
from tests.instrumentation.receiver import unix_receiver
from stepsize import discovery
from stepsize.settings import Settings
parser = argparse.ArgumentParser()
parser.add_argument("--data")
settings = Settings.load(data=Path(parser.parse_args().data))
settings.data.mkdir(parents=True, exist_ok=True)
path = settings.runtime / f"collector-{os.getpid()}.sock"
with unix_receiver(path):
    address = discovery.CollectorAddress(os.getpid(), discovery.machine_id(), str(path), "t", True)
    discovery.write_address(settings, address)
    print("starting", flush=True)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def collector(place: Place) -> Path:
    """A program that behaves as ``stepsize collect --embedded`` does: serves until its standard input closes."""
    script = place.home / "collector.py"
    script.write_text(COLLECTOR)
    return script


def _embedded(place: Place, settings: Settings, script: Path, pids: list[int]) -> EmbeddedCollector:
    command = (sys.executable, str(script))
    return EmbeddedCollector(settings, place.runtime / "collector.log", pids.append, command)


def test_an_embedded_collector_is_started_once_and_ends_with_its_owner(
    place: Place, collector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ready when `start` returns, is not started again while it runs, and goes when its input closes."""
    monkeypatch.setenv("PYTHONPATH", str(place.root))
    settings, pids = place.settings(), []
    embedded = _embedded(place, settings, collector, pids)
    assert embedded.start()
    assert embedded.start()
    assert discovery.read_address(settings).pid == pids[0]
    assert len(pids) == 1
    embedded.close()
    wait_until(lambda: not is_running(pids[0]))


def test_an_embedded_collector_that_cannot_start_is_not_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that ends before it is ready is a failure at once, and what it said is in the file."""
    script = place.home / "broken.py"
    script.write_text("raise SystemExit('the disk is full')")
    monkeypatch.setenv("PYTHONPATH", str(place.root))
    embedded = _embedded(place, place.settings(), script, [])
    assert not embedded.start()
    assert "the disk is full" in (place.runtime / "collector.log").read_text()


def test_the_agent_says_nothing_but_in_its_bounded_log(place: Place) -> None:
    """A collector that is down is mentioned in the file beside the socket, which stays small."""
    environment = place.environment(place.settings(endpoint="http://127.0.0.1:9"), OTEL_EXPORTER_OTLP_TIMEOUT="1")
    settings = Settings.load(environment)
    place.run(settings, "log", "", env=environment)
    assert not client.flush(settings, 2.0)
    log = discovery.agent_socket(settings).with_suffix(".log")
    wait_until(log.exists)
    assert 0 < log.stat().st_size < 300_000
    assert log.stat().st_mode & 0o077 == 0


def test_one_agent_tells_the_attributes_of_two_users_apart(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """What the environment of one task says is said of no other that the same agent serves."""
    for name in ("a", "b"):
        place.run(settings, name, "pass", env={"OTEL_RESOURCE_ATTRIBUTES": f"team={name}"})
    assert [receiver.end(name).resource["team"] for name in ("a", "b")] == ["a", "b"]
    assert all("team" not in point.resource for point in receiver.of("system.cpu.logical.count"))


def test_nobodys_points_go_out_with_somebody_elses_headers(
    place: Place, settings: Settings, receiver: Receiver
) -> None:
    """Other credentials for the same endpoint are another agent's."""
    for name in ("a", "b"):
        place.run(settings, name, "pass", env={"OTEL_EXPORTER_OTLP_HEADERS": f"x-tenant={name}"})
        receiver.end(name)
        receiver.wait(lambda tenant=name: receiver.headers["x-tenant"] == tenant)
