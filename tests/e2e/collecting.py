"""A real ``stepsize collect`` on free ports, for flows that send over the network."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Workplace

CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  parquet: {{directory: "{data}"}}
service:
  pipelines:
    metrics: {{receivers: [otlp], exporters: [parquet]}}
"""


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@contextlib.contextmanager
def collector(workplace: Workplace, ports: tuple[int, int] | None = None) -> Iterator[dict[str, str]]:
    """`stepsize collect` on two free ports; yields its endpoints by protocol once it serves."""
    grpc, http = ports or free_ports()
    config = workplace.directory / "otel-config.yaml"
    config.write_text(CONFIG.format(grpc=grpc, http=http, data=workplace.data))
    with subprocess.Popen(
        [sys.executable, "-m", "stepsize", "collect", "--config", str(config)],
        env=workplace.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert str(http) in said, said
        try:
            over_http = f"http://127.0.0.1:{http}"
            yield {"grpc": f"http://127.0.0.1:{grpc}", "http/protobuf": over_http, "http/json": over_http}
        finally:
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
    assert process.returncode == 0, rest
