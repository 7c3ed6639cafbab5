"""What the live page asks of a lake.

What comes in: a data directory, a time. What goes out: records, of bounded number. Never writes, and names from the
lake are parameters of SQL, never a part of it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from stepsize.collector.live.records import (
    BUCKETS,
    WINDOW_S,
    Attempt,
    Curve,
    Curves,
    Group,
    StepName,
    Totals,
)
from stepsize.model import TASK_CPU_USAGE, TASK_GPU_MEMORY_USAGE, TASK_GPU_UTILIZATION, TASK_MEMORY_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

_MEMORY = "384MiB"
_DISK = "1GiB"
_CURVES_S = 8.0
"""A page without curves is better than none: the collector waits for 20 s."""
_SECOND_NS = 10**9
_ENDED_S = 24 * 3600
_METRICS = {
    "cpu": TASK_CPU_USAGE.name,
    "memory": TASK_MEMORY_USAGE.name,
    "gpu": TASK_GPU_UTILIZATION.name,
    "gpu_memory": TASK_GPU_MEMORY_USAGE.name,
}
"""Parameters of queries, in the order of `Curves`."""
_CLOCKS_S = 300
"""Clocks of senders may be ahead by so much."""


class Questions:
    """Questions to one state of a lake.

    Args:
        connection: as `Lake.connect` gives it; its memory, threads and disk are bounded here.
        now: the time of the page, in UTC.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, now: dt.datetime) -> None:
        self._connection = connection
        self._now = now
        for setting, value in (("memory_limit", _MEMORY), ("threads", 1), ("max_temp_directory_size", _DISK)):
            connection.execute(f"SET {setting} = '{value}'")
        connection.execute(_sql("running"), {"since": now - dt.timedelta(seconds=WINDOW_S)})

    def totals(self) -> Totals:
        """How much runs."""
        return Totals(*self._rows("totals")[0])

    def groups(self, offset: int, limit: int, listed: int) -> list[Group]:
        """Steps with running attempts, each with up to ``listed`` of them."""
        rows = self._rows("groups", offset=offset, limit=limit)
        groups = [_group(row) for row in rows]
        attempts = self._listed([group.of for group in groups], 1, listed)
        return [replace(one, attempts=[each for each in attempts if each.of == one.of]) for one in groups]

    def step(self, name: StepName, offset: int, limit: int) -> Group | None:
        """One step with some of its running attempts; None where it has none."""
        found = [group for group in self.groups(0, 2**31, 0) if group.of == name]
        return replace(found[0], attempts=self._listed([name], offset + 1, offset + limit)) if found else None

    def ended(self, limit: int) -> list[Attempt]:
        """Attempts that ended within a day, the newest first."""
        since, until = self._now - dt.timedelta(seconds=_ENDED_S), self._now + dt.timedelta(seconds=_CLOCKS_S)
        return [_attempt(row) for row in self._rows("ended", since=since, until=until, limit=limit)]

    def curves(self, attempts: Sequence[Attempt]) -> dict[Attempt, Curves]:
        """CPU, memory and GPUs of attempts over the last `WINDOW_S`.

        Raises:
            duckdb.InterruptException: there are so many points that reading them took longer than a page may.
        """
        if not attempts:
            return {}
        until_ns = int(self._now.timestamp() * _SECOND_NS)
        since_ns = until_ns - WINDOW_S * _SECOND_NS
        window = {
            "since_ns": since_ns,
            "until_ns": until_ns,
            "bucket_ns": WINDOW_S * _SECOND_NS // BUCKETS,
            # The day is the arrival's where a clock is off; points that come late are of the day before at most.
            "day": (self._now - dt.timedelta(days=1)).date(),
        }
        numbered = list(enumerate(attempts))
        special = [(place, one) for place, one in numbered if one.is_shared or one.has_gpus]
        plain = [(place, one) for place, one in numbered if not (one.is_shared or one.has_gpus)]
        with self._in_time():
            rows = self._points("curves", window, plain, ("cpu", "memory"), _names)
            rows += self._points("told_apart", window, special, tuple(_METRICS), _names_and_more)
        values: dict[tuple[int, str], list[float | None]] = {}
        for place, metric, bucket, value in rows:
            values.setdefault((place, metric), [None] * BUCKETS)[bucket] = value
        none: list[float | None] = [None] * BUCKETS
        return {
            attempt: Curves(*(Curve(tuple(values.get((place, metric), none))) for metric in _METRICS.values()))
            for place, attempt in numbered
        }

    def _points(
        self,
        query: str,
        window: dict[str, Any],
        wanted: Sequence[tuple[int, Attempt]],
        metrics: Sequence[str],
        columns: Callable[[Sequence[Attempt]], dict[str, list[Any]]],
    ) -> list[tuple[Any, ...]]:
        if not wanted:
            return []
        places, attempts = zip(*wanted, strict=True)
        asked = {name: _METRICS[name] for name in metrics}
        return self._rows(query, **window, **asked, places=list(places), **columns(attempts))

    def _listed(self, names: Sequence[StepName], first: int, last: int) -> list[Attempt]:
        if not names or last < first:
            return []
        flows, runs, steps = map(list, zip(*((one.flow, one.run, one.step) for one in names), strict=True))
        rows = self._rows("listed", flows=flows, runs=runs, steps=steps, first=first, last=last)
        return [_attempt(row) for row in rows]

    @contextlib.contextmanager
    def _in_time(self) -> Iterator[None]:
        timer = threading.Timer(_CURVES_S, self._connection.interrupt)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(_sql(query), parameters or None).fetchall()


def _names(attempts: Sequence[Attempt]) -> dict[str, list[Any]]:
    """Attempts' names as columns."""
    return {
        "flows": [one.of.flow for one in attempts],
        "runs": [one.of.run for one in attempts],
        "steps": [one.of.step for one in attempts],
        "tasks": [one.task for one in attempts],
        "attempts": [one.attempt for one in attempts],
    }


def _names_and_more(attempts: Sequence[Attempt]) -> dict[str, list[Any]]:
    """With what tells attempts of one name apart."""
    return {
        **_names(attempts),
        "is_shared": [one.is_shared for one in attempts],
        "projects": [one.project for one in attempts],
        "branches": [one.branch for one in attempts],
        "users": [one.user for one in attempts],
        "hosts": [one.host for one in attempts],
    }


def _group(row: tuple[Any, ...]) -> Group:
    running, hosts, since, cpu, memory_peak_bytes, memory_share = row[3:]
    return Group(StepName(*row[:3]), running, hosts, since, cpu, memory_peak_bytes, memory_share, attempts=())


def _attempt(row: tuple[Any, ...]) -> Attempt:
    return Attempt(StepName(*row[:3]), *row[3:])


def _sql(name: str) -> str:
    return (resources.files("stepsize.collector.live") / f"{name}.sql").read_text("utf-8")
