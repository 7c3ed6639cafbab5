"""What the attempts that ended since the last report tell of each step.

What comes in: a read-only connection to the lake, a query and a period. What goes out: frozen :class:`StepPeriod`
values by the key of their step, whose size does not grow with the attempts. Reads ``tasks`` alone; never judges, never
writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from stepsize.analyzer.changes.ranks import Growth, growth, typical_bytes
from stepsize.analyzer.sql import query_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.usage import Query

SAMPLE_TASKS = 200
"""Tasks of a version, and of those before it, whose peaks are compared: the newest."""
STILL_NEAR = 0.85
"""The share of what holds an attempt down to which it stays near it."""
_STEPS_AT_ONCE = 500


class StepKey(NamedTuple):
    """What tells a step's history from every other one."""

    project: str | None
    production: bool
    flow: str
    step: str

    @classmethod
    def of(cls, report: StepReport) -> StepKey:
        """That of a report."""
        return cls(report.project, report.production, report.flow, report.step)


@dataclass(frozen=True, slots=True)
class Period:
    """Attempts count that ended after ``from_s`` and no later than ``until_s`` (seconds since 1970)."""

    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Tally:
    """How attempts ended; ``failed`` are those that failed of themselves, were killed or lost, memory aside."""

    attempts: int = 0
    oom: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Nearest:
    """The attempt that came nearest to what holds it: bytes or seconds; ``before`` is the most of any attempt that
    ended before the period.

    Of all attempts that ended well under what the newest one asked for: ``near`` used `STILL_NEAR` of the bound, the
    last of them among ``until_near`` in the order of their ends; ``calm`` came after it.
    """

    used: float
    bound: float
    run: str
    task: str
    before: float | None
    near: int = 0
    until_near: int = 0
    calm: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """Hours of attempts that asked for so much; None where it is not known."""

    cpu: float | None
    memory_bytes: float | None
    gpu: float | None
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPeriod:
    """One step. ``recent`` are the attempts of the period, ``before`` all others of the query that ended earlier.

    ``kinds`` counts the recent ones that failed by their outcome; ``nearest`` is by ``memory``, ``disk``, ``duration``,
    of attempts that ended well under what the newest one asked for. ``version_bytes`` is the typical peak of the newest
    version's tasks, ``newest_s`` the last end of any attempt.
    """

    recent: Tally = Tally()
    before: Tally = Tally()
    kinds: tuple[tuple[str, int], ...] = ()
    nearest: tuple[tuple[str, Nearest], ...] = ()
    held: tuple[Held, ...] = ()
    growth: Growth | None = None
    wasted_byte_s: float | None = None
    version_bytes: float | None = None
    newest_s: float | None = None


def read_period(connection: duckdb.DuckDBPyConnection, query: Query, period: Period) -> dict[StepKey, StepPeriod]:
    """What ``period`` tells of each step of which an attempt had ended by its end."""
    parameters = {
        "flow": query.flow,
        "step": query.step,
        "branch": query.branch,
        "origin": query.origin,
        "since_s": None if query.since is None else query.since.timestamp(),
        "runs": query.runs,
        "from_s": period.from_s,
        "until_s": period.until_s,
        "sample": SAMPLE_TASKS,
        "still_near": STILL_NEAR,
    }
    rows = connection.sql(query_text("seen") + query_text("period"), params=parameters).to_arrow_reader(_STEPS_AT_ONCE)
    found = {}
    for batch in rows:
        for row in batch.to_pylist():
            key = StepKey(row["project"], row["production"], row["flow"], row["step"])
            found[key] = _step(row)
    return found


def _step(row: Mapping[str, Any]) -> StepPeriod:
    kinds = tuple((name, row[name]) for name in ("failed", "killed", "lost") if row[name])
    return StepPeriod(
        recent=Tally(row["attempts"], row["oom"], sum(count for _, count in kinds)),
        before=Tally(row["attempts_before"], row["oom_before"], row["failed_before"]),
        kinds=kinds,
        nearest=tuple(
            (what, Nearest(**row[what], before=row[f"{what}_before"]))
            for what in ("memory", "disk", "duration")
            if row[what] is not None
        ),
        held=tuple(Held(**one) for one in row["held"]),
        growth=growth(row["version"], row["peaks"], row["peaks_before"], row["versions_before"]),
        wasted_byte_s=row["wasted_byte_s"],
        version_bytes=typical_bytes(row["peaks"]),
        newest_s=row["newest_s"],
    )
