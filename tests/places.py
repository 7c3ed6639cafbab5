"""A directory of a test's own, with a path short enough for sockets, that takes what was started in it along."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """An empty directory; agents whose STEPSIZE_RUNTIME lies in it end with it, and their collectors with them."""
    directory = Path(tempfile.mkdtemp(prefix="ss-", dir="/tmp" if os.name == "posix" else None))
    try:
        yield directory
    finally:
        for pid in _agents_of(directory):
            _end(pid)
        shutil.rmtree(directory, ignore_errors=True)


def _agents_of(directory: Path) -> Iterator[int]:
    mark = f"STEPSIZE_RUNTIME={directory}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"stepsize.instrumentation.agent" not in (process / "cmdline").read_bytes().split(b"\0"):
                continue
            if any(variable.startswith(mark) for variable in (process / "environ").read_bytes().split(b"\0")):
                yield int(process.name)


def _end(pid: int, patience_ms: int = 10_000) -> None:
    """Ask a process that is not a child to end, and wait until it has."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGTERM)
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            if not ended.poll(patience_ms):
                os.kill(pid, signal.SIGKILL)
        finally:
            os.close(descriptor)
