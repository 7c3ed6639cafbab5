"""Collectors that benchmarks measure: ours, and the OpenTelemetry Collector with its file exporter.

What comes in: a directory. What goes out: a running collector of either kind, what it has used so far, and a wait for
all that it has acknowledged to be in its files. Loopback only; ended by the id of the process that was started.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.environment import clean_environment
from stepsize.collector import control
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTELCOL = Path(__file__).resolve().parent.parent / ".peers" / "otelcol" / "otelcol"
"""Built by `make test-peers` where Go is there."""
_DEADLINE_S = 120.0
_LATEST_S = 900.0
_SETTLED_S = 2.0


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the start, and the highest memory (VmHWM, MiB), of the part that receives and of the other."""

    ingest_cpu_s: float
    sink_cpu_s: float
    ingest_mib: float
    sink_mib: float

    @property
    def cpu_s(self) -> float:
        """Of both."""
        return self.ingest_cpu_s + self.sink_cpu_s


@dataclass(frozen=True, slots=True)
class Running:
    """A collector that serves.

    Attributes:
        http, grpc: its addresses.
        usage: what it has used so far.
        settle: returns when everything it has acknowledged is in its files.
        stored: points and bytes in its files.
    """

    http: str
    grpc: str
    usage: Callable[[], Usage]
    settle: Callable[[], None]
    stored: Callable[[], tuple[int, int]]


@contextlib.contextmanager
def stepsize(directory: Path) -> Iterator[Running]:
    """Our collector, on a lake in ``directory``."""
    environment = clean_environment(directory, 1.0)
    settings = Settings.load({}, data=directory / "lake", runtime=directory / "run")
    config = {
        "receivers": {"otlp": {"protocols": {name: {"endpoint": "127.0.0.1:0"} for name in ("grpc", "http")}}},
        "exporters": {"parquet": {}},
        "service": {"pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["parquet"]}}},
    }
    file = directory / "config.yaml"
    file.write_text(json.dumps(config))  # which is YAML
    command = [sys.executable, "-m", "stepsize", "collect", "--config", str(file), "--data", str(settings.data)]
    with _process(command, directory, environment) as process:
        said = _wait(lambda: _said(directory, "lake in"), "the collector serves")
        grpc, http = (re.search(rf"{name} on ([\d.:]+)", said) for name in ("gRPC", "HTTP"))
        assert grpc, said
        assert http, said
        main = psutil.Process(process.pid)
        sink = _wait(lambda: next(iter(main.children()), None), "a sink")

        def settle() -> None:
            latest_s = time.monotonic() + _LATEST_S
            while (answer := control.flush(settings, _DEADLINE_S)) is control.Answer.LATE:
                if time.monotonic() > latest_s:  # points of a quarter of an hour that came at once take minutes
                    break
            assert answer is control.Answer.DONE, answer

        def stored() -> tuple[int, int]:
            with Lake(settings.data).connect() as connection:
                (points,) = connection.execute("SELECT count(*) FROM exact_points").fetchone() or (0,)
            manifests = [json.loads(path.read_bytes()) for path in (settings.data / "manifests").glob("[!.]*.json")]
            files = [one for manifest in manifests for one in manifest["files"] if one["table"] == "points"]
            return points, sum(one["size_bytes"] for one in files)

        yield Running(
            http[1],
            grpc[1],
            lambda: Usage(_cpu_s(main), sum(map(_cpu_s, _family(sink))), _peak_mib(main), _peak_mib(sink)),
            settle,
            stored,
        )


@contextlib.contextmanager
def otelcol(directory: Path) -> Iterator[Running]:
    """The OpenTelemetry Collector: what it takes it hands to the file exporter before it acknowledges (no batch)."""
    grpc, http = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    written = directory / "metrics.proto"
    file = directory / "otelcol.yaml"
    receiver = {"grpc": {"endpoint": grpc, "max_recv_msg_size_mib": 64}, "http": {"endpoint": http}}
    config: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": receiver}},
        # 1 s is the exporter's default, and it has no fsync at all.
        "exporters": {"file": {"path": str(written), "format": "proto", "flush_interval": "100ms"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["file"]}},
        },
    }
    file.write_text(json.dumps(config))
    with _process([str(OTELCOL), "--config", str(file)], directory, clean_environment(directory, 1.0)) as process:
        _wait(lambda: _accepts(http) and _accepts(grpc), "the OpenTelemetry Collector serves")
        main = psutil.Process(process.pid)

        def settle() -> None:
            size_bytes, since_s = -1, time.monotonic()
            while time.monotonic() - since_s < _SETTLED_S:
                if (now_bytes := written.stat().st_size) != size_bytes:
                    size_bytes, since_s = now_bytes, time.monotonic()
                time.sleep(0.05)

        yield Running(
            http, grpc, lambda: Usage(_cpu_s(main), 0.0, _peak_mib(main), 0.0), settle, lambda: (0, _size(written))
        )


@contextlib.contextmanager
def _process(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_DEADLINE_S)


def _said(directory: Path, words: str) -> str:
    return next((line for line in (directory / "log").read_text(errors="replace").splitlines() if words in line), "")


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    """With what children that ended have used."""
    used = process.cpu_times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_mib(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def _size(path: Path) -> int:
    return path.stat().st_size


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 0.2):
        return True
    return False


def _wait(condition: Callable[[], Any], what: str) -> Any:
    deadline_s = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"not within {_DEADLINE_S:g} s: {what}")
