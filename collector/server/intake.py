"""The way in: checked requests are handed to an intake, which acknowledges what is durable.

What comes in: checked requests. What goes out: nothing, once they are on disk, or an error that says whether to send
again. Never keeps a request in memory after it was answered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.server.refusals import MEMORY, BusyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.otlp.request import CheckedRequest
    from stepsize.collector.pipelines.fanout import Appender


class Intake:
    """Appends requests to the log.

    Args:
        wal: the log.
        gates: each says why nothing can be taken now, or None (see the ``memory_limiter`` processor).
    """

    def __init__(
        self,
        wal: Appender,
        gates: Sequence[Callable[[], str | None]] = (),
    ) -> None:
        self._wal = wal
        self._gates = gates

    def check(self) -> None:
        """Return where requests can be taken now.

        Raises:
            BusyError: they cannot; they may be sent again.
        """
        for gate in self._gates:
            if reason := gate():
                raise BusyError(reason, MEMORY)

    async def take(self, checked: CheckedRequest) -> None:
        """Return once a request is on disk.

        Raises:
            UnavailableError: it was not taken; it may be sent again.
        """
        if checked.content:
            await self._wal.append(checked.content)
