"""The stages' work, each a job that a process of its own does (:mod:`stepsize.commands.night.child`).

What comes in: a frozen job. What goes out: what it has to say, and files in the directory that the job names.
Compaction and roll-up make their results last themselves; the rest changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.commands.night.state import Message
from stepsize.errors import DataError
from stepsize.settings import Settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import duckdb

    from stepsize.analyzer.changes.compare import Comparison
    from stepsize.analyzer.changes.snapshot import Snapshot
    from stepsize.analyzer.report import StepReport

_MEMORY_BYTES = 1 << 30
"""What the lake's queries hold at once; more is on disk while they run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job has to say: ``said`` of what it did, ``warned`` of what was in its way, and what is to be sent."""

    said: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    message: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """Compact what no collector that lives looks after."""

    data: str

    def do(self) -> Done:
        """Do it.

        Raises:
            LakeError: there is no lake, or some of it could not be compacted.
        """
        from stepsize.collector.upkeep.tend import tend  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.store.lake import Lake  # noqa: PLC0415 - as above
        from stepsize.store.retention import Retention  # noqa: PLC0415 - as above

        lake = Lake(Path(self.data))
        lake.connect().close()  # which says so where there is none
        lake.create()  # an older one becomes one of today
        done = tend(Path(self.data), Retention(), quiet_s=0.0)
        done.raise_failed()
        return Done(said=(f"{done.compacted} files compacted to {done.made}",) if done.compacted else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class RollUp:
    """Count tasks anew into a lake of their own."""

    data: str
    into: str
    engine: str
    memory_bytes: int

    def do(self) -> Done:
        """Do it; errors as for `stepsize rollup`."""
        from stepsize.collector.recount.recount import recount  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.commands.rollup import engine_named, source_of  # noqa: PLC0415 - as above

        engine = engine_named(self.engine, self.memory_bytes)
        done = recount(source_of(self.data), Path(self.into), engine, time.time_ns())
        return Done(said=(f"{done.attempts} attempts counted anew from {done.points} points",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Make the report of ``day`` and compare it with the last one, into the directory ``into``.

    Attributes:
        data: the lake whose tasks are read.
        settle: the lake whose agents and collector on this machine are asked for what they still have; empty: none.
        since_s, runs, branch, origin: as of :class:`stepsize.analyzer.usage.Query`.
        policy, target: names; the target's may be empty.
        asked: how the report is made, in words.
        until_s: attempts count that had ended by then.
        first_period_s: those of so long before that are new where there is no last report.
        last: path of the last report's snapshot, empty where there is none.
        where: where people will find the report.
    """

    data: str
    settle: str
    into: str
    day: str
    policy: str
    target: str
    asked: str
    first_period_s: float
    until_s: float
    last: str
    where: str
    since_s: float | None = None
    runs: int | None = None
    branch: str | None = None
    origin: str | None = None

    def do(self) -> Done:
        """Do it.

        Raises:
            LakeError: nothing has been measured, or the lake cannot be read.
        """
        from stepsize.analyzer.catalog import place  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.analyzer.changes.compare import compare  # noqa: PLC0415 - as above
        from stepsize.analyzer.changes.period import Period, read_period  # noqa: PLC0415 - as above
        from stepsize.analyzer.changes.snapshot import snapshot_bytes  # noqa: PLC0415 - as above
        from stepsize.analyzer.costs import Quotes  # noqa: PLC0415 - as above
        from stepsize.analyzer.formats import changes as formats  # noqa: PLC0415 - as above
        from stepsize.analyzer.matching import Catalog  # noqa: PLC0415 - as above
        from stepsize.analyzer.report import build  # noqa: PLC0415 - as above
        from stepsize.analyzer.sizing import policy, targets  # noqa: PLC0415 - as above
        from stepsize.analyzer.usage import Query  # noqa: PLC0415 - as above
        from stepsize.commands.settle import settle  # noqa: PLC0415 - as above
        from stepsize.store.reports import SNAPSHOT_FILE  # noqa: PLC0415 - as above

        warned = settle(Settings.load(data=self.settle), remote=True) if self.settle else []
        last, damaged = self._last()
        since = None if self.since_s is None else datetime.fromtimestamp(self.since_s, timezone.utc)
        query = Query(since=since, runs=self.runs, branch=self.branch, origin=self.origin)
        from_s = self.until_s - self.first_period_s if last is None else last.until_s
        period = Period(min(from_s, self.until_s), self.until_s)
        with self._lake() as connection, Catalog.open(place.directory()) as catalog:
            platform = targets.named(self.target) if self.target else None
            reports = build(connection, catalog, policy.load(self.policy), query, platform)
            seen = read_period(connection, query, period)
            comparison, snapshot = compare(reports, seen, period, last, Quotes(catalog), day=self.day, asked=self.asked)
        self._write(SNAPSHOT_FILE, snapshot_bytes(snapshot))
        self._write_texts(reports, comparison)
        is_told = comparison.changes or comparison.against is None
        return Done(
            said=(formats.headline(comparison),),
            warned=(*warned, *damaged),
            message=Message(formats.title(comparison), formats.message(comparison, self.where)) if is_told else None,
        )

    def _lake(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        if "://" in self.data:
            from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

            return ObjectLake(self.data).reading(_MEMORY_BYTES)
        from stepsize.store.lake import Lake  # noqa: PLC0415 - heavy, and of this job alone

        return Lake(Path(self.data)).reading(_MEMORY_BYTES)

    def _last(self) -> tuple[Snapshot | None, tuple[str, ...]]:
        """The last report's snapshot; one that is damaged keeps no report from being made."""
        from stepsize.analyzer.changes.snapshot import parse_snapshot  # noqa: PLC0415 - heavy, and of this job alone

        if not self.last:
            return None, ()
        try:
            return parse_snapshot(Path(self.last).read_bytes(), self.last), ()
        except DataError as error:
            return None, (str(error),)

    def _write_texts(self, reports: list[StepReport], comparison: Comparison) -> None:
        from stepsize.analyzer import formats  # noqa: PLC0415 - heavy, and of this job alone
        from stepsize.analyzer.formats import changes  # noqa: PLC0415 - as above

        for suffix, form in (("json", "json"), ("html", "html"), ("md", "markdown")):
            self._write(f"report.{suffix}", formats.render(reports, form).encode())
        for form, name in COMPARISONS.items():
            self._write(name, changes.render(comparison, form).encode())

    def _write(self, name: str, content: bytes) -> None:
        (Path(self.into) / name).write_bytes(content)


COMPARISONS = {
    "table": "comparison.txt",
    "json": "comparison.json",
    "csv": "comparison.csv",
    "markdown": "comparison.md",
    "html": "comparison.html",
}
"""Format → the file that holds the comparison in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Send a message to one address."""

    name: str
    url: str
    title: str
    body: str

    def do(self) -> Done:
        """Do it.

        Raises:
            UnavailableError: it was not taken.
        """
        from stepsize.commands.night.targets import send  # noqa: PLC0415 - heavy, and of this job alone

        send(self.url, self.name, Message(self.title, self.body))
        return Done()


Job = Compact | RollUp | Report | Tell
JOBS = {job.__name__: job for job in (Compact, RollUp, Report, Tell)}
