"""All attempts that may still change: opened by their points, closed by their end or by silence.

What comes in: batches of points, and the time by our clock. What goes out: rows of attempts that are final, and of
those that are not. Never does I/O.

An attempt that ended stays for a while (`linger_s`): points that arrive late still find it. One that is silent for
`silence_s` is closed as ``lost``, or ``oom`` where its last points say that the kernel killed for memory. Silence is
measured by arrival at the collector, and not while no collector ran.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.limits import ClockBounds
from stepsize.collector.rollup.attempt import Attempt
from stepsize.collector.rollup.fold import Host, fold, fold_hosts
from stepsize.collector.rollup.identify import Evidence, evidence_in, meant
from stepsize.collector.rollup.row import task_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.decode.series import NumberPoints, Series
    from stepsize.collector.limits import RollupLimits
    from stepsize.collector.rollup.attempt import AttemptKey


_HOST_FACTS = ("host_cpus", "host_memory_bytes")


class AttemptTable:
    """Attempts, and what is known of hosts.

    Args:
        limits: how long attempts are kept.
        started_ns: when this collector began to listen.
        clock: how far a sender's clock may be off and be believed.
    """

    def __init__(self, limits: RollupLimits, started_ns: int, clock: ClockBounds | None = None) -> None:
        self._limits = limits
        self._clock = clock or ClockBounds()
        self._started_ns = started_ns
        self._hosts: dict[str, Host] = {}
        self._numbers = itertools.count()
        self.attempts: dict[int, Attempt] = {}
        """In the order in which they came; the numbers are only this table's."""
        self._by_key: dict[AttemptKey, list[Attempt]] = {}
        self._rows: dict[Attempt, dict[str, Any]] = {}  # of attempts that have not changed since

    def unknown(self, numbers: Mapping[Series, NumberPoints]) -> set[AttemptKey]:
        """Keys of attempts in a batch that are not in the table: new, or final already."""
        return {
            evidence.key
            for evidence, series in evidence_in(numbers).items()
            if self._meant(evidence, series, numbers) is None
        }

    def restore(self, attempts: Iterable[Attempt]) -> None:
        """Put attempts (back) in."""
        for attempt in attempts:
            self._add(attempt)
            facts = {name: attempt.described.get(name) for name in _HOST_FACTS}
            if any(facts.values()):
                self._hosts.setdefault(attempt.described.get("host", ""), Host(**facts))

    def fold(self, numbers: Mapping[Series, NumberPoints]) -> bool:
        """Fold a batch in; whether it changed any attempt."""
        if fold_hosts(self._hosts, numbers):
            self._rows.clear()
        touched: dict[Attempt, list[Series]] = {}
        for evidence, series in evidence_in(numbers).items():
            attempt = self._meant(evidence, series, numbers) or self._add(Attempt(evidence.key))
            attempt.tell(evidence.told, evidence.instance)
            touched.setdefault(attempt, []).extend(series)
        for attempt, series in touched.items():
            fold(attempt, series, numbers, self._clock)
            self._rows.pop(attempt, None)
        return bool(touched)

    def _meant(
        self, evidence: Evidence, series: list[Series], numbers: Mapping[Series, NumberPoints]
    ) -> Attempt | None:
        return meant(self._by_key.get(evidence.key, ()), evidence, numbers[series[0]].received[-1])

    def _add(self, attempt: Attempt) -> Attempt:
        self.attempts[next(self._numbers)] = attempt
        self._by_key.setdefault(attempt.key, []).append(attempt)
        return attempt

    def close_silent(self, now_ns: int) -> bool:
        """Close the attempts that have been silent for too long; whether there were any."""
        closed = False
        for attempt in self.attempts.values():
            heard_ns = max(attempt.arrived_ns, self._started_ns)
            if attempt.outcome is None and now_ns - heard_ns >= self._limits.silence_s * 1e9:
                kills = attempt.counted(model.CONTAINER_MEMORY_OOM_KILLS.name)
                attempt.outcome = (model.Outcome.OOM if kills else model.Outcome.LOST).value
                attempt.presumed = closed = True
                self._rows.pop(attempt, None)
        return closed

    def take_final(self, now_ns: int) -> list[Attempt]:
        """Remove and return the attempts that ended long enough ago."""
        final = {
            number: attempt
            for number, attempt in self.attempts.items()
            if attempt.outcome is not None and now_ns - attempt.arrived_ns >= self._limits.linger_s * 1e9
        }
        for number, attempt in final.items():
            del self.attempts[number]
            same = self._by_key[attempt.key]
            same.remove(attempt)
            if not same:
                del self._by_key[attempt.key]
        return list(final.values())

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Drop what is kept of attempts that are final and written."""
        for attempt in attempts:
            self._rows.pop(attempt, None)

    def rows(self, attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
        """Rows of ``tasks``, with what is known of the attempts' hosts by now."""
        made = []
        for attempt in attempts:
            row = self._rows.get(attempt)
            if row is None:
                host = self._hosts.get(attempt.described.get("host", ""))
                if host is not None:
                    attempt.described.update({name: getattr(host, name) for name in _HOST_FACTS})
                row = self._rows[attempt] = task_row(attempt)
            made.append(row)
        return made
