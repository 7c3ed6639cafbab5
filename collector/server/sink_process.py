"""The collector's side of its sink: a child process that is kept alive, told what is durable, and asked to flush.

What comes in: positions of the log. What goes out: awaitables that end when everything before a position is visible.
Never passes a request: the log lies between the two.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepsize.collector.processes.marks import Marks
from stepsize.collector.processes.supervised import Launch, Supervised
from stepsize.errors import LakeError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.collector.sink.settings import SinkSettings


class SinkProcess:
    """The sink of one collector.

    Args:
        settings: handed to the process.
        log: takes a line for the operator.
    """

    def __init__(self, settings: SinkSettings, log: Callable[[str], None]) -> None:
        self._settings = settings
        self._log = log
        self._durable = WalPosition()
        self._committed = WalPosition()
        self._marks = Marks()
        self._changed = asyncio.Event()
        self._flushing = 0  # who waits for one
        self._process = Supervised(
            "the sink", _launch(settings), news=self._news, hear=self._hear, log=log, failure=LakeError
        )
        self.commits = 0
        """Generations that were committed since the start."""
        self.on_stored: Callable[[], None] = lambda: None
        """Called when the lake shows more than before."""
        self.on_seal: Callable[[], None] = lambda: None
        """Called where the log should go on in a new segment, so that those before can be deleted."""

    @property
    def pid(self) -> int | None:
        """The process's id, once there was one."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive

    @property
    def restarts(self) -> int:
        """How often another process was needed."""
        return self._process.restarts

    @property
    def lag_s(self) -> float:
        """Age of the oldest requests that are durable and whose points are not in the lake, to a second."""
        return self._marks.lag_s

    @property
    def writer(self) -> str:
        """The name under which it writes to the lake."""
        return self._settings.writer

    async def start(self) -> None:
        """Return once the sink has the lake ready.

        Raises:
            LakeError: it cannot use the data directory.
        """
        await self._process.start()

    def advance(self, durable: WalPosition) -> None:
        """The log can be read up to ``durable``."""
        self._durable = durable
        self._marks.advance(durable)
        self._process.tell_soon()

    def configure(self, settings: SinkSettings) -> None:
        """Have a sink with other settings go on."""
        if settings != self._settings:
            self._settings = settings
            self._process.replace(_launch(settings))

    async def flush(self) -> None:
        """Return once everything that is durable now is visible."""
        wanted = self._durable
        if self._committed >= wanted:
            return
        self._process.tell()
        self._process.say("flush")
        self._flushing += 1
        try:
            while self._committed < wanted:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._flushing -= 1

    async def stop(self, timeout_s: float) -> bool:
        """Have the sink fold what is durable and end; whether it did so in time (else it is killed, and replays)."""
        return await self._process.stop(timeout_s)

    def _news(self) -> Iterator[str]:
        yield f"durable {self._durable.segment} {self._durable.offset}"

    def _hear(self, word: str, rest: str) -> bool:
        if word == "seal":
            self.on_seal()
            return False
        if word == "at":  # where one begins, whose predecessor may have ended before it said so, and of a flush
            self._reached(rest.split())
            if self._flushing:
                self._process.say("flush")
            return False
        self.commits += 1
        self._reached([word, *rest.split()])
        return True

    def _reached(self, words: list[str]) -> None:
        word, segment, offset = words
        position = WalPosition(int(segment), int(offset))
        if word == "committed":
            self._committed = max(self._committed, position)
            self._changed.set()
        elif word != "stored":
            raise ValueError(word)
        self._marks.reach(position)
        self.on_stored()


def _launch(settings: SinkSettings) -> Launch:
    return Launch("stepsize.collector.sink.process", settings.state, (settings.to_json(),))
