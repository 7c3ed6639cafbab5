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


def test_what_is_other_each_time_is_run_each_time(served: Served) -> None:
    """By DuckDB's word of its functions."""
    with served.connect() as connection, served.connect() as other:
        for query in ("select random()", "select gen_random_uuid()", "select count(*) + random() from tasks"):
            values = [each.execute(query).fetchone() for each in (connection, other, connection)]
            assert len(set(values)) == 3, query
