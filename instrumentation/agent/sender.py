"""Sends batches in a thread of its own, so that a collector that hangs never delays a sample.

What comes in: sealed batches. What goes out: requests, in order, each until it is taken or given up. A request that
was tried is sent again byte for byte, so that a collector which took it, but whose answer was lost, can tell. What is
not taken is kept in memory for a while, then in the spool, from where it is sent once fresh points have been. Where
there is no disk to keep it on, it stays in memory up to a bound; beyond, the oldest batches are thinned to the last
point of each series, then dropped. Whatever is lost is counted by why.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.delivery import Answer, Delivery
from stepsize.instrumentation.agent.losses import Losses
from stepsize.instrumentation.agent.split import split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.agent.delivery import Destination, Request
    from stepsize.instrumentation.agent.points import Batch, ResourcePoints
    from stepsize.instrumentation.agent.spool import Spool, Spooled

    Seal = Callable[[Sequence[ResourcePoints]], Request]
    """Writes points down as a request. Called from the sender's thread, as it imports much the first time."""

MAX_REQUEST_POINTS = 10_000
"""Points in one request: half a megabyte, far below gRPC's bound of four."""
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 30.0
_BARRED_PAUSE_S = 30.0
_MAX_FAULTS = 5
"""A server that broke over one request so often will do so again."""
_KEPT = frozenset({Delivery.LATER, Delivery.FAULT, Delivery.BARRED})
"""After these a request may still be taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept in memory, and how soon a disk that failed is used again.

    Attributes:
        max_points: at most so many: about 25 MB, two hours of one attempt.
        spill_points: once nobody takes them, points beyond so many go to the spool, all of them.
        spill_after_s: and so they do once nobody has taken any for so long.
        disk_pause_s: after a fault of the disk it is left alone for so long.
    """

    max_points: int = 200_000
    spill_points: int = 20_000
    spill_after_s: float = 60.0
    disk_pause_s: float = 60.0


@dataclass(slots=True)
class _Outgoing:
    """A request on its way: of so many batches, or a file of the spool."""

    request: Request
    batches: int = 0
    spooled: Spooled | None = None
    faults: int = 0


class Sender:
    """Owns what is not yet acknowledged.

    Args:
        destination: made in the sender's thread, since that takes time.
        seal: writes points down as a request.
        progress: called from the sender's thread after each attempt to send.
        spool: where requests wait that nobody takes; without, all stays in memory.
        bounds: of memory.
    """

    def __init__(
        self,
        destination: Callable[[], Destination],
        seal: Seal,
        *,
        progress: Callable[[], None],
        spool: Spool | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._make = destination
        self._destination: Destination | None = None
        self._seal = seal
        self._progress = progress
        self._spool = spool
        self._bounds = bounds or Bounds()
        self._fresh: deque[Batch] = deque()
        self._sealing: list[Batch] = []
        self._tried: deque[_Outgoing] = deque()
        self._loaded: _Outgoing | None = None
        self._dealt_with: Spooled | None = None
        self._changed = threading.Condition()
        self._sealed = 0
        self._settled = 0
        self._points = 0
        self._losses = Losses()
        self._failing_since_s: float | None = None
        self._write_not_before_s = self._read_not_before_s = 0.0
        self._has_looked = spool is None
        self._hurried = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, batch: Batch) -> int:
        """Take a batch; its number, which `settled` reaches when everything up to it was dealt with."""
        with self._changed:
            self._fresh.append(batch)
            self._sealed += 1
            self._points += batch.points
            self._keep_within_memory()
            self._changed.notify_all()
            return self._sealed

    def hurry(self) -> None:
        """Try again now, unless the collector asked to be left alone."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    @property
    def settled(self) -> int:
        """The number of the last batch that was taken, given up or spooled, all before it too.

        To be read before `losses` and `spooled_points`.
        """
        return self._settled

    @property
    def sealed(self) -> int:
        """The number of the last batch that was put."""
        return self._sealed

    @property
    def unsent_points(self) -> int:
        """Points that nobody has taken yet, those on disk too."""
        return self._points + self.spooled_points

    @property
    def held_points(self) -> int:
        """Points that nobody has taken yet and that would be lost with this process."""
        return self._points

    @property
    def has_looked(self) -> bool:
        """Whether it is known what an earlier agent left on disk."""
        return self._has_looked

    @property
    def spooled_points(self) -> int:
        """Points that wait on disk for this agent."""
        return 0 if self._spool is None else self._spool.points

    @property
    def losses(self) -> Losses:
        """Points that were given up."""
        if self._spool is None:
            return self._losses
        own, spool = self._losses, self._spool
        return Losses(own.refused, own.rejected, own.memory, spool.dropped_points, spool.damaged_points)

    def stop(self, timeout_s: float) -> None:
        """End the thread, for which an export under way is waited for no longer than ``timeout_s``, and spool the rest.

        What an export that goes on without us is about to deliver is spooled too: sent again it is the same request.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._spill()
        if self._points:
            _log.warning("%d points were never taken and are lost", self._points)
        if self._spool is not None:
            self._spool.close()

    def _run(self) -> None:
        self._look_at_spool()
        self._has_looked = True
        self._progress()
        pause_s, bidden = 0.0, False
        while self._wait(pause_s, bidden=bidden):
            outgoing = self._next()
            if outgoing is None:
                pause_s, bidden = 0.0, False
                continue
            answer = self._send(outgoing)
            delivery = self._conclude(outgoing, answer)
            pause_s = self._pause_after(delivery, answer.retry_after_s, pause_s)
            bidden = answer.retry_after_s is not None
            self._spill_if_stuck()
            self._progress()
        if self._destination is not None:
            self._destination.close()

    def _wait(self, pause_s: float, *, bidden: bool) -> bool:
        """Until there is something to send and it may be sent; whether to go on.

        A pause that the collector asked for is not cut short by hurry.
        """
        until_s = time.monotonic() + pause_s
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._stopping or self._has_work(), self._until_disk_s()):
                    continue
                left_s = until_s - time.monotonic()
                if left_s > 0 and (bidden or not self._hurried):
                    self._changed.wait_for(
                        lambda: self._stopping or self._is_full() or (self._hurried and not bidden), left_s
                    )
                if self._stopping:
                    return False
                if time.monotonic() >= until_s or (self._hurried and not bidden):
                    self._hurried = False
                    return True
            self._spill_if_stuck()

    def _has_work(self) -> bool:
        return bool(self._fresh or self._tried or self._loaded or self._until_disk_s() == 0)

    def _until_disk_s(self) -> float | None:
        """Until what is on disk may be read; ``None`` where nothing is there."""
        return max(0.0, self._read_not_before_s - time.monotonic()) if self.spooled_points else None

    def _is_full(self) -> bool:
        """Whether there is more in memory than should be while nobody takes it, and a disk to put it on."""
        return self._points > self._bounds.spill_points and self._disk_may_take()

    def _disk_may_take(self) -> bool:
        return self._spool is not None and time.monotonic() >= self._write_not_before_s

    def _pause_after(self, delivery: Delivery, retry_after_s: float | None, pause_s: float) -> float:
        if retry_after_s is not None:
            return retry_after_s
        if delivery in (Delivery.LATER, Delivery.FAULT):
            return min(_LAST_PAUSE_S, max(_FIRST_PAUSE_S, pause_s * 2))
        return _BARRED_PAUSE_S if delivery is Delivery.BARRED else 0.0

    def _next(self) -> _Outgoing | None:
        """What to send now: what was tried, then what is fresh, and what is on disk when nothing else waits."""
        with self._changed:
            if self._tried:
                return self._tried[0]
            if self._fresh:
                self._sealing = self._take_fresh()
        if self._sealing:
            return self._seal_fresh()
        return self._load()

    def _take_fresh(self) -> list[Batch]:
        """As many of the oldest batches as fit into one request; at least one."""
        taken: list[Batch] = []
        points = 0
        while self._fresh and (not taken or points + self._fresh[0].points <= MAX_REQUEST_POINTS):
            batch = self._fresh.popleft()
            points += batch.points
            taken.append(batch)
        return taken

    def _seal_fresh(self) -> _Outgoing | None:
        """Write down what was taken; from here on it is these bytes."""
        batches = self._sealing
        resources = [resource for batch in batches for resource in batch.resources]
        points = sum(batch.points for batch in batches)
        outgoing = None
        try:
            outgoing = _Outgoing(self._seal(resources), len(batches))
        except Exception:  # noqa: BLE001 - what cannot be turned into points now never can
            _log.exception("dropped %d points", points)
        with self._changed:
            if self._sealing is not batches:
                return None  # the agent ends, and has written them down itself
            self._sealing = []
            if outgoing is None:
                self._lose(refused=points)
                self._points -= points
                self._settled += len(batches)
            else:
                self._points += outgoing.request.points - points
                self._tried.append(outgoing)
        return outgoing

    def _look_at_spool(self) -> None:
        """An earlier agent may have left something."""
        if self._spool is not None:
            try:
                self._spool.look()
            except OSError as error:
                _log.warning("cannot read the spool: %s", error)

    def _load(self) -> _Outgoing | None:
        if self._loaded is None and self._spool is not None and self._until_disk_s() == 0:
            try:
                self._remove_dealt_with(self._spool)
                spooled = self._spool.oldest()
            except OSError as error:
                self._leave_disk_alone(error)
                spooled = None
            if spooled is not None:
                self._loaded = _Outgoing(spooled.request, spooled=spooled)
        return self._loaded

    def _remove_dealt_with(self, spool: Spool) -> None:
        """Remove a request from disk that must not be sent again.

        Raises:
            OSError: it cannot be removed.
        """
        if self._dealt_with is not None:
            spool.remove(self._dealt_with)
            self._dealt_with = None

    def _leave_disk_alone(self, error: OSError) -> None:
        """What fails now would fail again at once, and again."""
        _log.warning("cannot read the spool or remove what was sent of it: %s", error)
        self._read_not_before_s = time.monotonic() + self._bounds.disk_pause_s

    def _send(self, outgoing: _Outgoing) -> Answer:
        if self._destination is None:
            try:
                self._destination = self._make()
            except Exception as error:  # noqa: BLE001 - a setting that an exporter refuses is no reason to stop sampling
                _log.exception("cannot make an exporter")
                return Answer(Delivery.LATER, str(error))
        try:
            return self._destination.send(outgoing.request)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, its points are kept and sent again
            _log.exception("the exporter failed")
            return Answer(Delivery.LATER, str(error))

    def _conclude(self, outgoing: _Outgoing, answer: Answer) -> Delivery:
        """Let go of a request that is dealt with; keep it where it may still be taken.

        What takes long is done without the lock, for which the agent's loop would wait.

        Returns:
            What became of it: a server that broke over it too often has refused it.
        """
        delivery, points = answer.delivery, outgoing.request.points
        if delivery is Delivery.FAULT:
            outgoing.faults += 1
            if outgoing.faults >= _MAX_FAULTS:
                delivery = Delivery.REFUSED
        if delivery in _KEPT:
            if self._failing_since_s is None:
                self._failing_since_s = time.monotonic()
                _log.warning("%d points wait: %s", points, answer.reason)
            return delivery
        self._failing_since_s = None
        if delivery is Delivery.TOO_LARGE:
            halves = self._halves(outgoing.request)
            if halves is not None:
                self._replace(outgoing, halves)
                return delivery
            delivery = Delivery.REFUSED
        if delivery is Delivery.REFUSED:
            self._lose(refused=points)
            _log.warning("%d points were refused for good and dropped: %s", points, answer.reason)
        elif answer.rejected_points:
            self._lose(rejected=answer.rejected_points)
            _log.warning("%d of %d points were rejected: %s", answer.rejected_points, points, answer.reason)
        self._let_go(outgoing)
        return delivery

    def _halves(self, request: Request) -> tuple[Request, Request] | None:
        try:
            return split(request)
        except (ValueError, KeyError, TypeError, AttributeError):
            _log.exception("a request cannot be split")
            return None

    def _replace(self, outgoing: _Outgoing, halves: tuple[Request, Request]) -> None:
        """Have the halves sent in place of a request that was too large, from disk where that came from there.

        Where the disk does not take them they are sent from memory, where a kill would lose them.
        """
        if outgoing.spooled is not None and self._replace_on_disk(outgoing.spooled, halves):
            return
        rest = [_Outgoing(halves[0]), _Outgoing(halves[1], outgoing.batches)]
        with self._changed:
            if outgoing.spooled is not None:
                self._points += outgoing.request.points
            elif self._tried and self._tried[0] is outgoing:
                self._tried.popleft()
            else:
                return  # the agent ends, and has spooled it as it was
            self._tried.extendleft(reversed(rest))
        if outgoing.spooled is not None:
            self._let_go(outgoing)

    def _replace_on_disk(self, spooled: Spooled, halves: tuple[Request, Request]) -> bool:
        """Whether the halves are on disk now, and the request is not."""
        if self._spool is None:
            return False
        try:
            self._spool.replace(spooled, halves)
        except OSError as error:
            _log.warning("cannot spool the halves of %s: %s", spooled.path, error)
            return False
        self._loaded = None
        return True

    def _let_go(self, outgoing: _Outgoing) -> None:
        """The caller has counted what was lost: the agent reads that after `settled`, without the lock."""
        if outgoing.spooled is None:
            with self._changed:
                if self._tried and self._tried[0] is outgoing:
                    self._tried.popleft()
                    self._points -= outgoing.request.points
                    self._settled += outgoing.batches
        elif self._spool is not None:
            self._loaded, self._dealt_with = None, outgoing.spooled
            try:
                self._remove_dealt_with(self._spool)
            except OSError as error:
                self._leave_disk_alone(error)

    def _spill_if_stuck(self) -> None:
        """To disk with everything, once it has waited long enough or there is too much of it."""
        with self._changed:
            since_s = self._failing_since_s
            stuck = since_s is not None and (
                self._is_full() or time.monotonic() - since_s >= self._bounds.spill_after_s
            )
        if stuck and self._disk_may_take():
            self._spill()

    def _spill(self) -> None:
        """Write everything that is in memory to the spool, the oldest first, as far as the disk takes it."""
        while self._spool is not None:
            with self._changed:
                outgoing = self._tried[0] if self._tried else None
                if outgoing is None and not self._sealing:
                    self._sealing = self._take_fresh()
                if outgoing is None and not self._sealing:
                    return
            if outgoing is None:
                self._seal_fresh()
                continue
            try:
                self._spool.add(outgoing.request)
            except OSError as error:
                _log.warning("cannot spool %d points: %s", outgoing.request.points, error)
                self._write_not_before_s = time.monotonic() + self._bounds.disk_pause_s
                return
            self._let_go(outgoing)

    def _keep_within_memory(self) -> None:
        """Keep what is in memory within its bound, the oldest points giving way first."""
        for batch in self._fresh:
            if self._points <= self._bounds.max_points:
                return
            if not batch.thinned:
                thinned = batch.thin()
                self._points -= thinned
                self._lose(memory=thinned)
        while self._points > self._bounds.max_points and len(self._fresh) > 1:
            batch = self._fresh.popleft()
            self._lose(memory=batch.points)
            self._points -= batch.points
            self._settled += 1

    def _lose(self, *, refused: int = 0, rejected: int = 0, memory: int = 0) -> None:
        with self._changed:
            before = self._losses
            self._losses = Losses(before.refused + refused, before.rejected + rejected, before.memory + memory)
