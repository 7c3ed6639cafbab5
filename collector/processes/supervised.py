"""The collector's side of a child process: started, told what is new, heard, started again, ended.

What comes in: how it is launched, and the news it needs, in lines. What goes out: the lines it says. Never passes a
request: logs lie between the two. A child that ends is started again, ever more slowly until one gets somewhere;
receiving goes on meanwhile. It ends with its parent, however that ends: its standard input ends then.

A child says ``ready`` when it has begun, ``error MESSAGE`` before it gives up, and ``log LINE`` to the operator at any
time; all other lines are for whoever supervises it. The child's side is `stepsize.collector.processes.child`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.interpreter import environment_for_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from stepsize.errors import StepsizeError

_NEWS_S = 0.02
_FIRST_BACKOFF_S, _MAX_BACKOFF_S = 0.1, 5.0
_KILLED_S = 5.0
"""How long a process that was killed may take to be gone; only a disk that hangs keeps one."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is begun.

    Attributes:
        module: run with ``python -m``.
        home: its working directory. It is ours, not the user's: `-m` puts it first on the path, where a stray queue.py
            would hide Python's own.
        arguments: of its command line, which all users of the machine can read.
        content: what its standard input begins with.
        descriptors: what it inherits besides its standard ones.
    """

    module: str
    home: Path
    arguments: tuple[str, ...] = ()
    content: bytes = b""
    descriptors: tuple[int, ...] = ()


class Supervised:
    """One child process, or the one after it.

    Args:
        name: how lines for the operator call it: `the sink`.
        launch: how it is begun.
        news: lines that tell it all it has to know by now: what they say stands for all they said before.
        hear: takes a word that it said and the rest of the line; returns whether it has got somewhere, so that the
            next one may come soon. ValueError ends a child that nobody understands.
        log: takes a line for the operator.
        failure: what is raised where it cannot begin.
    """

    def __init__(
        self,
        name: str,
        launch: Launch,
        *,
        news: Callable[[], Iterable[str]],
        hear: Callable[[str, str], bool],
        log: Callable[[str], None],
        failure: type[StepsizeError],
    ) -> None:
        self.launch = launch
        """How the next one is begun."""
        self.restarts = 0
        """How often another one was needed."""
        self._name = name
        self._news = news
        self._hear = hear
        self._log = log
        self._failure = failure
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self._is_replacing = False
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """The process's id, once there was one."""
        return self._process.pid if self._process else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_ready(self) -> bool:
        """Whether the process runs, and has said that it has begun."""
        return self._was_ready and self.is_alive

    async def start(self) -> None:
        """Return once it is ready.

        Raises:
            StepsizeError: it cannot begin; of the class that was asked for.
        """
        process = await self._spawn()
        self._watcher = asyncio.create_task(self._watch(process))

    def begin(self) -> None:
        """Have it started, and return at once: why it cannot begin is told, and it is tried again."""
        self._watcher = asyncio.create_task(self._watch(None))

    def replace(self, launch: Launch) -> None:
        """Have another one go on, begun in another way.

        The one that runs is killed: that is what it stands at any moment, and one that was asked to end would first do
        what is still to be done.
        """
        self.launch = launch
        self._is_replacing = self.is_alive
        self._kill()

    def tell_soon(self) -> None:
        """There is news. One turn of it serves for all that comes in the meantime."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_NEWS_S, self._tell_in_turn)

    def tell(self) -> None:
        """There is news that does not wait."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        for line in self._news():
            self.say(line)

    def say(self, line: str) -> None:
        """Say one line to the process, if it listens."""
        self._write(line.encode() + b"\n")

    async def stop(self, timeout_s: float, last_word: str = "") -> bool:
        """Have it do what is left and end; whether it did so in time, else it is killed.

        Args:
            timeout_s: how long that may take.
            last_word: said after the news.
        """
        self._stopping.set()
        self.tell()
        if last_word:
            self.say(last_word)
        if self._process and self._process.stdin:
            self._process.stdin.close()
        if self._watcher is None:
            return True
        _, pending = await asyncio.wait({self._watcher}, timeout=timeout_s)
        if not pending:
            return True
        self._kill()
        await asyncio.wait({self._watcher}, timeout=_KILLED_S)  # who comes next is not to meet it
        self._watcher.cancel()
        return False

    def _tell_in_turn(self) -> None:
        self._telling = None
        stdin = self._process.stdin if self._process else None
        if stdin and not stdin.is_closing() and stdin.transport.get_write_buffer_size():
            self.tell_soon()  # it does not listen now: what it has not taken is not to pile up in memory
        else:
            self.tell()

    def _write(self, content: bytes) -> None:
        stdin = self._process.stdin if self._process else None
        if stdin and not stdin.is_closing():  # as it is where it was killed the moment it was forked
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                stdin.write(content)

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _spawn(self) -> asyncio.subprocess.Process:
        launch = self.launch
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", launch.module, *launch.arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=launch.home,
                env=environment_for_python(os.environ),
                pass_fds=launch.descriptors,
            )
        except OSError as error:
            raise self._failure(f"{self._name} cannot be started: {error.strerror}") from None
        self._process, self._was_ready = process, False
        assert process.stdin
        assert process.stdout
        self._write(launch.content)
        self.tell()  # before there is more of it: some begin where they are told first
        if self._stopping.is_set():  # while it was being started: it is to do what is left, and end
            process.stdin.close()
        line = ""
        with contextlib.suppress(ConnectionError):
            await process.stdin.drain()
            line = await self._until_ready(process.stdout)
        if line != "ready":
            code = await process.wait()
            raise self._failure(line.removeprefix("error ") or f"{self._name} ended with {code}")
        self._was_ready = True
        return process

    async def _until_ready(self, stdout: asyncio.StreamReader) -> str:
        while True:
            line = (await stdout.readline()).decode(errors="replace").strip()
            if not line.startswith("log "):
                return line
            self._log(line.removeprefix("log "))

    async def _watch(self, process: asyncio.subprocess.Process | None) -> None:
        backoff_s = _FIRST_BACKOFF_S if process else 0.0
        is_first = process is None
        while True:
            if process is not None:
                if await self._listen(process):
                    backoff_s = _FIRST_BACKOFF_S
                code = await process.wait()
                if self._stopping.is_set():
                    return
                self._log_unless_replaced(f"{self._name} ended with {code}; starting another one")
            while True:
                if await self._is_told_to_stop_within(backoff_s):
                    return
                backoff_s = min(max(2 * backoff_s, _FIRST_BACKOFF_S), _MAX_BACKOFF_S)
                try:
                    process = await self._spawn()
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody else starts the next one
                    if self._stopping.is_set():
                        return
                    self._kill()
                    self._log_unless_replaced(f"{self._name} cannot start: {error}")
                else:
                    self.restarts += not is_first
                    is_first = False
                    break

    async def _is_told_to_stop_within(self, wait_s: float) -> bool:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_s)
        return self._stopping.is_set()

    def _log_unless_replaced(self, line: str) -> None:
        if not self._is_replacing:
            self._log(line)
        self._is_replacing = False

    async def _listen(self, process: asyncio.subprocess.Process) -> bool:
        """Take what it says until it ends; whether it has got anywhere."""
        assert process.stdout
        has_got_somewhere = False
        try:
            async for line in process.stdout:
                word, _, rest = line.decode(errors="replace").strip().partition(" ")
                if word == "log":
                    self._log(rest)
                elif word == "error":
                    self._log(f"{self._name}: {rest}")
                else:
                    has_got_somewhere |= self._hear(word, rest)
        except ValueError as error:  # or a line without end
            self._log(f"{self._name} said what nobody understands: {error}")
            self._kill()
        return has_got_somewhere
