"""Streams of a connection (RFC 9113, 5): which are open, and what may be sent and received on each.

What comes in: nothing. What goes out: records that :class:`~stepsize.collector.http2.requests.Requests` keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FIRST_WINDOW = 65_535
"""Bytes of content that may be sent on a stream before the other side lets more come (RFC 9113, 6.9.2)."""
_REMEMBERED = 256


@dataclass(slots=True)
class Stream:
    """One that is open.

    Attributes:
        number: its identifier.
        send_left, receive_left: bytes of content that each side may still send; a change of settings can make the first
            negative.
        expected: what its ``content-length`` says; -1 where it says nothing.
        received: bytes of content that have come.
        is_all_there: whether the client has ended its side.
        is_answered: whether we have, or will as soon as the client lets us send the rest.
        rest, last: content that waits for room, and the trailers' block after it.
        call: what the connection's owner keeps with it.
    """

    number: int
    send_left: int
    receive_left: int
    expected: int = -1
    received: int = 0
    is_all_there: bool = False
    is_answered: bool = False
    rest: bytes = b""
    last: bytes = b""
    call: Any = None


class Ended:
    """The last streams that ended, and whether what still comes for them is to be overlooked."""

    def __init__(self) -> None:
        self._streams: dict[int, bool] = {}

    def add(self, number: int, *, overlooked: bool) -> None:
        """One has ended; ``overlooked`` where we ended it, and the client may not know yet."""
        self._streams[number] = overlooked
        if len(self._streams) > _REMEMBERED:
            del self._streams[next(iter(self._streams))]

    def overlooks(self, number: int) -> bool:
        """Whether what comes for it is to be overlooked."""
        return self._streams.get(number, False)

    def __contains__(self, number: int) -> bool:
        return number in self._streams
