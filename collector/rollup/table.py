"""All attempts that may still change: opened by their points, closed by their end or by silence.

What comes in: batches of points, and the time by our clock. What goes out: rows of attempts that are final, and of
those that are not. Never does I/O.

An attempt that ended stays for a while (`linger_s`): points that arrive late still find it. One that is silent for
`silence_s` is closed as ``lost``, or ``oom`` where its last points say that the kernel killed for memory. Silence is
measured by arrival at the collector, and not while no collector ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.rollup.attempt import Attempt, AttemptKey
from stepsize.collector.rollup.fold import Host, attempts_in, fold, fold_hosts
from stepsize.collector.rollup.row import task_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.decode.series import NumberPoints, Series
    from stepsize.collector.limits import RollupLimits

_HOST_FACTS = ("host_cpus", "host_memory_bytes")


class AttemptTable:
    """Attempts by key, and what is known of hosts. ``started_ns`` is when this collector began to listen."""

    def __init__(self, limits: RollupLimits, started_ns: int) -> None:
        self._limits = limits
        self._started_ns = started_ns
        self._hosts: dict[str, Host] = {}
        self.attempts: dict[AttemptKey, Attempt] = {}
        self._rows: dict[AttemptKey, dict[str, Any]] = {}  # of attempts that have not changed since

    def unknown(self, numbers: Mapping[Series, NumberPoints]) -> set[AttemptKey]:
        """Attempts in a batch that are not in the table: new, or final already."""
        return {key for key in attempts_in(numbers) if key not in self.attempts}

    def restore(self, attempts: Iterable[Attempt]) -> None:
        """Put attempts (back) in."""
        for attempt in attempts:
            self.attempts[attempt.key] = attempt
            facts = {name: attempt.described.get(name) for name in _HOST_FACTS}
            if any(facts.values()):
                self._hosts.setdefault(attempt.described.get("host", ""), Host(**facts))

    def fold(self, numbers: Mapping[Series, NumberPoints]) -> bool:
        """Fold a batch in; whether it changed any attempt."""
        if fold_hosts(self._hosts, numbers):
            self._rows.clear()
        touched = attempts_in(numbers)
        for key, series in touched.items():
            attempt = self.attempts.get(key)
            if attempt is None:
                attempt = self.attempts[key] = Attempt(key)
            fold(attempt, series, numbers)
            self._rows.pop(key, None)
        return bool(touched)

    def close_silent(self, now_ns: int) -> bool:
        """Close the attempts that have been silent for too long; whether there were any."""
        closed = False
        for attempt in self.attempts.values():
            heard_ns = max(attempt.arrived_ns, self._started_ns)
            if attempt.outcome is None and now_ns - heard_ns >= self._limits.silence_s * 1e9:
                kills = attempt.counted(model.CONTAINER_MEMORY_OOM_KILLS.name)
                attempt.outcome = (model.Outcome.OOM if kills else model.Outcome.LOST).value
                attempt.presumed = closed = True
                self._rows.pop(attempt.key, None)
        return closed

    def take_final(self, now_ns: int) -> list[Attempt]:
        """Remove and return the attempts that ended long enough ago."""
        final = [
            attempt
            for attempt in self.attempts.values()
            if attempt.outcome is not None and now_ns - attempt.arrived_ns >= self._limits.linger_s * 1e9
        ]
        for attempt in final:
            del self.attempts[attempt.key]
        return final

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Drop what is kept of attempts that are final and written."""
        for attempt in attempts:
            self._rows.pop(attempt.key, None)

    def rows(self, attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
        """Rows of ``tasks``, with what is known of the attempts' hosts by now."""
        made = []
        for attempt in attempts:
            row = self._rows.get(attempt.key)
            if row is None:
                host = self._hosts.get(attempt.described.get("host", ""))
                if host is not None:
                    attempt.described.update({name: getattr(host, name) for name in _HOST_FACTS})
                row = self._rows[attempt.key] = task_row(attempt)
            made.append(row)
        return made
