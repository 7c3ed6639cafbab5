"""What gRPC connections and the service that answers their calls know of each other, and the bounds of a server.

What comes in: nothing. What goes out: values. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepsize.collector.http2.owner import Limits

if TYPE_CHECKING:
    import asyncio

    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream
    from stepsize.collector.server.refusals import Refusal
    from stepsize.errors import StepsizeError

WRITE_S = 30.0
"""How long a client may take to read answers."""


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds of a server, in bytes and seconds.

    Attributes:
        message_bytes: a message, as it is sent.
        read_timeout_s: for a message to arrive.
        connections: at once.
        first_call_s: a connection on which no call has been let through ends after so long.
        idle_s, age_s: a connection without calls, and any, ends after so long; 0 is never.
        age_grace_s: calls may run so much longer then; 0 is as long as they like.
        ping_after_s, ping_timeout_s: a client that is silent for so long is asked whether it is there, and has so long
            to answer.
        http2: bounds of a connection's protocol.
    """

    message_bytes: int = 20 << 20
    read_timeout_s: float = 30.0
    connections: int = 4096
    first_call_s: float = 75.0
    idle_s: float = 0.0
    age_s: float = 0.0
    age_grace_s: float = 0.0
    ping_after_s: float = 7200.0
    ping_timeout_s: float = 20.0
    http2: Limits = Limits()  # noqa: RUF009 - it is frozen


@dataclass(slots=True, eq=False)
class Call:
    """One call while it lasts.

    Attributes:
        stream: where it came.
        encoding: how its client says that the message is packed, if it is.
        deadline_s: until when its message has to be there, and later, until when its answer has to be read.
        admission: ends with why its sender is turned away, or None; None where nobody has to be asked.
        held_bytes: room that it takes besides its message, as long as its stream is open or it is worked on.
        content: what has come of its message, prefix included; it takes room as long as it is here.
        whole_bytes: what the prefix says that there will be, prefix included; 0 before it has come.
        is_worked_on: whether its message is there and its answer is not.
        is_gone: whether nobody waits for the answer any more.
    """

    stream: Stream
    encoding: str
    deadline_s: float
    admission: asyncio.Future[Refusal | None] | None = None
    held_bytes: int = 0
    content: bytes | bytearray = b""
    whole_bytes: int = 0
    is_worked_on: bool = False
    is_gone: bool = False


class Service(Protocol):
    """What answers calls."""

    def opened(self, call: Call, head: Head) -> Refusal | None:
        """A call begins: why it is turned away before its message is read, or None; may set its ``admission``.

        Raises:
            StepsizeError: it is turned away as well.
        """
        ...

    async def answer(self, message: bytes, encoding: str) -> bytes:
        """The answer to the one message of a call, packed with ``encoding``; "" where it is not packed.

        Raises:
            StepsizeError: it is turned away.
        """
        ...

    def turn_away(self, error: StepsizeError) -> Refusal:
        """Count a call that ended in ``error``; how to tell its client."""
        ...

    def refused(self, bound: str) -> None:
        """Count a call or connection that was turned away because of ``bound``."""
        ...
