"""A collector as a process of its own, in a place of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from stepsize.collector import control
from stepsize.discovery import read_address
from stepsize.settings import Settings
from stepsize.store.lake import Lake
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 20.0
DRAINED_S = 90.0
"""A collector ends in about a minute whatever happens: 5 s for requests, 30 for exporters, 25 for the sink."""
CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
exporters: {parquet: {}}
service: {pipelines: {metrics: {receivers: [otlp], exporters: [parquet]}}}
"""


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What ``condition`` returns once it is true."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


@dataclass
class Place:
    """Directories of one test, and the processes it started there."""

    home: Path
    runtime: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings.load({}, data=self.home / "lake", runtime=self.runtime)

    def environment(self, **more: str) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
        stacks = {"PYTHONFAULTHANDLER": "1"}  # see `RunningCollector.terminate`
        return {**clean, **stacks, "HOME": str(self.home), "STEPSIZE_RUNTIME": str(self.runtime), **more}

    def spawn(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "stepsize", "collect", *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=self.environment(),
            cwd=self.home,
        )
        self.processes.append(process)
        return process

    def collect(self, config: str = CONFIG) -> RunningCollector:
        """A full collector, once it serves."""
        file = self.home / "config.yaml"
        file.write_text(config)
        process = self.spawn("--config", str(file), "--data", str(self.settings.data))
        assert process.stderr
        line = process.stderr.readline().decode()
        assert "lake" in line, line + process.stderr.read().decode()
        return RunningCollector(self, process, line)

    def embedded(self) -> subprocess.Popen[bytes]:
        """An embedded collector, once it serves."""
        process = self.spawn("--embedded", "--data", str(self.settings.data), stdin=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        return process

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with Lake(self.settings.data).connect() as connection:
            return connection.execute(query).fetchall()

    def close(self) -> None:
        for process in self.processes:
            children = []
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
            process.wait()
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()


@contextlib.contextmanager
def place_in(home: Path) -> Iterator[Place]:
    """A place whose processes end with the block."""
    with short_directory() as runtime:
        made = Place(home, runtime)
        try:
            yield made
        finally:
            made.close()


@dataclass
class RunningCollector:
    """A full collector and its addresses."""

    place: Place
    process: subprocess.Popen[bytes]
    line: str

    @property
    def grpc(self) -> str:
        return re.search(r"gRPC on ([\d.:]+)", self.line)[1]  # type: ignore[index]  # no match is the failure

    @property
    def http(self) -> str:
        return re.search(r"HTTP on ([\d.:]+)", self.line)[1]  # type: ignore[index]  # no match is the failure

    def post(
        self,
        body: Any,
        kind: str = "application/x-protobuf",
        path: str = "/v1/metrics",
        method: str = "POST",
        **more: Any,
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self.http, timeout=DEADLINE_S)
        with contextlib.closing(connection):
            headers = {"content-type": kind, **{name.replace("_", "-"): text for name, text in more.items()}}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}

    def post_plain(self) -> bytes:
        """What an HTTP server says to a request without TLS."""
        host, port = self.http.rsplit(":", 1)
        with socket.create_connection((host, int(port)), DEADLINE_S) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                return connection.recv(1 << 16)
        return b""

    def flush(self) -> None:
        assert control.flush(self.place.settings, DEADLINE_S) is control.Answer.DONE

    def sink(self) -> psutil.Process:
        return wait_for(lambda: psutil.Process(self.process.pid).children(), "a sink")[0]

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DRAINED_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self._stacks()}") from None

    def _stacks(self) -> str:
        """Where each of its processes is; they end by it."""
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for member in reversed(family):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGABRT)
        assert self.process.stderr
        said = self.process.stderr.read().decode(errors="replace")
        return "\n".join(f"{member.pid}: {member!r}" for member in family) + said[-20_000:]


def post_to_socket(settings: Settings, path: str, body: bytes = b"", token: str | None = None) -> tuple[int, bytes]:
    """POST to the collector's Unix socket; with its token unless another is given."""
    address = wait_for(lambda: read_address(settings), "an address")
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE_S)
    connection.sock.connect(address.socket)
    headers = {
        "content-type": "application/x-protobuf",
        "authorization": f"Bearer {address.token if token is None else token}",
    }
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
