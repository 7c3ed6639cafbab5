"""The requests of one connection of HTTP/2, each a stream (RFC 9113, 5.1 and 8.1): begun, filled, answered, ended.

What comes in: header blocks, content and resets of a client; answers. What goes out: calls of the
:class:`~stepsize.collector.http2.owner.Owner`, frames. Never keeps content. A rule that a client breaks ends its
stream, or the connection by a :class:`~stepsize.collector.http2.frames.ConnectionFault`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.http2 import frames
from stepsize.collector.http2.budget import RESET_COST
from stepsize.collector.http2.frames import END_STREAM, MAX_WINDOW, PADDED, ConnectionFault
from stepsize.collector.http2.headers import HeaderReader, trailers_fault
from stepsize.collector.http2.owner import MALFORMED, STREAMS
from stepsize.collector.http2.streams import FIRST_WINDOW, Ended, Stream

if TYPE_CHECKING:
    from stepsize.collector.http2.blocks import Block
    from stepsize.collector.http2.budget import Budget
    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.owner import Owner
    from stepsize.collector.http2.sending import Sender


class Requests:
    """One connection's.

    Args:
        owner: is told of requests.
        most: how many may be under way at a time.
        budget: pays for what leads to nothing.
        sender: sends answers.

    Attributes:
        open: streams of requests that are not answered, or whose answers are not sent, by number.
        working: requests that their owner works on although their streams are gone; they count as if they were open.
        highest: the last stream that began.
        last_served: streams after it are overlooked.
    """

    def __init__(self, owner: Owner, most: int, budget: Budget, sender: Sender) -> None:
        self._owner = owner
        self._most = most
        self._budget = budget
        self._sender = sender
        self._out = sender.out
        self._headers = HeaderReader()
        self._ended = Ended()
        self.open: dict[int, Stream] = {}
        self.working = 0
        self.highest = 0
        self.last_served = frames.MAX_STREAM

    def has_begun(self, number: int) -> bool:
        """Whether a stream is open or was."""
        return number <= self.highest and number % 2 == 1

    # what a client sends

    def said(self, block: Block) -> None:
        """A header block is there: of a new request, or at the end of one."""
        number, content = block.stream, block.content
        if number in self.open:
            self._trailers(self.open[number], block, content)
        elif number > self.highest:
            self.highest = number
            self._new(block, self._headers.head(content))
        elif self._ended.overlooks(number):
            self._headers.fields(content)  # what it says to the table counts all the same
        elif number in self._ended:
            raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream that has ended")
        else:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a new stream with a number below others")

    def _new(self, block: Block, head: Head) -> None:
        number = block.stream
        if number > self.last_served:
            self._ended.add(number, overlooked=True)
        elif len(self.open) + self.working >= self._most:
            self._owner.turned_away(STREAMS)
            self.refuse(number, frames.REFUSED_STREAM)
        elif head.fault or block.depends_on_itself:
            self._owner.turned_away(MALFORMED)
            self.refuse(number, frames.PROTOCOL_ERROR)
        else:
            stream = self.open[number] = Stream(number, self._sender.first_window, FIRST_WINDOW, head.length)
            self._owner.began(stream, head)
            if block.ends_stream:
                self._end_of_content(stream)

    def _trailers(self, stream: Stream, block: Block, content: bytes) -> None:
        fields = self._headers.fields(content)
        if stream.is_all_there:
            raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream whose client has ended it")
        if not block.ends_stream or trailers_fault(fields) or block.depends_on_itself:
            self.fail(stream, frames.PROTOCOL_ERROR)
        else:
            self._end_of_content(stream)

    def came(self, flags: int, number: int, payload: bytes) -> None:
        """Content of a request came."""
        stream = self.open.get(number)
        if stream is None:
            self._for_nobody(number)
            return
        if stream.is_all_there:
            self.fail(stream, frames.STREAM_CLOSED)
            return
        stream.receive_left -= len(payload)
        if stream.receive_left < 0:
            self.fail(stream, frames.FLOW_CONTROL_ERROR)
            return
        content = frames.unpadded(payload) if flags & PADDED else payload
        stream.received += len(content)
        if content and not stream.is_answered:
            self._owner.came(stream, content)
        if flags & END_STREAM and number in self.open:
            self._end_of_content(stream)

    def _end_of_content(self, stream: Stream) -> None:
        stream.is_all_there = True
        if stream.expected >= 0 and stream.expected != stream.received:
            self.fail(stream, frames.PROTOCOL_ERROR)
        elif not stream.is_answered:
            self._owner.ended(stream)

    def _for_nobody(self, number: int) -> None:
        if not self.has_begun(number):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame on a stream that has not begun")
        if not self._ended.overlooks(number):
            self._budget.spend()
            self._out.append(frames.reset(number, frames.STREAM_CLOSED))

    def reset(self, number: int) -> None:
        """The client waits for an answer no longer."""
        if not self.has_begun(number):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a reset of a stream that has not begun")
        self._budget.spend(RESET_COST)
        stream = self.open.get(number)
        if stream is not None:
            self._forget(stream, overlooked=False)

    def widen(self, number: int, size_bytes: int) -> None:
        """The client takes so much more of an answer."""
        stream = self.open.get(number)
        if stream is None:
            if not self.has_begun(number):
                raise ConnectionFault(frames.PROTOCOL_ERROR, "a window of a stream that has not begun")
            return
        stream.send_left += size_bytes
        if not size_bytes or stream.send_left > MAX_WINDOW:
            self.fail(stream, frames.FLOW_CONTROL_ERROR if size_bytes else frames.PROTOCOL_ERROR)
        elif self._sender.go_on_with(stream):
            self._finished(stream)

    # what we send

    def grant(self, stream: Stream, window_bytes: int) -> None:
        """Let so much content come on a stream, counted from now."""
        if window_bytes > stream.receive_left and not stream.is_all_there:
            self._out.append(frames.window_update(stream.number, window_bytes - stream.receive_left))
            stream.receive_left = window_bytes

    def answer(self, stream: Stream, head: bytes, content: bytes = b"", trailers: bytes = b"") -> None:
        """Answer with header blocks and content; without ``trailers`` the head is the end. Once a stream."""
        if stream.number not in self.open or stream.is_answered:
            return
        stream.is_answered = True
        self._budget.answered()
        if self._sender.answer(stream, head, content, trailers):
            self._finished(stream)

    def go_on(self) -> None:
        """Send what there is room for now."""
        for stream in self._sender.go_on():
            self._finished(stream)

    def _finished(self, stream: Stream) -> None:
        """All of an answer is sent: a client that still sends is told that it need not (RFC 9113, 8.1)."""
        if stream.is_all_there:
            self._forget(stream, overlooked=False)
        else:
            self._forget(stream, overlooked=True)
            self._out.append(frames.reset(stream.number, frames.NO_ERROR))

    # what ends without an answer

    def drop(self, stream: Stream, code: int) -> None:
        """End a stream."""
        if stream.number in self.open:
            self._forget(stream, overlooked=True)
            self._out.append(frames.reset(stream.number, code))

    def fail(self, stream: Stream, code: int) -> None:
        """End one whose client broke a rule."""
        self._budget.spend(RESET_COST)
        self.drop(stream, code)

    def refuse(self, number: int, code: int) -> None:
        """End one that is not open."""
        self._budget.spend(RESET_COST)
        self._ended.add(number, overlooked=True)
        self._out.append(frames.reset(number, code))

    def leave(self) -> None:
        """End all, as their connection ends."""
        for stream in list(self.open.values()):
            self._forget(stream, overlooked=True)

    def _forget(self, stream: Stream, *, overlooked: bool) -> None:
        del self.open[stream.number]
        self._ended.add(stream.number, overlooked=overlooked)
        if stream.last:
            self._sender.forget(stream)
        self._owner.gone(stream)
