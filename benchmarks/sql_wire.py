"""An endpoint for benchmarks, and a client of it that only reads bytes.

What comes in: a lake; statements. What goes out: how long the answer took, how large it was, what the endpoint used.
The client speaks as Grafana's drivers do with their simple protocol, and looks at nothing but the answer's end.
Loopback only; the endpoint is ended by the id of the process that was started.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.environment import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def question(statement: str) -> bytes:
    """A statement as a message of the simple protocol."""
    content = statement.encode() + b"\0"
    return b"Q" + struct.pack("!i", len(content) + 4) + content


def check(first: bytes) -> None:
    """Stop where an answer begins with an error."""
    if first.startswith(b"E"):
        raise SystemExit(f"the endpoint says {first!r}")
