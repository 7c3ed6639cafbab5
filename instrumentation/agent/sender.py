"""Sends batches in a thread of its own, so that a collector that hangs never delays a sample.

What comes in: sealed batches. What goes out: requests, in order, each until it is taken or given up. A request that
was tried is sent again byte for byte, so that a collector which took it, but whose answer was lost, can tell. What is
not taken is kept in memory for a while (`backlog.py`), then on disk (`disk.py`), from where it is sent once fresh
points have been. Where there is no disk to keep it on, it stays in memory up to a bound. Whatever is lost is counted by
why.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.backlog import Backlog, Outgoing
from stepsize.instrumentation.agent.delivery import Answer, Delivery
from stepsize.instrumentation.agent.losses import Losses
from stepsize.instrumentation.agent.split import split

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.instrumentation.agent.backlog import Seal
    from stepsize.instrumentation.agent.delivery import Destination, Request
    from stepsize.instrumentation.agent.disk import Disk
    from stepsize.instrumentation.agent.points import Batch

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.5, 30.0
_BARRED_PAUSE_S = 30.0
_MAX_FAULTS = 5
"""A server that broke over one request so often will do so again."""
_KEPT = frozenset({Delivery.LATER, Delivery.FAULT, Delivery.BARRED})
"""After these a request may still be taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is kept in memory.

    Attributes:
        max_points: at most so many: about 25 MB, two hours of one attempt.
        spill_points: once nobody takes them, points beyond so many go to the disk, all of them.
        spill_after_s: and so they do once nobody has taken any for so long.
    """

    max_points: int = 200_000
    spill_points: int = 20_000
    spill_after_s: float = 60.0


class Sender:
    """Owns what is not yet acknowledged.

    Args:
        destination: made in the sender's thread, since that takes time.
        seal: writes points down as a request.
        progress: called from the sender's thread after each attempt to send.
        disk: where requests wait that nobody takes; without, all stays in memory.
        bounds: of memory.
    """

    def __init__(
        self,
        destination: Callable[[], Destination],
        seal: Seal,
        *,
        progress: Callable[[], None],
        disk: Disk | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self._make = destination
        self._destination: Destination | None = None
        self._progress = progress
        self._disk = disk
        self._bounds = bounds or Bounds()
        self._backlog = Backlog(seal, self._bounds.max_points)
        self._changed = self._backlog.changed
        self._loaded: Outgoing | None = None
        self._failing_since_s: float | None = None
        self._looks_asked, self._looks_done = 1, 0
        self._hurried = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, batch: Batch) -> int:
        """Take a batch; its number, which `settled` reaches when everything up to it was dealt with."""
        return self._backlog.put(batch)

    def hurry(self) -> None:
        """Try again now, unless the collector asked to be left alone, and see what there is on disk by now."""
        with self._changed:
            self._hurried = True
            self._looks_asked += 1
            self._changed.notify_all()

    @property
    def settled(self) -> int:
        """The number of the last batch that was taken, given up or spooled, all before it too.

        To be read before `losses` and `spooled_points`.
        """
        return self._backlog.settled

    @property
    def sealed(self) -> int:
        """The number of the last batch that was put."""
        return self._backlog.sealed

    @property
    def unsent_points(self) -> int:
        """Points that nobody has taken yet, those on disk too."""
        return self._backlog.points + self.spooled_points

    @property
    def held_points(self) -> int:
        """Points that nobody has taken yet and that would be lost with this process."""
        return self._backlog.points

    @property
    def has_looked(self) -> bool:
        """Whether it is known what other agents had left on disk when `hurry` was called last."""
        return self._disk is None or self._looks_done == self._looks_asked

    @property
    def spooled_points(self) -> int:
        """Points that wait on disk for this agent."""
        return 0 if self._disk is None else self._disk.points

    @property
    def losses(self) -> Losses:
        """Points that were given up."""
        own, disk = self._backlog.losses, self._disk
        if disk is None:
            return own
        return Losses(own.refused, own.rejected, own.memory, disk.dropped_points, disk.damaged_points)

    def stop(self, timeout_s: float) -> None:
        """End the thread, for which an export under way is waited for no longer than ``timeout_s``, and spool the rest.

        What an export that goes on without us is about to deliver is spooled too: sent again it is the same request.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._spill()
        if self._backlog.points:
            _log.warning("%d points were never taken and are lost", self._backlog.points)
        if self._disk is not None:
            self._disk.close()

    def _run(self) -> None:
        self._look()
        self._progress()
        pause_s, bidden = 0.0, False
        while self._wait(pause_s, bidden=bidden):
            if not self.has_looked:
                self._look()
                self._progress()
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

    def _look(self) -> None:
        """See what others left on disk."""
        asked = self._looks_asked
        if self._disk is not None:
            self._disk.look()
        self._looks_done = asked

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
        return (
            not self._backlog.is_empty or not self.has_looked or self._loaded is not None or self._until_disk_s() == 0
        )

    def _until_disk_s(self) -> float | None:
        """Until what is on disk may be read; ``None`` where nothing is there."""
        return None if self._disk is None else self._disk.until_readable_s

    def _is_full(self) -> bool:
        """Whether there is more in memory than should be while nobody takes it, and a disk to put it on."""
        return self._backlog.points > self._bounds.spill_points and self._disk is not None and self._disk.may_take

    def _pause_after(self, delivery: Delivery, retry_after_s: float | None, pause_s: float) -> float:
        if retry_after_s is not None:
            return retry_after_s
        if delivery in (Delivery.LATER, Delivery.FAULT):
            return min(_LAST_PAUSE_S, max(_FIRST_PAUSE_S, pause_s * 2))
        return _BARRED_PAUSE_S if delivery is Delivery.BARRED else 0.0

    def _next(self) -> Outgoing | None:
        """What to send now: what was tried, then what is fresh, and what is on disk when nothing else waits."""
        return self._backlog.oldest() or self._load()

    def _load(self) -> Outgoing | None:
        spooled = None if self._disk is None else self._disk.oldest()
        if spooled is None:
            self._loaded = None
        elif self._loaded is None or self._loaded.spooled is not spooled:
            self._loaded = Outgoing(spooled.request, spooled=spooled)
        return self._loaded

    def _send(self, outgoing: Outgoing) -> Answer:
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

    def _conclude(self, outgoing: Outgoing, answer: Answer) -> Delivery:
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
        self._note(answer, delivery, points)
        if delivery in _KEPT:
            return delivery
        if delivery is Delivery.TOO_LARGE:
            halves = self._halves(outgoing.request)
            if halves is not None:
                self._replace(outgoing, halves)
                return delivery
            delivery = Delivery.REFUSED
        if delivery is Delivery.REFUSED:
            self._backlog.lose(refused=points)
            _log.warning("%d points were refused for good and dropped: %s", points, answer.reason)
        elif answer.rejected_points:
            self._backlog.lose(rejected=answer.rejected_points)
            _log.warning("%d of %d points were rejected: %s", answer.rejected_points, points, answer.reason)
        self._let_go(outgoing)
        if self._disk is not None:
            self._disk.look_now_and_then()
        return delivery

    def _note(self, answer: Answer, delivery: Delivery, points: int) -> None:
        """Remember since when nobody takes anything, and have the disk say why."""
        if delivery not in _KEPT:
            self._failing_since_s = None
        elif self._failing_since_s is None:
            self._failing_since_s = time.monotonic()
            _log.warning("%d points wait: %s", points, answer.reason)
        if self._disk is not None:
            self._disk.note(delivery, answer.reason)

    def _halves(self, request: Request) -> tuple[Request, Request] | None:
        try:
            return split(request)
        except (ValueError, KeyError, TypeError, AttributeError):
            _log.exception("a request cannot be split")
            return None

    def _replace(self, outgoing: Outgoing, halves: tuple[Request, Request]) -> None:
        """Have the halves sent in place of a request that was too large, from disk where that came from there.

        Where the disk does not take them they are sent from memory, where a kill would lose them.
        """
        if self._disk is None or outgoing.spooled is None:
            self._backlog.split(outgoing, halves)
        elif self._disk.replace_loaded(halves):
            self._loaded = None
        else:
            self._backlog.take_back(halves)
            self._let_go(outgoing)

    def _let_go(self, outgoing: Outgoing) -> None:
        """The caller has counted what was lost: the agent reads that after `settled`, without the lock."""
        if self._disk is None or outgoing.spooled is None:
            self._backlog.let_go(outgoing)
        else:
            self._loaded = None
            self._disk.remove_loaded()

    def _spill_if_stuck(self) -> None:
        """To disk with everything, once it has waited long enough or there is too much of it."""
        with self._changed:
            since_s = self._failing_since_s
            stuck = since_s is not None and (
                self._is_full() or time.monotonic() - since_s >= self._bounds.spill_after_s
            )
        if stuck and self._disk is not None and self._disk.may_take:
            self._spill()

    def _spill(self) -> None:
        """Write everything that is in memory to the disk, the oldest first, as far as it takes it."""
        while self._disk is not None:
            outgoing = self._backlog.oldest()
            if outgoing is None or not self._disk.add(outgoing.request):
                return
            self._backlog.let_go(outgoing)
