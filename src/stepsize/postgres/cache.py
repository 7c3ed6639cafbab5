"""Results that are kept for a moment: many viewers of one dashboard ask the same within a second.

What comes in: what tells statements apart, and how to run one. What goes out: its rows. Of those that ask the same at
the same time one runs it, and the others wait for its rows; a result that is large, or fails, is each one's own.
A result that was costly to make is shown to all for longer, for fifteen seconds at most, and beyond the state of the
lake that it was made of: one who asks makes it anew meanwhile, and the others do not wait for that. Bounded in bytes,
and in how far rows are fetched ahead of whoever asked for them.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from stepsize.postgres.running import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import pyarrow as pa

    from stepsize.postgres.errors import SqlError
    from stepsize.postgres.running import Rows, Stoppable

_LARGE_BYTES = 1 << 20
"""A result of more is not kept: whoever asks for that much is no dashboard."""
_LOOK_S = 0.05
_COSTLY_S = 0.2
_REST_TIMES = 4
"""So many times as long as it took to make it, a costly result is not made again."""
_LONGEST_REST_S = 5.0
_OLDEST_S = 15.0
"""Since it was made, nobody sees it: all wait for the next one."""


class Cache:
    """Of one engine.

    Args:
        keep_s: how long a result is kept; 0 for none.
        max_bytes: of all results together.
        clock_s: a monotonic clock.
    """

    def __init__(self, keep_s: float, max_bytes: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Result] = OrderedDict()
        self._latest: OrderedDict[Hashable, _Result] = OrderedDict()
        """Of each statement, whatever the state of the lake: what is being made, or was costly."""
        self._bytes = 0

    def rows(
        self,
        key: Hashable,
        run: Callable[[Callable[[Stoppable], None]], Rows],
        started: Callable[[Stoppable], None],
        version: Hashable = None,
    ) -> Rows:
        """The rows of a statement; ``run`` runs it, and ``started`` is given what stops it, or the waiting for it.

        ``version`` is the state of the lake: a result that was not costly is of no other.

        Raises:
            SqlError: it failed, or was stopped.
        """
        if not self._keep_s:
            return run(started)
        while True:
            result, is_own = self._find(key, version)
            if is_own:
                return self._run(key, result, run, started)
            waiting = _Waiting()
            started(waiting)
            if result.wait(waiting):
                return Kept(result.batches)
            if result.is_large:
                return run(started)

    def _find(self, key: Hashable, version: Hashable) -> tuple[_Result, bool]:
        """What is kept or made of a statement, or a new one, which whoever asks is to make."""
        with self._lock:
            now_s = self._clock_s()
            found = self._kept.get((key, version))
            if found is not None and found.is_made and not found.is_over(now_s):
                return found, False
            latest = self._latest.get(key)
            if latest is not None and latest.may_be_shown(now_s):
                return latest, False
            if found is not None and not found.is_made:
                return found, False
            self._drop_old(now_s)  # what was found is among them
            made = _Result((key, version), now_s)
            self._kept[key, version] = made
            self._latest.setdefault(key, made).renewal = made
            return made, True

    def _run(
        self,
        key: Hashable,
        result: _Result,
        run: Callable[[Callable[[Stoppable], None]], Rows],
        started: Callable[[Stoppable], None],
    ) -> Rows:
        batches: list[pa.RecordBatch] = []
        size = 0
        rows: Rows | None = None
        try:
            rows = run(started)
            while size <= _LARGE_BYTES and (batch := rows.next()) is not None:
                batches.append(batch)
                size += batch.nbytes
        except BaseException:
            if rows is not None:
                rows.close()
            self._settle(key, result, None, 0)
            raise
        if size > _LARGE_BYTES:
            result.is_large = True
            self._settle(key, result, None, 0)
            return _Then(batches, rows)
        rows.close()
        self._settle(key, result, batches, size)
        return Kept(batches)

    def _settle(self, key: Hashable, result: _Result, batches: Sequence[pa.RecordBatch] | None, size: int) -> None:
        with self._lock:
            now_s = self._clock_s()
            is_costly = batches is not None and now_s - result.began_s >= _COSTLY_S
            latest = self._latest.get(key)
            if latest is not None and latest.renewal is result:
                latest.renewal = None
            if latest is result:
                del self._latest[key]
            if is_costly or batches is None:
                del self._kept[result.place]
            is_newest = latest is None or latest is result or latest.began_s <= result.began_s
            if is_costly and is_newest:
                self._forget(key)
                self._latest[key] = result
            if batches is not None and (is_newest or not is_costly):
                result.size_bytes = size
                self._bytes += size
            result.settle(batches, now_s, now_s + self._keep_s)
            while self._bytes > self._max_bytes and self._drop_one():
                pass

    def _drop_old(self, now_s: float) -> None:
        for place in [place for place, one in self._kept.items() if one.is_over(now_s)]:
            self._bytes -= self._kept.pop(place).size_bytes
        for key in [key for key, one in self._latest.items() if one.is_old(now_s)]:
            self._forget(key)

    def _drop_one(self) -> bool:
        """Let go of the one that has been there longest, of those that are made."""
        for kept in (self._kept, self._latest):
            place = next((place for place, one in kept.items() if one.size_bytes), None)
            if place is not None:
                self._bytes -= kept.pop(place).size_bytes
                return True
        return False

    def _forget(self, key: Hashable) -> None:
        """Let go of what is the latest of a statement; what is being made has no size yet."""
        found = self._latest.pop(key, None)
        self._bytes -= 0 if found is None else found.size_bytes


class _Result:
    """One result, made or being made; ``place`` is its statement and the state of the lake."""

    def __init__(self, place: tuple[Hashable, Hashable], began_s: float) -> None:
        self.place = place
        self.began_s = began_s
        self.renewal: _Result | None = None
        self.batches: Sequence[pa.RecordBatch] = ()
        self.size_bytes = 0
        self.is_large = False
        self._made_s: float | None = None
        self._until_s: float | None = None
        self._is_well = False
        self._changed = threading.Condition()

    @property
    def is_made(self) -> bool:
        """Whether it has been made, or will not be."""
        return self._made_s is not None

    def is_over(self, now_s: float) -> bool:
        """Whether it was made too long ago."""
        return self._until_s is not None and now_s >= self._until_s

    def is_old(self, now_s: float) -> bool:
        """Whether nobody is to see it any more."""
        return self._made_s is not None and now_s - self._made_s >= _OLDEST_S

    def may_be_shown(self, now_s: float) -> bool:
        """Whether it is for who asks now, of whatever state of the lake; it is being made, or was costly."""
        if self._made_s is None:
            return now_s - self.began_s >= _COSTLY_S
        rest_s = min(_REST_TIMES * (self._made_s - self.began_s), _LONGEST_REST_S)
        return not self.is_old(now_s) and (self.renewal is not None or now_s - self._made_s < rest_s)

    def settle(self, batches: Sequence[pa.RecordBatch] | None, now_s: float, until_s: float) -> None:
        """It has been made, or will not be with None."""
        with self._changed:
            self._made_s = now_s
            self._is_well = batches is not None
            self.batches = batches or ()
            self._until_s = until_s
            self._changed.notify_all()

    def wait(self, waiting: _Waiting) -> bool:
        """Whether there is a result, once that is known.

        Raises:
            SqlError: the waiting was stopped.
        """
        with self._changed:
            while self._until_s is None and waiting.why is None:
                self._changed.wait(_LOOK_S)
        if waiting.why is not None:
            raise waiting.why
        return self._is_well


class _Waiting:
    """One that waits for what another one has begun."""

    def __init__(self) -> None:
        self.why: SqlError | None = None

    def stop(self, why: SqlError) -> None:
        self.why = self.why or why


class _Then:
    """As :class:`~stepsize.postgres.running.Rows`: batches that are here, then those that come."""

    def __init__(self, batches: Sequence[pa.RecordBatch], rows: Rows) -> None:
        self._batches = iter(batches)
        self._rows = rows

    def next(self) -> pa.RecordBatch | None:
        found = next(self._batches, None)
        return self._rows.next() if found is None else found

    def close(self) -> None:
        self._batches = iter(())
        self._rows.close()
