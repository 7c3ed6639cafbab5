"""Makes the report of a day, and compares it with the last one.

What comes in: a job. What goes out: files in the directory that it names, what there is to say and to send. Reads the
lake, and never changes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer import formats, report
from stepsize.analyzer.changes.compare import compare, period_after
from stepsize.analyzer.changes.period import read_period
from stepsize.analyzer.changes.sentences import at
from stepsize.analyzer.changes.snapshot import parse_snapshot, snapshot_bytes
from stepsize.analyzer.costs import Quotes
from stepsize.analyzer.course import courses
from stepsize.analyzer.formats import changes
from stepsize.commands.fleet_file import open_catalog
from stepsize.commands.night.jobs import COMPARISONS, Done
from stepsize.commands.night.state import Message
from stepsize.commands.settle import settle
from stepsize.errors import DataError
from stepsize.settings import Settings
from stepsize.store.lake import Lake
from stepsize.store.report_views import keep_rows
from stepsize.store.reports import SNAPSHOT_FILE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import duckdb

    from stepsize.analyzer.changes.compare import Comparison
    from stepsize.analyzer.changes.snapshot import Snapshot
    from stepsize.commands.night.jobs import Report

_MEMORY_BYTES = 1 << 30
"""What the lake's queries hold at once; more is on disk while they run."""
_REPORTS = {"json": "report.json", "html": "report.html", "markdown": "report.md"}


def make(job: Report) -> Done:
    """Make it.

    Raises:
        LakeError: nothing has been measured, or the lake cannot be read.
        UsageError: nothing measured is what was asked for.
    """
    warned = settle(Settings.load(data=job.settle), remote=True) if job.settle else []
    last, damaged = _last(job.last)
    policy, platform = job.evidence.checked()
    query = job.evidence.query(None)
    period = period_after(last, job.until_s, job.first_period_s)
    with _lake(job.data) as connection, open_catalog(Path(job.fleet) if job.fleet else None) as catalog:
        reports = report.build(connection, catalog, policy, query, platform)
        seen = read_period(connection, query, period)
        comparison, snapshot = compare(reports, seen, period, last, Quotes(catalog), day=job.day, asked=job.asked)
        drawn = courses(connection, query, formats.steps_drawn(reports, "html"))
    into = Path(job.into)
    (into / SNAPSHOT_FILE).write_bytes(snapshot_bytes(snapshot))
    for form, name in _REPORTS.items():
        (into / name).write_bytes(formats.render(reports, form, drawn).encode())
    keep_rows(into)
    for form, name in COMPARISONS.items():
        (into / name).write_bytes(changes.render(comparison, form).encode())
    said = (changes.headline(comparison),)
    return Done(
        said=said, warned=(*warned, *damaged, *_of_clock(last, job.until_s)), message=_message(comparison, job.where)
    )


def _message(comparison: Comparison, where: str) -> Message | None:
    """What there is to send: nothing where nothing changed since a report."""
    if not comparison.changes and comparison.against is not None:
        return None
    return Message(changes.title(comparison), changes.message(comparison, where))


def _of_clock(last: Snapshot | None, until_s: float) -> tuple[str, ...]:
    """A word where the clock said more at the last report than it does now: one of both was wrong."""
    if last is None or last.until_s <= until_s:
        return ()
    then = f"the clock is behind that of the report of {last.day}"
    if last.newest_s <= until_s:
        return (f"{then}: what ended after {at(last.newest_s)}, the last that it counted, is new",)
    mended = f"where that clock was wrong, delete day={last.day}/{SNAPSHOT_FILE} in the lake's reports"
    return (f"{then}: what ended before {at(last.newest_s)}, the last that it counted, is not new; {mended}",)


def _lake(data: str) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    if "://" in data:
        from stepsize.store.objects import ObjectLake  # noqa: PLC0415 - heavy, and hardly ever needed

        return ObjectLake(data).reading(_MEMORY_BYTES)
    return Lake(Path(data)).reading(_MEMORY_BYTES)


def _last(path: str) -> tuple[Snapshot | None, tuple[str, ...]]:
    """The last report's snapshot; one that is damaged keeps no report from being made."""
    if not path:
        return None, ()
    try:
        return parse_snapshot(Path(path).read_bytes(), path), ()
    except DataError as error:
        return None, (str(error),)
