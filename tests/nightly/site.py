"""A home with a lake, a server that is told, and the command as a scheduler calls it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stepsize.commands.evidence import Evidence
from stepsize.commands.night.jobs import Done, Job, as_fields, job_of
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, row
from tests.places import short_directory

EVERYTHING = Evidence(
    since=None,
    runs=None,
    policy_name="safe",
    target_name=None,
    cpu_budget=None,
    branch=None,
    origin=None,
    data=None,
)


@dataclass
class Site:
    """What a user of the machine has."""

    home: Path
    runtime: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.home / "lake"

    @property
    def reports(self) -> Path:
        return self.data / "reports"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own = {"HOME": str(self.home), "STEPSIZE_DATA": str(self.data), "STEPSIZE_RUNTIME": str(self.runtime)}
        return {**kept, **own, **self.variables}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stepsize", "nightly", *arguments],
            env={**self.environment, **variables},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def nightly(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **variables) as process:
            said, complained = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def measured(self) -> Site:
        """Ten days of a step that fits, and an attempt that ran out of memory three hours ago."""
        now = datetime.now(timezone.utc)
        given: dict[str, Any] = {"requested_memory_bytes": 800 * MB}
        rows = [row(run=str(day), started_at=now - timedelta(days=10 - day), **given) for day in range(10)]
        last = row(run="10", started_at=now - timedelta(hours=3), outcome="oom", **given)
        write_tasks(self.data, [*rows, last])
        return self

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.reports / ".state.json").read_bytes())
        return found

    def files(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the reports with its identity and content, and what the link says."""
        found = {}
        for path in sorted(self.reports.rglob("*")):
            if path.is_file() and not path.is_symlink():
                found[path.relative_to(self.reports).as_posix()] = (path.stat().st_ino, path.read_bytes())
        return found


@contextlib.contextmanager
def site_in(home: Path) -> Iterator[Site]:
    with short_directory() as runtime:
        yield Site(home, runtime)


@dataclass
class Told:
    """A server that Apprise's ``json://`` tells; paths of requests and what they said."""

    port: int = 0
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    """Paths that say to look elsewhere."""
    held: dict[str, threading.Event] = field(default_factory=dict)
    """Paths that do not answer until the event is set."""
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def url(self, path: str) -> str:
        return f"json://127.0.0.1:{self.port}/{path}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.messages]


def here(job: Job, limit_s: float) -> Done:
    """Have a job done by the test's own process, which is sooner; errors are its own."""
    return job_of(json.loads(json.dumps(as_fields(job)))).do()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        told, path = self.server.told, self.path.strip("/")
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told.arrived.release()
        if path in told.held and not told.held[path].is_set():
            self.connection.settimeout(60)
            if not self.connection.recv(1):  # whoever waited has gone
                told.left.release()
                return
        code = 500 if path in told.refused else 302 if path in told.moved else 200
        if code == 200:
            told.messages.append((path, said))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, told: Told) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told = told


@contextlib.contextmanager
def told_server() -> Iterator[Told]:
    told = Told()
    server = _Server(told)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
