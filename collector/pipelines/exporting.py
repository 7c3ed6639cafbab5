"""The collector's side of its exporters' process: it is kept alive and told what is durable.

What comes in: positions of the logs. What goes out: lines for the operator, counts of points. Never passes a request:
the logs lie between the two. A process that dies is started again, ever more slowly; receiving goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.collector.pipelines.settings import DRAIN_S, HEAD_BYTES
from stepsize.errors import UnavailableError
from stepsize.interpreter import environment_for_python

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stepsize.collector.pipelines.settings import ExportingSettings
    from stepsize.store.manifest import WalPosition

_ANNOUNCE_S = 0.02
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.1, 5.0
_END_S = DRAIN_S + 5.0


class ExportingProcess:
    """The exporters of one collector.

    Args:
        settings: handed to the process.
        durable: up to where each of its logs can be read; what shows only what is new begins there.
        home: its working directory.
        log: takes a line for the operator.
    """

    def __init__(
        self, settings: ExportingSettings, durable: Sequence[WalPosition], home: Path, log: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._home = home
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._durable = list(durable)
        self._announcing: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self.counts: Counter[tuple[str, str]] = Counter()
        """Points by what happened to them (`sent`, `failed`) and exporter."""

    @property
    def pid(self) -> int | None:
        """The process's id, while there is one."""
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Return once the exporters are ready.

        Raises:
            UnavailableError: one of them cannot begin.
        """
        process = await self._spawn()
        self._settings = replace(self._settings, is_first=False)
        self._watcher = asyncio.create_task(self._watch(process))

    def advance(self, index: int, durable: WalPosition) -> None:
        """The log of that index can be read up to ``durable``."""
        self._durable[index] = durable
        if self._announcing is None:  # one line for all that became durable in the meantime
            self._announcing = asyncio.get_running_loop().call_later(_ANNOUNCE_S, self._announce)

    async def stop(self, *, drain: bool) -> None:
        """Have the process end; with ``drain`` it sends what is durable first, as far as that takes little time."""
        self._stopping.set()
        self._announce()
        if self._watcher is None:
            return
        if not drain:
            self._send("stop")
        if self._process and self._process.stdin:
            self._process.stdin.close()
        _, pending = await asyncio.wait({self._watcher}, timeout=_END_S)
        if pending:
            if self._process:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            self._watcher.cancel()

    async def _spawn(self) -> asyncio.subprocess.Process:
        # Its working directory is ours, not the user's: `-m` puts it first on the path, where a stray queue.py shadows.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stepsize.collector.pipelines.process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=environment_for_python(os.environ),
            pass_fds=tuple(self._settings.listeners.values()),
        )
        self._process = process
        assert process.stdin
        assert process.stdout
        content = pickle.dumps(self._settings)
        process.stdin.write(len(content).to_bytes(HEAD_BYTES, "little") + content)
        self._announce()  # before anything more becomes durable: it is where readers begin that have no position
        line = ""
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
            line = await self._until_ready(process.stdout)
        if line != "ready":
            await process.wait()
            raise UnavailableError(line.removeprefix("error ") or f"the exporters ended with {process.returncode}")
        return process

    async def _until_ready(self, stdout: asyncio.StreamReader) -> str:
        while True:
            line = (await stdout.readline()).decode(errors="replace").strip()
            if not line.startswith("log "):
                return line
            self._log(line.removeprefix("log "))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            if await self._listen(process):
                backoff_s = _FIRST_BACKOFF_S
            code = await process.wait()
            if self._stopping.is_set():
                return
            self._log(f"the exporters ended with {code}; starting them again")
            while True:
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, _MAX_BACKOFF_S)
                if self._stopping.is_set():
                    return
                try:
                    process = await self._spawn()
                    break
                except (UnavailableError, OSError) as error:
                    self._log(f"the exporters cannot start: {error}")

    async def _listen(self, process: asyncio.subprocess.Process) -> bool:
        """Take what the process says until it ends; whether it sent anything."""
        assert process.stdout
        heard = False
        async for line in process.stdout:
            word, _, rest = line.decode(errors="replace").strip().partition(" ")
            if word == "count":
                what, _, rest = rest.partition(" ")
                exporter, _, points = rest.rpartition(" ")
                self.counts[what, exporter] += int(points)
                heard = True
            elif word in ("log", "error"):
                self._log(rest)
        return heard

    def _announce(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None
        for index, durable in enumerate(self._durable):
            self._send(f"durable {index} {durable.segment} {durable.offset}")

    def _send(self, line: str) -> None:
        if self._process and self._process.stdin and not self._process.stdin.is_closing():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(line.encode() + b"\n")
