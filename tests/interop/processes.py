"""Peers that serve: started on the loopback for a test, and ended with it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

from tests.collector.running import DEADLINE_S, wait_for
from tests.interop.peers import OTELCOL, ROTEL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import Place


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def otelcol(place: Place, exporters: dict[str, Any], **more: Any) -> Iterator[str]:
    """The OpenTelemetry Collector: takes OTLP over HTTP at the address that it yields, hands it to ``exporters``.

    Args:
        more: sections of its configuration besides.
    """
    address = f"127.0.0.1:{free_port()}"
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": address}}}},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": list(exporters)}},
        },
        **more,
    }
    file = place.home / "otelcol.yaml"
    file.write_text(json.dumps(config))  # which is YAML
    with _process([OTELCOL.path, "--config", file], place, address):
        yield address


@contextlib.contextmanager
def rotel(place: Place, *options: str) -> Iterator[str]:
    """rotel: takes OTLP over HTTP at the address that it yields, hands it to its OTLP exporter."""
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [ROTEL.path, "start", "--otlp-http-endpoint", address]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}", "--exporter", "otlp", *options]
    with _process(command, place, address):
        yield address


@contextlib.contextmanager
def _process(command: list[str | Path], place: Place, address: str) -> Iterator[None]:
    """A process, once it listens; ended by SIGTERM, so that it sends what it still has."""
    log = place.home / f"{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=place.environment(), cwd=place.home
        )
        try:
            wait_for(lambda: process.poll() is not None or _listens(address), f"{command[0]} listens")
            assert process.poll() is None, log.read_text(errors="replace")
            yield
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False
