"""All attempts that may still change: opened by their points, closed by their end or by silence.

What comes in: batches of points, and the time by our clock. What goes out: rows of attempts that are final, and of
those that are not. Never does I/O.

Points are gathered and folded later, many batches at once (see `evidence`): whoever asks for rows folds first. Attempts
that are silent for :data:`REST_S` are put to rest, in which they take a fifth of the room. An
attempt that ended stays for a while (`linger_s`): points that arrive late still find it. One that is silent for
`silence_s` is closed as ``lost``, or ``oom`` where its last points say that the kernel killed for memory. Silence is
measured by arrival at the collector, and not while no collector ran.
"""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.limits import ClockBounds
from stepsize.collector.rollup.attempt import Attempt
from stepsize.collector.rollup.evidence import Gathered
from stepsize.collector.rollup.fold import HostFacts, fold, fold_hosts
from stepsize.collector.rollup.identify import Evidence, evidence_of, meant
from stepsize.collector.rollup.row import task_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stepsize.collector.decode.batch import Batch
    from stepsize.collector.decode.vocabulary import Vocabulary
    from stepsize.collector.limits import RollupLimits
    from stepsize.collector.rollup.attempt import AttemptKey
    from stepsize.collector.rollup.evidence import Owner


REST_S = 60.0
MAX_GATHERED = 1_000_000
"""So many points are folded though nobody asks for rows: 45 MB."""


class AttemptTable:
    """Attempts, and what is known of hosts.

    Args:
        limits: how long attempts are kept.
        started_ns: when this collector began to listen.
        clock: how far a sender's clock may be off and be believed.
        reopen: is given keys of attempts that are not in the table, with the time (nanoseconds) since when their
            points say they count, 0 where they do not; gives those of them that were final.
    """

    def __init__(
        self,
        limits: RollupLimits,
        started_ns: int,
        clock: ClockBounds | None = None,
        reopen: Callable[[dict[AttemptKey, int]], Iterable[Attempt]] = lambda _: (),
    ) -> None:
        self._limits = limits
        self._started_ns = started_ns
        self._reopen = reopen
        self._gathered = Gathered(clock or ClockBounds())
        self._hosts: dict[str, HostFacts] = {}
        self._numbers = itertools.count()
        self.attempts: dict[int, Attempt] = {}
        """In the order in which they came; the numbers are only this table's."""
        self._by_key: dict[AttemptKey, list[Attempt]] = {}
        self._changed: dict[Attempt, None] = {}
        self._awake: dict[Attempt, None] = {}
        self._evidence: dict[tuple[int, int], Evidence | None] = {}
        self._evidence_of: Vocabulary | None = None

    def restore(self, attempts: Iterable[Attempt]) -> None:
        """Put attempts (back) in."""
        for attempt in attempts:
            self._add(attempt)
            host = attempt.host
            if host.cpus or host.memory_bytes:
                self._hosts.setdefault(host.name, HostFacts(host.cpus, host.memory_bytes))

    def gather(self, batch: Batch) -> None:
        """Take a batch in, to be folded later."""
        if self._gathered.vocabulary not in (None, batch.vocabulary):
            self.fold()
        self._gathered.add(batch)
        if self._gathered.count > MAX_GATHERED:
            self.fold()

    def fold(self) -> None:
        """Fold what was gathered into the attempts."""
        vocabulary = self._gathered.vocabulary
        if vocabulary is None:
            return
        owners = self._gathered.take()
        news = fold_hosts(self._hosts, owners, vocabulary)
        if news:
            self._changed |= {one: None for one in self.attempts.values() if one.host.name in news}
        said = self._by_evidence(owners, vocabulary)
        unknown = [(evidence, found) for evidence, found in said.items() if self._meant(evidence, found) is None]
        if unknown:
            self.restore(self._reopen(_starts(unknown)))
        touched: dict[Attempt, list[Owner]] = {}
        for evidence, found in said.items():
            attempt = self._meant(evidence, found) or self._add(Attempt(evidence.key))
            attempt.tell(evidence.told, evidence.instance)
            touched.setdefault(attempt, []).extend(found)
        for attempt, found in touched.items():
            fold(attempt, found, vocabulary)
            self._changed[attempt] = None

    def _by_evidence(self, owners: Iterable[Owner], vocabulary: Vocabulary) -> dict[Evidence, list[Owner]]:
        if self._evidence_of is not vocabulary:
            self._evidence, self._evidence_of = {}, vocabulary
        found: dict[Evidence, list[Owner]] = {}
        for owner in owners:
            if not owner.tells:
                continue
            key = owner.resource, owner.attributes
            if key not in self._evidence:
                tags = vocabulary.tags(*key)
                point = {} if owner.attributes < 0 else vocabulary.attributes[owner.attributes].values
                self._evidence[key] = evidence_of(tags, vocabulary.resources[owner.resource].attributes, point)
            evidence = self._evidence[key]
            if evidence is not None:
                found.setdefault(evidence, []).append(owner)
        return found

    def _meant(self, evidence: Evidence, owners: list[Owner]) -> Attempt | None:
        known = self._by_key.get(evidence.key)
        if not known:
            return None
        for attempt in known:
            self._wake(attempt)
        return meant(known, evidence, max(owner.arrived_ns for owner in owners))

    def _wake(self, attempt: Attempt) -> None:
        attempt.wake()
        self._awake[attempt] = None

    def rest(self, now_ns: int) -> None:
        """Put the attempts to rest of which nothing came lately, and which have not changed since they were taken."""
        silent = [one for one in self._awake if now_ns - one.arrived_ns >= REST_S * 1e9 and one not in self._changed]
        for attempt in silent:
            attempt.rest()
            del self._awake[attempt]

    def _add(self, attempt: Attempt) -> Attempt:
        if attempt.packed is None:
            self._awake[attempt] = None
        self.attempts[next(self._numbers)] = attempt
        self._by_key.setdefault(attempt.key, []).append(attempt)
        self._changed[attempt] = None
        return attempt

    def is_open(self, attempt: Attempt) -> bool:
        """Whether an attempt is in the table."""
        return attempt in self._by_key.get(attempt.key, ())

    def take_changed(self) -> dict[Attempt, None]:
        """The attempts that have changed since this was asked last, those that have been removed among them."""
        changed, self._changed = self._changed, {}
        return changed

    def clock_was_set(self, now_ns: int) -> None:
        """Our clock was put forward or back, to ``now_ns``: silence counts anew, whatever the time was before."""
        self._started_ns = now_ns
        for attempt in self.attempts.values():
            attempt.arrived_ns = min(attempt.arrived_ns, now_ns)

    def close_silent(self, now_ns: int) -> None:
        """Close the attempts that have been silent for too long."""
        for attempt in self.attempts.values():
            heard_ns = max(attempt.arrived_ns, self._started_ns)
            if attempt.outcome is None and now_ns - heard_ns >= self._limits.silence_s * 1e9:
                self._wake(attempt)
                kills = attempt.counted(model.CONTAINER_MEMORY_OOM_KILLS.name)
                attempt.outcome = (model.Outcome.OOM if kills else model.Outcome.LOST).value
                attempt.presumed = True
                self._changed[attempt] = None

    def take_final(self, now_ns: int) -> list[Attempt]:
        """Remove and return the attempts that ended long enough ago."""
        final = {
            number: attempt
            for number, attempt in self.attempts.items()
            if attempt.outcome is not None and now_ns - attempt.arrived_ns >= self._limits.linger_s * 1e9
        }
        for number, attempt in final.items():
            attempt.wake()
            self._awake.pop(attempt, None)
            del self.attempts[number]
            self._changed[attempt] = None
            same = self._by_key[attempt.key]
            same.remove(attempt)
            if not same:
                del self._by_key[attempt.key]
        return list(final.values())

    def rows(self, attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
        """Rows of ``tasks``, with what is known of the attempts' hosts by now."""
        made = []
        for attempt in attempts:
            if attempt.packed is not None:
                self._wake(attempt)
            facts = self._hosts.get(attempt.host.name)
            if facts is not None:
                attempt.described.update({one.name: getattr(facts, one.name) for one in fields(facts)})
            made.append(task_row(attempt))
        return made


def _starts(unknown: Iterable[tuple[Evidence, list[Owner]]]) -> dict[AttemptKey, int]:
    """By key when the attempt began by its points, 0 where some do not say."""
    starts: dict[AttemptKey, int] = {}
    for evidence, owners in unknown:
        started_ns = min((owner.started_ns for owner in owners if owner.started_ns), default=0)
        starts[evidence.key] = min(starts.get(evidence.key, started_ns), started_ns)
    return starts
