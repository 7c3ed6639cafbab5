"""The thread that asks the vendors' libraries, so that nobody else waits for them.

What comes in: vendors, an interval, what to call when there is something new. What goes out: the newest `Reading`,
once. Never raises; what goes wrong is absent from the reading and said once in the agent's log.

A call into a driver may hang for seconds while a device falls off the bus, and no thread can be taken out of it: there
is one thread, for as long as anybody wants readings, and while it hangs there are none.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.probes.gpu.reading import NoAnswerError, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.agent.probes.gpu.reading import Device, Vendor

DEADLINE_S = 2.0
"""A reading that took longer is of no moment that could be named: it is dropped."""
_LINGER_S = 10.0
"""So long after nobody wants readings any more the libraries are closed: a driver that is open cannot be reset."""
_LEAST_S = 0.1
"""One reading serves everybody for so long."""
_RETRY_S, _RETRY_MOST_S = 1.0, 60.0
"""A library that fails is tried again after the first, then after twice as long, up to the second."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Opened:
    """A vendor's library and how it fares."""

    vendor: Vendor
    is_open: bool = False
    retry_s: float = _RETRY_S
    due_s: float = 0.0
    complaint: str | None = None

    def read(self, now_s: float) -> Sequence[Device]:
        """Its devices; none while it fails."""
        if now_s < self.due_s:
            return ()
        if not self.is_open and not self.vendor.is_likely():
            self._wait(now_s)
            return ()
        try:
            if not self.is_open:
                self.vendor.open()
                self.is_open = True
            devices = self.vendor.read()
        except NoAnswerError as error:
            self._fail(now_s, str(error))
        except Exception as error:  # noqa: BLE001 - the library is not ours, and a thread that died reads nothing
            self._fail(now_s, f"{type(error).__name__}: {error}")
        else:
            self.retry_s, self.complaint = _RETRY_S, None
            return devices
        return ()

    def close(self) -> None:
        """Let go of the library."""
        if self.is_open:
            self.is_open = False
            self.vendor.close()

    def _fail(self, now_s: float, complaint: str) -> None:
        self.close()
        self._wait(now_s)
        if complaint != self.complaint:
            _log.warning("%s: %s; GPU figures are absent until that changes", self.vendor.name, complaint)
        self.complaint = complaint

    def _wait(self, now_s: float) -> None:
        self.due_s = now_s + self.retry_s
        self.retry_s = min(2 * self.retry_s, _RETRY_MOST_S)


class Reader:
    """Reads devices while it is wanted.

    Args:
        vendors: whom to ask, in this order.
        interval_s: seconds from one reading's begin to the next one's.
        ready: called in the thread when there is a reading to take.
    """

    def __init__(self, vendors: Sequence[Vendor], interval_s: float, ready: Callable[[], None]) -> None:
        self._vendors = [_Opened(vendor) for vendor in vendors]
        self._interval_s = interval_s
        self._ready = ready
        self._changed = threading.Condition()
        self._wanted = self._hurried = False
        self._newest: Reading | None = None
        self._begun_s: float | None = None
        self._late_said = False
        self._thread: threading.Thread | None = None

    def want(self, wanted: bool, *, at_once: bool = False) -> None:
        """Read from now on, or no more; ``at_once``: before the interval is over."""
        with self._changed:
            if wanted and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)
                self._thread.start()
            self._wanted, self._hurried = wanted, self._hurried or at_once
            self._changed.notify()

    def take(self) -> Reading | None:
        """A reading that nobody has taken yet."""
        with self._changed:
            reading, self._newest = self._newest, None
            late = self._begun_s is not None and time.monotonic() - self._begun_s > DEADLINE_S
        if late and not self._late_said:
            _log.warning("a GPU's driver does not return: figures of GPUs are absent until it does")
            self._late_said = True
        return reading

    def _run(self) -> None:
        while True:
            begun_s = self._wait()
            devices = [device for each in self._vendors for device in each.read(begun_s)]
            taken_at = time.time_ns()
            with self._changed:
                self._begun_s = None
                if devices and time.monotonic() - begun_s <= DEADLINE_S:
                    self._newest, self._late_said = Reading(taken_at, tuple(devices)), False
            if devices:
                self._ready()
            self._pause(begun_s)

    def _wait(self) -> float:
        """Until readings are wanted; the libraries are closed on the way where that takes long. When it was."""
        with self._changed:
            linger = self._changed.wait_for(lambda: self._wanted, _LINGER_S)
        if not linger:
            for each in self._vendors:
                each.close()
        with self._changed:
            self._changed.wait_for(lambda: self._wanted)
            self._hurried = False
            self._begun_s = time.monotonic()
            return self._begun_s

    def _pause(self, begun_s: float) -> None:
        """Until the interval is over, or somebody is in a hurry, of whom many may come at once."""
        time.sleep(max(0.0, begun_s + min(_LEAST_S, self._interval_s) - time.monotonic()))
        with self._changed:
            self._changed.wait_for(lambda: self._hurried, max(0.0, begun_s + self._interval_s - time.monotonic()))
