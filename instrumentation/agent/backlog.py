"""What is in memory until somebody takes it: batches, and the requests that they become when they are first tried.

What comes in: batches, in the agent's thread. What goes out: requests, oldest first. A request is these bytes from then
on. Bounded in points: beyond, the oldest batches are thinned to the last point of each series, then dropped. What is
lost is counted by why. Any thread may call anything; nothing in here does I/O.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.agent.delivery import Request
    from stepsize.instrumentation.agent.points import Batch, ResourcePoints
    from stepsize.instrumentation.agent.spool import Spooled

    Seal = Callable[[Sequence[ResourcePoints]], Request]
    """Writes points down as a request. Not called from the agent's thread but at the end: it imports much at first."""

MAX_REQUEST_POINTS = 10_000
"""Points in one request: half a megabyte, far below gRPC's bound of four."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outgoing:
    """A request on its way: of so many batches, or a file of the spool."""

    request: Request
    batches: int = 0
    spooled: Spooled | None = None
    faults: int = 0


class Backlog:
    """What is in memory.

    Args:
        seal: writes points down as a request.
        max_points: the bound.
    """

    def __init__(self, seal: Seal, max_points: int) -> None:
        self.changed = threading.Condition()
        """Notified when a batch comes in. Whoever holds it sees all of this at one moment."""
        self._seal = seal
        self._max_points = max_points
        self._fresh: deque[Batch] = deque()
        self._sealing: list[Batch] = []
        self._tried: deque[Outgoing] = deque()
        self._sealed = 0
        self._settled = 0
        self._points = 0
        self._losses = Losses()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be sent; what is being written down just now does not count."""
        return not (self._fresh or self._tried)

    @property
    def sealed(self) -> int:
        """The number of the last batch that was put."""
        return self._sealed

    @property
    def settled(self) -> int:
        """The number of the last batch that was let go of, all before it too."""
        return self._settled

    @property
    def points(self) -> int:
        """How many are in here."""
        return self._points

    @property
    def losses(self) -> Losses:
        """Points that were given up."""
        return self._losses

    def put(self, batch: Batch) -> int:
        """Take a batch; its number, which `settled` reaches when everything up to it was dealt with."""
        with self.changed:
            self._fresh.append(batch)
            self._sealed += 1
            self._points += batch.points
            self._keep_within_bound()
            self.changed.notify_all()
            return self._sealed

    def oldest(self) -> Outgoing | None:
        """What was tried and not let go of, else what is fresh, written down now; ``None`` where nothing could be."""
        while True:
            with self.changed:
                if self._tried:
                    return self._tried[0]
                if not self._sealing:
                    self._sealing = self._take_fresh()
                if not self._sealing:
                    return None
            self._seal_fresh()

    def let_go(self, outgoing: Outgoing) -> None:
        """Forget a request that was dealt with. The caller has counted what was lost of it: that is read afterwards."""
        with self.changed:
            if self._tried and self._tried[0] is outgoing:
                self._tried.popleft()
                self._points -= outgoing.request.points
                self._settled += outgoing.batches

    def split(self, outgoing: Outgoing, halves: tuple[Request, Request]) -> None:
        """Have the halves sent in place of a request, unless that has been let go of meanwhile."""
        with self.changed:
            if self._tried and self._tried[0] is outgoing:
                self._tried.popleft()
                self._put_first(halves, outgoing.batches)

    def take_back(self, halves: tuple[Request, Request]) -> None:
        """Have two requests sent that were on disk as one."""
        with self.changed:
            self._points += sum(half.points for half in halves)
            self._put_first(halves, 0)

    def lose(self, *, refused: int = 0, rejected: int = 0, memory: int = 0) -> None:
        """Count points that were given up."""
        with self.changed:
            before = self._losses
            self._losses = Losses(before.refused + refused, before.rejected + rejected, before.memory + memory)

    def _put_first(self, halves: tuple[Request, Request], batches: int) -> None:
        self._tried.extendleft((Outgoing(halves[1], batches), Outgoing(halves[0])))

    def _take_fresh(self) -> list[Batch]:
        """As many of the oldest batches as fit into one request; at least one."""
        taken: list[Batch] = []
        points = 0
        while self._fresh and (not taken or points + self._fresh[0].points <= MAX_REQUEST_POINTS):
            batch = self._fresh.popleft()
            points += batch.points
            taken.append(batch)
        return taken

    def _seal_fresh(self) -> None:
        """Write down what was taken, without the lock, for which the agent's loop would wait."""
        batches = self._sealing
        resources = [resource for batch in batches for resource in batch.resources]
        points = sum(batch.points for batch in batches)
        outgoing = None
        try:
            outgoing = Outgoing(self._seal(resources), len(batches))
        except Exception:  # noqa: BLE001 - what cannot be turned into points now never can
            _log.exception("dropped %d points", points)
        with self.changed:
            if self._sealing is not batches:
                return  # the agent ends, and has written them down itself
            self._sealing = []
            if outgoing is None:
                self.lose(refused=points)
                self._points -= points
                self._settled += len(batches)
            else:
                self._points += outgoing.request.points - points
                self._tried.append(outgoing)

    def _keep_within_bound(self) -> None:
        """The oldest points give way first."""
        for batch in self._fresh:
            if self._points <= self._max_points:
                return
            if not batch.thinned:
                thinned = batch.thin()
                self._points -= thinned
                self.lose(memory=thinned)
        while self._points > self._max_points and len(self._fresh) > 1:
            batch = self._fresh.popleft()
            self.lose(memory=batch.points)
            self._points -= batch.points
            self._settled += 1
