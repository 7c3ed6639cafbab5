"""An attempt of another process, looked on at from its beginning to its end.

What comes in: an `Order`, the agent's recording. What goes out: a `Recorded` that grows, with how the attempt ended.
Changes nothing for the attempt. Every question to the agent is bounded; where no agent answers there are no samples.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.api.facts import Facts, threads_by_variable
from stepsize.api.recorded import Recorded
from stepsize.api.stream import Stream, nameless_file
from stepsize.errors import StepsizeError
from stepsize.identity import thread_settings
from stepsize.instrumentation import client, wire
from stepsize.instrumentation.recording import HOST_FIELDS, TASK_FIELDS
from stepsize.model import Outcome

if TYPE_CHECKING:
    from stepsize.card.order import Order
    from stepsize.settings import Settings

_PATIENCE_S = 0.5
_SILENCE_S = 3.0
"""A recording that was silent for so long has lost its agent: the next one is asked."""


class Watched(Recorded):
    """The attempt of an order.

    Args:
        order: which one.
        settings: as the task has them.
    """

    def __init__(self, order: Order, settings: Settings) -> None:
        threads = threads_by_variable(thread_settings(os.environ))  # the task's as it began: its writer is its child
        facts = Facts(order.identity, order.pid, started_s=order.started_s, threads=threads)
        streams = Stream(TASK_FIELDS, nameless_file()), Stream(HOST_FIELDS, nameless_file())
        super().__init__(facts, *streams, settings)
        self._pidfd = _pidfd(order.pid)
        self._silence_s = max(_SILENCE_S, 3 * order.interval_s)
        self._asked_s = -self._silence_s

    @property
    def task(self) -> Stream:
        """Its samples."""
        return self._task

    @property
    def host(self) -> Stream:
        """Its host's samples."""
        return self._host

    @property
    def started_s(self) -> float:
        """When it began, seconds since 1970."""
        return self._facts.started_s or 0.0

    def look_on(self) -> bool:
        """Ask the agent for its samples; whether it knows the attempt, as one that lives or one that is over."""
        self._asked_s = time.monotonic()
        with contextlib.suppress(OSError, StepsizeError):
            files = [each.descriptor for each in (self._task, self._host) if each.descriptor is not None]
            answer = client.ask(self._settings, wire.Record(self.identity.instance_id), _PATIENCE_S, files)
            if isinstance(answer, wire.Answer) and answer.ok:
                return True
        return self.conclude()

    def has_ended(self) -> bool:
        """Whether the attempt, or its process, is over."""
        self._refresh()
        return not self.running or self._task.latest("ended") is not None or self.is_gone()

    def is_gone(self) -> bool:
        """Whether its process is."""
        if self._pidfd is None:
            return not os.path.exists(f"/proc/{self.pid}")  # noqa: PTH110 - looked at five times a second
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        return bool(ended.poll(0))

    def renew(self) -> None:
        """Ask again where nothing has come for long: the agent may be another one by now."""
        last_s = max(self._task.last_s, self._host.last_s, time.time() - (time.monotonic() - self._asked_s))
        if time.time() - last_s > self._silence_s:
            self.look_on()

    def locate(self) -> None:
        """Take what the agent knows of the host."""
        with contextlib.suppress(OSError, StepsizeError):
            answer = client.ask(self._settings, wire.Locate(), _PATIENCE_S)
            if isinstance(answer, wire.Location):
                self._facts = replace(self._facts, host=answer.attributes)

    def conclude(self) -> bool:
        """Take how it ended, and its last figures; whether the agent has told them."""
        if not self.running:
            return True
        self._refresh()
        with contextlib.suppress(OSError, StepsizeError):
            answer = client.ask(self._settings, wire.Summarize(self.identity.instance_id), _PATIENCE_S)
            if isinstance(answer, wire.Summary) and answer.outcome is not None:
                self._facts = replace(
                    self._facts,
                    ended_s=self.started_s + answer.duration_s,
                    outcome=answer.outcome,
                    cpu_seconds=answer.cpu_seconds,
                    memory_peak_bytes=answer.memory_peak_bytes,
                )
                return True
        return False

    def give_up(self) -> None:
        """Nobody tells how it ended."""
        self._facts = replace(self._facts, ended_s=time.time(), outcome=Outcome.UNKNOWN)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
