"""The collector's side of a process that serves the lake to clients of Postgres.

What comes in: what is served, on a socket that listens. What goes out: whether it is served, to how many. Never answers
a client, never waits for one: the process is begun beside everything else, and started again where it ends. Clients
that come meanwhile wait in the socket, which stays.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from stepsize.collector.processes.supervised import Launch, Supervised
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.collector.sql.settings import SqlSettings

_MODULE = "stepsize.commands.sql_child"
"""What it runs; the endpoint itself is `stepsize.postgres`, which a collector does not know."""
_STOP_S = 5.0
"""How long clients may take to be told, as those of a receiver; the process gives them less."""


class SqlProcess:
    """One extension's process.

    Args:
        settings: handed to the process.
        listener: the socket that ``settings`` names; closed at the end.
        home: the process's working directory, which is the collector's own.
        log: takes a line for the operator.
    """

    def __init__(self, settings: SqlSettings, listener: socket.socket, home: Path, log: Callable[[str], None]) -> None:
        self._listener = listener
        self._spill = settings.spill
        self._clients = 0
        self._is_over = False
        launch = Launch(_MODULE, home, (settings.to_json(),), descriptors=(settings.descriptor,))
        name = f"the process of {settings.where}"
        self._process = Supervised(name, launch, news=list, hear=self._hear, log=log, failure=UnavailableError)

    @property
    def up(self) -> int | None:
        """1 while it serves, else 0; None once it is not wanted any more."""
        return None if self._is_over else int(self._process.is_ready)

    @property
    def restarts(self) -> int | None:
        """How often another process was needed."""
        return None if self._is_over else self._process.restarts

    @property
    def clients(self) -> int | None:
        """Who is connected, and was let in."""
        if self._is_over:
            return None
        return self._clients if self._process.is_ready else 0

    @property
    def pid(self) -> int | None:
        """The process's id, while it runs."""
        return self._process.pid if not self._is_over and self._process.is_alive else None

    def problem(self) -> str | None:
        """Why nobody is served, or None."""
        return None if self._process.is_ready else "its process does not serve; it is being started"

    def begin(self) -> None:
        """Have it started; nobody waits for it."""
        self._process.begin()

    async def stop(self) -> None:
        """Tell its clients and have it end."""
        self._is_over = True
        await self._process.stop(_STOP_S)
        self._listener.close()
        await asyncio.to_thread(shutil.rmtree, self._spill, ignore_errors=True)  # of one that was killed

    def _hear(self, word: str, rest: str) -> bool:
        if word == "clients":
            self._clients = int(rest)
        elif word != "settled":
            raise ValueError(word)
        return word == "settled"
