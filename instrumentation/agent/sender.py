"""Sends batches in a thread of its own, so that a collector that hangs never delays a sample.

What comes in: sealed batches. What goes out: exports, in order, each until it is taken. What is not taken is kept up
to a bound and sent again with growing pauses; beyond the bound the oldest batches are thinned to the last point of
each series, then dropped, and both are counted.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from stepsize.instrumentation.agent import points

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.export import MetricsData

    from stepsize.instrumentation.agent.points import Batch

MAX_POINTS = 200_000
"""Points kept while nobody takes them: about 25 MB, two hours of one attempt."""
MAX_REQUEST_POINTS = 10_000
"""Points in one request: half a megabyte, far below gRPC's bound of four."""
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 30.0

_log = logging.getLogger(__name__)


class Delivery(enum.Enum):
    """What became of an export."""

    TAKEN = "taken"
    FAILED = "failed"
    """May succeed later."""
    REFUSED = "refused"
    """Will be refused however often it is sent."""


class Destination(Protocol):
    """Where points go. Called from the sender's thread alone; may block."""

    def export(self, data: MetricsData) -> Delivery:
        """Send; never raises."""

    def close(self) -> None:
        """Let go of whatever it holds."""


class Sender:
    """Owns what is not yet acknowledged.

    Args:
        destination: made in the sender's thread, since that takes time.
        point_attributes: whether flow, run and step are copied onto points.
        progress: called from the sender's thread after each attempt to send.
    """

    def __init__(
        self,
        destination: Callable[[], Destination],
        *,
        point_attributes: bool,
        progress: Callable[[], None],
        max_points: int = MAX_POINTS,
    ) -> None:
        self._make = destination
        self._point_attributes = point_attributes
        self._progress = progress
        self._max_points = max_points
        self._batches: deque[Batch] = deque()
        self._changed = threading.Condition()
        self._sealed = 0
        self._settled = 0
        self._unsent = 0
        self._dropped = 0
        self._hurried = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, batch: Batch) -> int:
        """Take a batch; its number, which `settled` reaches when everything up to it was taken or given up."""
        with self._changed:
            self._batches.append(batch)
            self._sealed += 1
            self._unsent += batch.points
            self._bound()
            self._changed.notify_all()
            return self._sealed

    def hurry(self) -> None:
        """Try again now, however long the pause was going to be."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    @property
    def settled(self) -> int:
        """The number of the last batch that was taken or given up, all before it too; read before `dropped_points`."""
        return self._settled

    @property
    def sealed(self) -> int:
        """The number of the last batch that was put."""
        return self._sealed

    @property
    def unsent_points(self) -> int:
        """Points that nobody has taken yet."""
        return self._unsent

    @property
    def dropped_points(self) -> int:
        """Points that were given up, at the bound or because they were refused."""
        return self._dropped

    def stop(self, timeout_s: float) -> None:
        """End the thread; an export under way is waited for no longer than ``timeout_s``."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        destination: Destination | None = None
        pause_s = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._batches)
                if pause_s:
                    self._changed.wait_for(lambda: self._stopping or self._hurried, pause_s)
                self._hurried = False
                if self._stopping:
                    break
                waiting = list(islice(self._batches, 0, 1024))
            destination = destination or self._open()
            delivery = Delivery.FAILED if destination is None else self._send(destination, waiting)
            pause_s = 0.0 if delivery is not Delivery.FAILED else min(_LAST_PAUSE_S, max(_FIRST_PAUSE_S, pause_s * 2))
            self._progress()
        if destination is not None:
            destination.close()

    def _open(self) -> Destination | None:
        try:
            return self._make()
        except Exception:  # noqa: BLE001 - a setting that an exporter refuses is no reason to stop sampling
            _log.exception("cannot make an exporter")
            return None

    def _send(self, destination: Destination, waiting: list[Batch]) -> Delivery:
        resources, taken = points.merge(waiting, MAX_REQUEST_POINTS)
        try:
            data = points.to_metrics_data(resources, point_attributes=self._point_attributes)
        except Exception:  # noqa: BLE001 - what cannot be turned into points now never can
            _log.exception("dropped %d batches", taken)
            delivery = Delivery.REFUSED
        else:
            delivery = destination.export(data)
        if delivery is not Delivery.FAILED:
            with self._changed:
                for batch in waiting[:taken]:
                    if self._batches and self._batches[0] is batch:  # else it was dropped meanwhile
                        self._settle(delivered=delivery is Delivery.TAKEN)
        if delivery is Delivery.REFUSED:
            _log.warning("the collector refused %d batches for good; they were dropped", taken)
        return delivery

    def _bound(self) -> None:
        """Keep what is unsent within its bound, the oldest points giving way first."""
        for batch in self._batches:
            if self._unsent <= self._max_points:
                return
            if not batch.thinned:
                dropped = batch.thin()
                self._unsent -= dropped
                self._dropped += dropped
        while self._unsent > self._max_points and len(self._batches) > 1:
            self._settle(delivered=False)

    def _settle(self, *, delivered: bool) -> None:
        """Let go of the oldest batch. Dropped is counted before settled: the agent reads both without the lock."""
        batch = self._batches.popleft()
        self._unsent -= batch.points
        if not delivered:
            self._dropped += batch.points
        self._settled += 1
