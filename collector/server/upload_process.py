"""The collector's side of its upload: a child process that is kept alive, and asked to flush.

What comes in: word that the lake here has got further. What goes out: awaitables that end when an object store shows
it, and how far behind that is. Never passes a row: the lake lies between the two, and keeps what the store has not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepsize.collector.processes.marks import Marks
from stepsize.collector.processes.supervised import Launch, Supervised
from stepsize.errors import LakeError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STOP_S = 18.0
"""How long what the store lacks may take at the end; more than the process itself gives it."""
_BEHIND_S = 120.0
"""A store that is away for so long makes a collector not ready: its disk fills."""


class UploadProcess:
    """The upload of one collector.

    Args:
        data, store: handed to the process: the lake here, and where it is brought.
        home: its working directory, which is the collector's own.
        log: takes a line for the operator.
    """

    def __init__(self, data: str, store: str, home: Path, log: Callable[[str], None]) -> None:
        self._store = store
        self._log = log
        self._marks = Marks()
        self._turn = self._held = 0
        self._changed = asyncio.Event()
        self._flushing = 0
        self._problem = ""
        self.files = 0
        """Sent since the start."""
        self.sent_bytes = 0
        self.failures = 0
        """Uploads that failed."""
        launch = Launch("stepsize.collector.uploads.process", home, (data, store))
        self._process = Supervised("the upload", launch, news=self._news, hear=self._hear, log=log, failure=LakeError)

    @property
    def lag_s(self) -> float:
        """Age of the oldest points that are in the lake here and not in the store, to a second."""
        return self._marks.lag_s

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive

    @property
    def pid(self) -> int | None:
        """The process's id, once there was one."""
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often another process was needed."""
        return self._process.restarts

    def problem(self) -> str | None:
        """Why the store is behind for long, or None."""
        if self.lag_s <= _BEHIND_S:
            return None
        return f"points of {self.lag_s:.0f} s ago are not in {self._store} yet; {self._problem or 'it is slow'}"

    async def start(self) -> None:
        """Return once it has begun; the store may be away.

        Raises:
            LakeError: it can never succeed: boto3 is missing, or what AWS's variables say makes no client.
        """
        await self._process.start()

    def stored(self) -> None:
        """The lake here shows more than before."""
        self._turn += 1
        self._marks.advance(WalPosition(offset=self._turn))
        self._process.tell_soon()

    async def flush(self) -> None:
        """Return once the store shows all that the lake here does."""
        self._turn += 1
        wanted = self._turn
        self._flushing += 1
        try:
            self._process.tell()
            while self._held < wanted:
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._flushing -= 1

    async def stop(self) -> None:
        """Have the process bring what there is and end."""
        ended = await self._process.stop(STOP_S)
        if not ended or self.lag_s:
            self._log(
                f"{self._store} lacks the newest points; the next collector, or stepsize report here, brings them"
            )

    def _news(self) -> list[str]:
        return [f"turn {self._turn}", *(["flush"] if self._flushing else [])]

    def _hear(self, word: str, rest: str) -> bool:
        if word == "failed":
            self.failures += 1
            if rest != self._problem:
                self._log(f"the upload failed, and is tried again: {rest}")
            self._problem = rest
            return True
        if word != "held":
            raise ValueError(word)
        turn, files, sent_bytes = map(int, rest.split())
        if self._problem:
            self._log(f"{self._store} is there again")
        self._problem = ""
        self.files += files
        self.sent_bytes += sent_bytes
        self._marks.reach(WalPosition(offset=turn))
        self._held = max(self._held, turn)
        self._changed.set()
        return True
