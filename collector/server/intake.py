"""The one way in: every receiver hands its requests to an intake, which acknowledges what is durable.

What comes in: request bytes, or a parsed JSON request. What goes out: what was accepted, or an error that says whether
to send again. Never keeps a request in memory after it was answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.otlp.request import CheckedRequest, check_message, check_request
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.wal.writer import WalWriter


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many points of a request were not kept, and why."""

    rejected_points: int = 0
    reason: str = ""


class Intake:
    """Checks requests and appends them to the log.

    Args:
        wal: the log.
        gates: each says why nothing can be taken now, or None (see the ``memory_limiter`` processor).
        observers: are shown every request that was taken (see the ``debug`` exporter).
    """

    def __init__(
        self,
        wal: WalWriter,
        gates: Sequence[Callable[[], str | None]] = (),
        observers: Sequence[Callable[[Any], None]] = (),
    ) -> None:
        self._wal = wal
        self._gates = gates
        self._observers = observers

    async def accept(self, content: bytes) -> Accepted:
        """Take a request as it was sent.

        Raises:
            DataError: it is not valid; sending it again is of no use.
            UnavailableError: it was not taken; it may be sent again.
        """
        self._check_gates()
        return await self._take(check_request(content))

    async def accept_message(self, message: Any) -> Accepted:
        """Take a request that is parsed already; errors as :meth:`accept`."""
        self._check_gates()
        return await self._take(check_message(message))

    async def _take(self, checked: CheckedRequest) -> Accepted:
        if checked.content:
            await self._wal.append(checked.content)
            for observe in self._observers:
                observe(checked.message)
        return Accepted(checked.rejected_points, checked.reason)

    def _check_gates(self) -> None:
        for gate in self._gates:
            if reason := gate():
                raise UnavailableError(reason)
