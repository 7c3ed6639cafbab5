"""Results that are kept for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa
import pytest

from stepsize.postgres.cache import Cache
from stepsize.postgres.errors import SqlError
from stepsize.postgres.running import Kept, Rows, Stoppable
from tests.postgres.places import Served


def batch(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(["x" * 100] * rows)], ["a"])


def read(rows: Rows) -> int:
    count = 0
    while (found := rows.next()) is not None:
        count += found.num_rows
    rows.close()
    return count


class Asked:
    """What runs a statement, and counts how often."""

    def __init__(self, rows: int = 3, fails: bool = False) -> None:
        self.times = 0
        self.rows = rows
        self.fails = fails
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self, _: Callable[[Stoppable], None]) -> Rows:
        self.times += 1
        self.begun.set()
        assert self.may_end.wait(10)
        if self.fails:
            raise SqlError("22012", "division by zero")
        return Kept([batch(self.rows), batch(self.rows)])


def ignore(_: Stoppable) -> None:
    return


def test_a_result_is_kept_for_a_moment() -> None:
    """The same statement is run once, then again; another one is another."""
    now = [0.0]
    cache, asked = Cache(1.0, 1 << 20, lambda: now[0]), Asked()
    assert [read(cache.rows("a", asked, ignore)) for _ in range(3)] == [6, 6, 6]
    assert asked.times == 1
    read(cache.rows("b", asked, ignore))
    now[0] = 1.0
    read(cache.rows("a", asked, ignore))
    assert asked.times == 3


def test_what_is_large_or_fails_is_each_ones_own() -> None:
    """And comes whole."""
    cache, large, failing = Cache(1.0, 1 << 30), Asked(rows=20_000), Asked(fails=True)
    assert [read(cache.rows("a", large, ignore)) for _ in range(2)] == [40_000, 40_000]
    assert large.times == 2
    for _ in range(2):
        with pytest.raises(SqlError):
            cache.rows("b", failing, ignore)
    assert failing.times == 2


def test_all_results_together_are_bounded() -> None:
    """Those that have been there longest go."""
    cache, asked = Cache(60.0, 5000), Asked(rows=10)  # about 2000 bytes each
    for key in ("a", "b", "c", "c", "a"):
        read(cache.rows(key, asked, ignore))
    assert asked.times == 4


def test_those_who_ask_at_the_same_time_wait_for_one() -> None:
    """Unless they are stopped meanwhile."""
    cache, asked = Cache(1.0, 1 << 20), Asked()
    asked.may_end.clear()
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(read(cache.rows("a", asked, ignore)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert asked.begun.wait(10)
    with pytest.raises(SqlError, match="enough"):
        cache.rows("a", asked, lambda waiting: waiting.stop(SqlError("57014", "enough")))
    asked.may_end.set()
    for thread in threads:
        thread.join(10)
    assert (counts, asked.times) == ([6] * 8, 1)


class Slow(Asked):
    """What takes so long, by a clock that is told."""

    def __init__(self, now: list[float], takes_s: float) -> None:
        super().__init__()
        self._now, self._takes_s = now, takes_s

    def __call__(self, attach: Callable[[Stoppable], None]) -> Rows:
        found = super().__call__(attach)
        self._now[0] += self._takes_s
        return found


def test_what_is_cheap_is_of_the_lake_as_it_is() -> None:
    """A lake that has changed is asked, however soon."""
    now = [0.0]
    cache, cheap = Cache(1.0, 1 << 20, lambda: now[0]), Slow(now, 0.1)
    for version in (1, 1, 2, 3):
        read(cache.rows("a", cheap, ignore, version))
    assert cheap.times == 3


def test_what_is_costly_is_shown_for_longer() -> None:
    """Whatever has come meanwhile: for four times as long as it took, then to all but the one who makes it anew."""
    now = [0.0]
    cache, slow = Cache(1.0, 1 << 20, lambda: now[0]), Slow(now, 1.0)
    for version, at_s in ((1, 0.0), (2, 1.5), (3, 4.9)):
        now[0] = at_s
        read(cache.rows("a", slow, ignore, version))
    assert slow.times == 1
    now[0] = 5.0
    slow.begun.clear()
    slow.may_end.clear()
    renews = threading.Thread(target=lambda: read(cache.rows("a", slow, ignore, 4)))
    renews.start()
    assert slow.begun.wait(10)
    for version in (4, 5):
        assert read(cache.rows("a", Asked(), ignore, version)) == 6
    slow.may_end.set()
    renews.join(10)
    assert (slow.times, now[0]) == (2, 6.0)
    read(cache.rows("a", slow, ignore, 6))
    now[0] = 21.0
    read(cache.rows("a", slow, ignore, 6))
    assert slow.times == 3


def test_a_costly_result_that_cannot_be_made_anew_grows_old() -> None:
    """Each who asks then is told why; the bound of bytes holds for what is shown longer, too."""
    now = [0.0]
    cache, slow, failing = Cache(1.0, 1 << 20, lambda: now[0]), Slow(now, 1.0), Asked(fails=True)
    read(cache.rows("a", slow, ignore, 1))
    now[0] = 6.0
    for _ in range(2):
        with pytest.raises(SqlError):
            cache.rows("a", failing, ignore, 2)
    assert failing.times == 2
    small = Cache(1.0, 3000, lambda: now[0])
    for key in ("a", "b", "a", "b"):
        read(small.rows(key, slow, ignore, 1))  # about 700 bytes each
    assert slow.times == 3
    large = Slow(now, 1.0)
    large.rows = 12
    read(small.rows("c", large, ignore, 1))  # 2500 bytes
    read(small.rows("a", slow, ignore, 1))
    assert slow.times == 4


def test_those_who_ask_of_another_state_wait_for_what_takes_long_too() -> None:
    """The lake grows each second; what takes longer than that is not begun once for each state."""
    now = [0.0]
    cache, asked = Cache(1.0, 1 << 20, lambda: now[0]), Asked()
    asked.may_end.clear()
    counts: list[int] = []
    first = threading.Thread(target=lambda: counts.append(read(cache.rows("a", asked, ignore, 1))))
    first.start()
    assert asked.begun.wait(10)
    now[0] = 0.5
    second = threading.Thread(target=lambda: counts.append(read(cache.rows("a", asked, ignore, 2))))
    second.start()
    asked.may_end.set()
    for thread in (first, second):
        thread.join(10)
    assert counts == [6, 6]
    assert asked.times == 1


def test_what_is_other_each_time_is_run_each_time(served: Served) -> None:
    """By DuckDB's word of its functions."""
    with served.connect() as connection, served.connect() as other:
        for query in ("select random()", "select gen_random_uuid()", "select count(*) + random() from tasks"):
            values = [each.execute(query).fetchone() for each in (connection, other, connection)]
            assert len(set(values)) == 3, query
