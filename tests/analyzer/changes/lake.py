"""Nights over a real lake, one after another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from stepsize.analyzer.changes.compare import Comparison, compare, period_after
from stepsize.analyzer.changes.conditions import Kind
from stepsize.analyzer.changes.period import read_period
from stepsize.analyzer.changes.snapshot import Snapshot, parse_snapshot, snapshot_bytes
from stepsize.analyzer.costs import Quotes
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

__all__ = ["MB", "Nights", "nights"]


@dataclass
class Nights:
    """A lake, and what the last night has left; day 0 ends at noon, as each day does."""

    data: Path
    catalog: Catalog
    last: Snapshot | None = None
    asked: str = "safe"
    chosen: Query = field(default_factory=Query)
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _runs: Iterator[int] = field(default_factory=lambda: iter(range(1, 100_000)))

    def run(self, day: int, tasks: int = 1, **values: Any) -> None:
        """A run of a step on a day, an hour before it ends."""
        number, asked = str(next(self._runs)), dict(values)
        peaks: Iterable[float] = asked.pop("peaks_mb", [600] * tasks)
        for place, peak in enumerate(peaks):
            begun = {"run": number, "task": f"t{place}", "started_at": NOON + timedelta(days=day, hours=-1)}
            self._rows.append(row(**{**begun, "memory_peak_bytes": int(peak * MB), **asked}))

    def night(self, day: int) -> Comparison:
        """What the report of a day says that the one before it did not."""
        until_s = (NOON + timedelta(days=day)).timestamp()
        period = period_after(self.last, until_s, 86_400)
        lake, self._rows = write_tasks(self.data, self._rows), []
        with lake.reading() as connection:
            reports = build(connection, self.catalog, policies.load(), self.chosen)
            seen = read_period(connection, self.chosen, period)
        comparison, snapshot = compare(
            reports, seen, period, self.last, Quotes(self.catalog), day=f"day {day}", asked=self.asked
        )
        self.last = parse_snapshot(snapshot_bytes(snapshot), "here")
        assert self.last == snapshot
        return comparison

    def kinds(self, day: int) -> list[Kind]:
        """Of its changes."""
        return [change.kind for change in self.night(day).changes]


@contextmanager
def nights() -> Iterator[Nights]:
    """An empty lake."""
    with tempfile.TemporaryDirectory() as directory, Catalog.open() as catalog:
        yield Nights(Path(directory) / "lake", catalog)
