"""The collector's side of the live page's process: begun when somebody looks, ended when nobody does.

What comes in: paths. What goes out: pages. Each page is made once for all who ask for it, and kept for `KEPT_S`, or for
`_SHARE` times what it took to make: one page keeps the process at work for a fifth of the time at most, however large
the lake is. Never makes a page itself. Where the process ends, the next page has another one; where it takes too long,
it is ended, and the next one comes after a rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import RetryableError
from stepsize.interpreter import environment_for_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEPT_S = 2.0
_SHARE = 4.0
_MOST_KEPT, _MOST_KEPT_BYTES = 32, 1 << 20
MOST_WAITING = 8
"""Different pages that may wait; each is made after the other."""
_PATIENCE_S = 20.0
_END_S = 2.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page, with its Content-Security-Policy."""

    status: int
    policy: str
    body: bytes


class Renderer:
    """Pages of one lake.

    Args:
        data: the lake's directory.
        home: the process's working directory, which is the collector's own.
        log: takes a line for the operator.
        store: the object store that the lake is in, if it is: reports are there.
        patience_s: how long a page may take.
        clock_s: seconds that only go on.
    """

    def __init__(
        self,
        data: Path,
        home: Path,
        log: Callable[[str], None],
        store: str | None = None,
        patience_s: float = _PATIENCE_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._rests_until_s = 0.0
        self._places = (str(data), *([store] if store else []))
        self._home = home
        self._log = log
        self._clock_s = clock_s
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()
        self._under_way: dict[str, asyncio.Task[Rendered]] = {}
        self._kept: OrderedDict[str, tuple[float, Rendered]] = OrderedDict()
        self._is_ended = False

    async def page(self, path: str) -> Rendered:
        """The page at a path.

        Raises:
            RetryableError: too many wait, or the process did not answer.
        """
        until_s, kept = self._kept.get(path, (0.0, None))
        if kept is not None and self._clock_s() < until_s:
            return kept
        task = self._under_way.get(path)
        if task is None:
            if self._clock_s() < self._rests_until_s:
                raise RetryableError("pages take too long to be made now; try again in a minute")
            if len(self._under_way) >= MOST_WAITING or self._is_ended:
                raise RetryableError("too many look at other pages; try again in a moment")
            task = asyncio.create_task(self._make(path))
            self._under_way[path] = task
            task.add_done_callback(lambda done: self._done(path, done))
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """End the process; pages are refused from now on."""
        self._is_ended = True
        for task in self._under_way.values():
            task.cancel()
        await self._end()

    def _done(self, path: str, task: asyncio.Task[Rendered]) -> None:
        self._under_way.pop(path, None)
        if not task.cancelled():
            task.exception()  # has been told to those who still wait

    async def _make(self, path: str) -> Rendered:
        async with self._one_at_a_time:
            begun_s = self._clock_s()
            try:
                made = await asyncio.wait_for(self._ask(path), self._patience_s)
            except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
                await self._end()  # whatever it says now is no answer to the next question
                if isinstance(error, asyncio.TimeoutError):
                    self._rests_until_s = self._clock_s() + _SHARE * self._patience_s
                self._log(f"the live page's process did not answer: {error!r}")
                raise RetryableError("the page could not be made in time; try again in a moment") from None
            self._keep(path, made, self._clock_s() - begun_s)
            return made

    def _keep(self, path: str, made: Rendered, took_s: float) -> None:
        self._kept.pop(path, None)
        if len(made.body) > _MOST_KEPT_BYTES:
            return
        self._kept[path] = self._clock_s() + max(KEPT_S, _SHARE * took_s), made
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    async def _ask(self, path: str) -> Rendered:
        if self._process is not None:
            with contextlib.suppress(OSError, EOFError):  # it has ended for want of questions
                return await self._exchange(self._process, path)
            await self._end()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "stepsize.collector.live.process", *self._places),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=environment_for_python(os.environ),
        )
        return await self._exchange(self._process, path)

    async def _exchange(self, process: asyncio.subprocess.Process, path: str) -> Rendered:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(path).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise EOFError
        head = json.loads(line)
        body = await process.stdout.readexactly(head["size"])
        return Rendered(head["status"], head["policy"], body)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)
