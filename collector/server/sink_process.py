"""The collector's side of its sink: a child process that is kept alive, told what is durable, and asked to flush.

What comes in: positions of the log. What goes out: awaitables that end when everything before a position is visible.
Never passes a request: the log lies between the two. A sink that dies is started again, ever more slowly; receiving
goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING

from stepsize.errors import LakeError
from stepsize.interpreter import environment_for_python
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.sink.settings import SinkSettings

_ANNOUNCE_S = 0.02
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.1, 5.0
_MARK_S = 1.0
_MAX_MARKS = 4096


class SinkProcess:
    """The sink of one collector.

    Args:
        settings: handed to the process.
        log: takes a line for the operator.
    """

    def __init__(self, settings: SinkSettings, log: Callable[[str], None]) -> None:
        self._settings = settings
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._durable = WalPosition()
        self._committed = WalPosition()
        self._stored = WalPosition()
        self._changed = asyncio.Condition()
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._announcing: asyncio.TimerHandle | None = None
        self._is_changing = False
        self._marks: deque[tuple[WalPosition, float]] = deque()
        self._flushing = 0  # who waits for one
        self.commits = 0
        """Generations that were committed since the start."""
        self.restarts = 0
        """How often another process was needed."""
        self.on_seal: Callable[[], None] = lambda: None
        """Called where the log should go on in a new segment, so that those before can be deleted."""

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def lag_s(self) -> float:
        """Age of the oldest requests that are durable and whose points are not in the lake, to a second."""
        return time.monotonic() - self._marks[0][1] if self._marks else 0.0

    @property
    def writer(self) -> str:
        """The name under which it writes to the lake."""
        return self._settings.writer

    async def start(self) -> None:
        """Return once the sink has the lake ready.

        Raises:
            LakeError: it cannot use the data directory.
        """
        process = await self._spawn()
        self._watcher = asyncio.create_task(self._watch(process))

    def advance(self, durable: WalPosition) -> None:
        """The log can be read up to ``durable``."""
        self._durable = durable
        if self._announcing is None:  # one line for all that became durable in the meantime
            self._announcing = asyncio.get_running_loop().call_later(_ANNOUNCE_S, self._announce)

    def configure(self, settings: SinkSettings) -> None:
        """Have a sink with other settings go on.

        The one that runs is killed: that is what it stands at any moment, and one that was asked to end would first
        fold what is still being written.
        """
        if settings == self._settings:
            return
        self._settings = settings
        self._is_changing = True
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def flush(self) -> None:
        """Return once everything that is durable now is visible."""
        wanted = self._durable
        async with self._changed:
            if self._committed >= wanted:
                return
            self._announce()
            self._send("flush")
            self._flushing += 1
            try:
                await self._changed.wait_for(lambda: self._committed >= wanted)
            finally:
                self._flushing -= 1

    async def stop(self, timeout_s: float) -> bool:
        """Have the sink fold what is durable and end; whether it did so in time (else it is killed, and replays)."""
        self._stopping.set()
        self._announce()
        if self._process and self._process.stdin:
            self._process.stdin.close()
        if self._watcher is None:
            return True
        _, pending = await asyncio.wait({self._watcher}, timeout=timeout_s)
        if not pending:
            return True
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._watcher.cancel()
        return False

    async def _spawn(self) -> asyncio.subprocess.Process:
        # Its working directory is ours, not the user's: `-m` puts it first on the path, where a stray queue.py shadows.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stepsize.collector.sink.process",
            self._settings.to_json(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._settings.state,
            env=environment_for_python(os.environ),
        )
        self._process = process
        assert process.stdout
        line = (await process.stdout.readline()).decode(errors="replace").strip()
        if line != "ready":
            await process.wait()
            raise LakeError(line.removeprefix("error ") or f"the sink ended with {process.returncode}")
        self._announce()
        if self._flushing:
            self._send("flush")  # the one before may have ended of it
        return process

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            if await self._listen(process):
                backoff_s = _FIRST_BACKOFF_S
            code = await process.wait()
            if self._stopping.is_set():
                return
            if not self._is_changing:
                self._log(f"the sink ended with {code}; starting another one")
            self._is_changing = False
            while True:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)
                if self._stopping.is_set():
                    return
                try:
                    process = await self._spawn()
                    self.restarts += 1
                    break
                except (LakeError, OSError) as error:
                    self._log(f"the sink cannot start: {error}")

    async def _listen(self, process: asyncio.subprocess.Process) -> bool:
        """Take what the sink says until it ends; whether it committed anything."""
        assert process.stdout
        heard = False
        async for line in process.stdout:
            word, *numbers = line.decode(errors="replace").split()
            is_commit = word != "at"  # else where one begins, whose predecessor may have ended before it said so
            if not is_commit:
                word, *numbers = numbers
            if word in ("committed", "stored"):
                heard = heard or is_commit
                self.commits += is_commit
                position = WalPosition(*map(int, numbers))
                if word == "committed":
                    async with self._changed:
                        self._committed = max(self._committed, position)
                        self._changed.notify_all()
                self._stored = max(self._stored, position)
                self._forget_marks()
            elif word == "seal":
                self.on_seal()
            else:
                self._log(f"sink: {line.decode(errors='replace').strip()}")
        return heard

    def _mark(self) -> None:
        """Remember when the log came so far, once a second; of a long lag, more coarsely."""
        now_s = time.monotonic()
        if self._durable <= self._stored or (self._marks and now_s - self._marks[-1][1] < _MARK_S):
            return
        if len(self._marks) >= _MAX_MARKS:
            self._marks = deque(list(self._marks)[::2])
        self._marks.append((self._durable, now_s))

    def _forget_marks(self) -> None:
        while self._marks and self._marks[0][0] <= self._stored:
            self._marks.popleft()
        if not self._marks:
            self._mark()

    def _announce(self) -> None:
        self._mark()
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        self._send(f"durable {self._durable.segment} {self._durable.offset}")

    def _send(self, line: str) -> None:
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(line.encode() + b"\n")
