"""An endpoint for benchmarks, and its clients: one that only reads bytes, and Grafana's driver.

What comes in: a lake; statements. What goes out: how long the answer took, how large it was, what the endpoint used.
The first client speaks the simple protocol as Grafana's driver does, and looks at nothing but the answer's end; the
other is pgx itself, called as Grafana calls it, in a process of its own (`sql_pgx/`, which Go builds below `.peers/`).
Loopback only; what is started is ended by the id of its process.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCES = Path(__file__).with_name("sql_pgx")
_BUILT = Path(__file__).resolve().parents[1] / ".peers" / "bench-sql" / "pgx"
READY = b"Z\0\0\0\x05I"
_BUFFER_BYTES = 1 << 20
_START = b"".join(part + b"\0" for part in (b"user", b"ann", b"database", b"stepsize", b""))
START = struct.pack("!ii", len(_START) + 8, 196_608) + _START
_TO_THE_LINE = re.compile(r"postgresql://127\.0\.0\.1:(\d+)/")


class Endpoint:
    """A ``stepsize sql --serve`` that runs."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = psutil.Process(process.pid)

    def cpu_s(self) -> float:
        """CPU seconds since its start, of all its threads."""
        used = self._process.cpu_times()
        return used.user + used.system

    def peak_mib(self) -> float:
        """The most memory it held."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text("ascii"))
        assert found
        return int(found[1]) / 1024


@contextlib.contextmanager
def endpoint(data: Path, home: Path, *options: str) -> Iterator[Endpoint]:
    """One over a lake, until the block ends."""
    command = [sys.executable, "-m", "stepsize", "sql", "--serve", "--port", "0", "--data", str(data), *options]
    environment = clean_environment(home, 1.0)
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment, text=True) as one:
        assert one.stderr
        said = ""
        while not (found := _TO_THE_LINE.search(said)):
            said = one.stderr.readline()
            if not said:
                raise SystemExit("stepsize sql --serve did not start")
        threading.Thread(target=lambda: [sys.stderr.write(line) for line in one.stderr or ()], daemon=True).start()
        try:
            yield Endpoint(one, int(found[1]))
        finally:
            one.terminate()
            one.wait(30)


class Bytes:
    """A connection whose answers are counted, and nothing else."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._room = memoryview(bytearray(_BUFFER_BYTES))
        self._socket.sendall(START)
        self._read()

    def ask(self, statement: str) -> int:
        """Bytes of the answer to a statement.

        Raises:
            SystemExit: it failed.
        """
        self._socket.sendall(question(statement))
        return self._read()

    def _read(self) -> int:
        count, tail = 0, b""
        while not tail.endswith(READY):
            received = self._socket.recv_into(self._room)
            if not received:
                raise SystemExit("the endpoint hung up")
            check(bytes(self._room[: min(received, 300)]) if not count else b"")
            count += received
            tail = (tail + bytes(self._room[max(0, received - 16) : received]))[-16:]
        return count

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Got:
    """What pgx says of an answer: how long until it had all rows, its own CPU seconds meanwhile, how many rows."""

    seconds: float
    cpu_seconds: float
    rows: int


class Pgx:
    """Grafana's driver, connected."""

    def __init__(self, port: int) -> None:
        dsn = f"postgres://ann@127.0.0.1:{port}/stepsize?sslmode=disable"
        self._process = subprocess.Popen([_BUILT, dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, statement: str) -> Got:
        """A statement, to its last row.

        Raises:
            SystemExit: it failed.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(statement) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("pgx ended")
        return Got(**json.loads(line))

    def close(self) -> None:
        """Hang up."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def build_pgx() -> str:
    """Build it where Go is; why it is not there, or ""."""
    if shutil.which("go") is None:
        return "Go is not installed"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(_BUILT), "."]
    done = subprocess.run(command, cwd=_SOURCES, env=environment, capture_output=True, text=True, check=False)
    return f"Go could not build it: {done.stderr.strip()[:200]}" if done.returncode else ""


def pgx_version() -> str:
    """The one that is pinned."""
    found = re.search(r"pgx/v5 v(\S+)", (_SOURCES / "go.mod").read_text("ascii"))
    assert found
    return found[1]


def question(statement: str) -> bytes:
    """A statement as a message of the simple protocol."""
    content = statement.encode() + b"\0"
    return b"Q" + struct.pack("!i", len(content) + 4) + content


def check(first: bytes) -> None:
    """Stop where an answer begins with an error."""
    if first.startswith(b"E"):
        raise SystemExit(f"the endpoint says {first!r}")
