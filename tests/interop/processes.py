"""Peers that serve: started on the loopback for a test, and ended with it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.collector.running import DEADLINE_S, wait_for
from tests.interop.peers import OTELCOL, ROTEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector

PROTOBUF = "application/x-protobuf"


def free_address() -> str:
    """A port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def hand_over(address: str, message: Any) -> None:
    """Send a request to a relay's HTTP address."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/metrics", message.SerializeToString(), {"content-type": PROTOBUF})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()


@dataclass(frozen=True)
class Addresses:
    """Where a collector takes OTLP."""

    grpc: str = field(default_factory=free_address)
    http: str = field(default_factory=free_address)


@contextlib.contextmanager
def otelcol(
    place: Place,
    exporters: dict[str, Any],
    relay: Addresses | None = None,
    *,
    tls: dict[str, str] | None = None,
    batch: dict[str, Any] | None = None,
) -> Iterator[Addresses]:
    """The OpenTelemetry Collector, which hands what it takes to ``exporters``.

    Args:
        relay: where it listens, if that matters.
        tls: of its receiver; None for none.
        batch: settings of a batch processor; None for none.
    """
    relay = relay or Addresses()
    said = {} if tls is None else {"tls": tls}
    protocols = {"grpc": {"endpoint": relay.grpc, **said}, "http": {"endpoint": relay.http, **said}}
    config = {
        "receivers": {"otlp": {"protocols": protocols}},
        "processors": {} if batch is None else {"batch": batch},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "metrics": {
                    "receivers": ["otlp"],
                    "processors": [] if batch is None else ["batch"],
                    "exporters": list(exporters),
                }
            },
        },
    }
    file = place.home / "otelcol.yaml"
    file.write_text(json.dumps(config))  # which is YAML
    with _process([OTELCOL.path, "--config", file], place, relay):
        yield relay


def collect_at(place: Place, ours: Addresses, *processors: str) -> RunningCollector:
    """A collector of ours that listens where it is told to; with ``memory_limiter`` it refuses whatever comes."""
    return place.collect(_config(ours, processors))


def relent(collector: RunningCollector, ours: Addresses) -> None:
    """Have a collector that refuses whatever comes take it from now on."""
    (collector.place.home / "config.yaml").write_text(_config(ours, ()))
    collector.process.send_signal(signal.SIGHUP)


def _config(ours: Addresses, processors: tuple[str, ...]) -> str:
    protocols = {"grpc": {"endpoint": ours.grpc}, "http": {"endpoint": ours.http}}
    pipeline = {"receivers": ["otlp"], "processors": list(processors), "exporters": ["parquet"]}
    config = {
        "receivers": {"otlp": {"protocols": protocols}},
        "processors": {"memory_limiter": {"limit_mib": 2, "spike_limit_mib": 1}},
        "exporters": {"parquet": {}},
        "service": {"pipelines": {"metrics": pipeline}},
    }
    return json.dumps(config)  # which is YAML


@contextlib.contextmanager
def rotel(place: Place, *options: str) -> Iterator[Addresses]:
    """rotel, which hands what it takes to its OTLP exporter."""
    relay = Addresses()
    command: list[str | Path] = [ROTEL.path, "start", "--exporter", "otlp", *options]
    command += ["--otlp-http-endpoint", relay.http, "--otlp-grpc-endpoint", relay.grpc]
    with _process(command, place, relay):
        yield relay


@contextlib.contextmanager
def _process(command: list[str | Path], place: Place, relay: Addresses) -> Iterator[None]:
    """A process, once it listens; ended by SIGTERM, so that it sends what it still has."""
    log = place.home / f"{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=place.environment(), cwd=place.home
        )
        try:
            wait_for(lambda: process.poll() is not None or _serves(relay), f"{command[0]} serves")
            assert process.poll() is None, log.read_text(errors="replace")
            yield
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _serves(relay: Addresses) -> bool:
    return _listens(relay.grpc) and _listens(relay.http)


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False
