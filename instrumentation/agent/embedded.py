"""The collector that the agent brings where a data directory has none.

What comes in: settings. What goes out: a child process, ``python -m stepsize collect --embedded``, which serves the
data directory until its standard input closes, so that it never outlives the agent. It prints ``ready`` on its
standard output once its address can be found. Never waits longer than half a minute for that; what it has to say
otherwise goes to a file beside the agent's socket, written anew each time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation.spawn import agent_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.settings import Settings

_READY_S = 30.0
_PAUSE_S = 2.0
"""One that did not come up is not tried again sooner."""

_log = logging.getLogger(__name__)


class EmbeddedCollector:
    """At most one child process. Used by the sender's thread alone.

    Args:
        settings: whose data directory it serves.
        output: where its standard error goes.
        started: told the pid, since the collector is not to be counted as anybody's work.
        command: for tests, which have one of their own.
    """

    def __init__(
        self,
        settings: Settings,
        output: Path,
        started: Callable[[int], None],
        command: tuple[str, ...] = (sys.executable, "-m", "stepsize", "collect", "--embedded"),
    ) -> None:
        self._settings = settings
        self._output = output
        self._started = started
        self._command = (*command, "--data", settings.lake)
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def start(self) -> bool:
        """Start it unless it runs; whether it is ready."""
        if self._process is not None and self._process.poll() is None:
            return True
        if time.monotonic() < self._not_before:
            return False
        self.close()
        try:
            self._process = self._spawn()
            ready = self._wait_until_ready(self._process)
        except OSError as error:
            _log.warning("cannot start an embedded collector: %s", error)
            ready = False
        if not ready:
            self._not_before = time.monotonic() + _PAUSE_S
            self.close()
        return ready

    def close(self) -> None:
        """Let it end: it writes what it has taken and goes."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.poll()
        self._process = None

    def end(self, timeout_s: float) -> None:
        """As `close`, and wait until it has written everything and is gone, so that whoever comes next is not its."""
        process = self._process
        self.close()
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout_s)

    def _spawn(self) -> subprocess.Popen[bytes]:
        descriptor = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                env=agent_environment(self._settings),
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        self._started(process.pid)
        return process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.stdout is not None
        deadline = time.monotonic() + _READY_S
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not selector.select(deadline - time.monotonic()):
                    break
                part = os.read(process.stdout.fileno(), 4096)
                said += part
                if any(line.strip() == b"ready" for line in said.splitlines()):
                    return True
                if not part:
                    break
        _log.warning("the embedded collector did not come up; see %s", self._output)
        return False
