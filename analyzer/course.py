"""How steps did over their runs, and how the newest of these went: what pictures show beside a report's figures.

What comes in: a read-only connection to the lake, the query of a report, and the steps of it that are to be drawn. What
goes out: one frozen :class:`Course` a step, whose size does not grow with its runs, nor with its tasks: neighbouring
runs share a column, neighbouring tasks a place; what was highest in either is never lost. The same rows give the same
course. Two queries, whatever the number of steps; in memory are the attempts of one step's newest run. Reads no
samples.
"""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from stepsize.analyzer.sql import query_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb

    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.usage import Query

COLUMNS = 40
"""Columns of a picture over runs, and places of one over tasks, at most."""
PLACES = 120
"""Parts of the time that a newest run took."""
NAMED = 5
"""Tasks of a newest run that are named: its largest."""
_ROWS_AT_ONCE = 10_000
_BAD = frozenset(("oom", "failed", "killed", "lost"))


class StepKey(NamedTuple):
    """One history of one step."""

    project: str | None
    production: bool
    flow: str
    step: str


def key_of(report: StepReport) -> StepKey:
    """The step that a report is about."""
    return StepKey(report.project, report.production, report.flow, report.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One run, or neighbouring ones together; None where it was never read.

    Attributes:
        runs: how many.
        first_run, last_run: the oldest and the newest of them; ``first_s``, ``last_s``: when these began, seconds since
            1970.
        attempts: of these runs; ``running``, ``oom`` and so on: those of them that ended so, or have not.
        memory_low, memory_mean, memory_high: of the peaks of attempts that ended, in bytes.
        cpu_mean: cores in use over all the time of attempts that ended; ``cpu_high`` the highest sample of any.
        duration_low, duration_mean, duration_high: of attempts that ended well, in seconds.
        asked_memory, asked_cpu: what the newest of these runs asked for, in bytes and cores.
    """

    runs: int
    first_run: str
    last_run: str
    first_s: float | None
    last_s: float | None
    attempts: int
    running: int
    oom: int
    failed: int
    killed: int
    lost: int
    unknown: int
    memory_low: float | None
    memory_mean: float | None
    memory_high: float | None
    cpu_mean: float | None
    cpu_high: float | None
    duration_low: float | None
    duration_mean: float | None
    duration_high: float | None
    asked_memory: float | None
    asked_cpu: float | None


@dataclass(frozen=True, slots=True)
class Large:
    """A task that held much: its name, foreach item, highest peak in bytes and longest duration in seconds."""

    task: str
    item: str | None
    memory_bytes: float | None
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Sorted:
    """Values of all tasks from the lowest to the highest, each place with the highest of its part."""

    count: int
    lowest: float
    middle: float
    highest: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The run of a step that began last.

    Attributes:
        run, owner: which.
        tasks, attempts, running: how many; ``ends`` of attempts by how, the most frequent first.
        began_s, ended_s: its first and last evidence, seconds since 1970; None where no attempt's start is known.
        at_once: attempts that ran at once, the most in each of equal parts of that time.
        bad_s: when attempts failed, were killed, ran out of memory or were lost; one of each part at most.
        memory_bytes, duration_s: of its tasks, the largest attempt of each.
        largest: the tasks with the highest peaks.
    """

    run: str
    owner: str
    tasks: int
    attempts: int
    running: int
    ends: tuple[tuple[str, int], ...]
    began_s: float | None = None
    ended_s: float | None = None
    at_once: tuple[int, ...] = ()
    bad_s: tuple[float, ...] = ()
    memory_bytes: Sorted | None = None
    duration_s: Sorted | None = None
    largest: tuple[Large, ...] = ()


@dataclass(frozen=True, slots=True)
class Course:
    """One step: its runs from the oldest on, and the newest of them."""

    columns: tuple[Column, ...]
    newest: Newest


def courses(connection: duckdb.DuckDBPyConnection, query: Query, steps: Sequence[StepKey]) -> dict[StepKey, Course]:
    """The course of each of ``steps`` among the attempts that ``query`` asks for; a step without any has none."""
    if not steps:
        return {}
    chosen: dict[str, Any] = {
        **query.parameters,
        "flows": [step.flow for step in steps],
        "steps": [step.step for step in steps],
        "projects": [step.project for step in steps],
        "productions": [step.production for step in steps],
    }
    of_steps = query_text("seen") + query_text("of_steps")
    runs = connection.execute(of_steps + query_text("course_runs"), {**chosen, "columns": COLUMNS}).fetchall()
    names = [field.name for field in fields(Column)]
    columns = {
        place: tuple(Column(**dict(zip(names, values, strict=True))) for _, *values in rows)
        for place, rows in itertools.groupby(runs, key=operator.itemgetter(0))
    }
    connection.execute(of_steps + query_text("course_newest"), chosen)
    newest = {
        place: _newest([_Row(*values) for _, *values in rows])
        for place, rows in itertools.groupby(_fetched(connection), key=operator.itemgetter(0))
    }
    return {steps[place]: Course(columns[place], newest[place]) for place in sorted(newest)}


class _Row(NamedTuple):
    """A row of ``course_newest.sql`` without its place."""

    run: str
    owner: str
    task: str
    attempt: int
    item: str | None
    outcome: str | None
    started_s: float | None
    duration_s: float | None
    memory_bytes: float | None


def _fetched(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while rows := connection.fetchmany(_ROWS_AT_ONCE):
        yield from rows


def _newest(rows: Sequence[_Row]) -> Newest:
    ends: dict[str, int] = {}
    for row in rows:
        if row.outcome is not None:
            ends[row.outcome] = ends.get(row.outcome, 0) + 1
    tasks = _tasks(rows)
    timed = [(row.started_s, row.started_s + (row.duration_s or 0.0)) for row in rows if row.started_s is not None]
    began_s = min((start for start, _ in timed), default=None)
    ended_s = max((end for _, end in timed), default=None)
    by_peak = sorted(tasks.values(), key=lambda task: (-(task.memory_bytes or -1), task.task))
    return Newest(
        run=rows[0].run,
        owner=rows[0].owner,
        tasks=len(tasks),
        attempts=len(rows),
        running=sum(1 for row in rows if row.outcome is None),
        ends=tuple(sorted(ends.items(), key=lambda end: (-end[1], end[0]))),
        began_s=began_s,
        ended_s=ended_s,
        at_once=() if began_s is None or ended_s is None else at_once(timed, began_s, ended_s),
        bad_s=() if began_s is None or ended_s is None else _bad(rows, began_s, ended_s),
        memory_bytes=ordered([task.memory_bytes for task in tasks.values()]),
        duration_s=ordered([task.duration_s for task in tasks.values()]),
        largest=tuple(by_peak[:NAMED]),
    )


def _tasks(rows: Iterable[_Row]) -> Mapping[str, Large]:
    """Each task with the largest of its attempts that ended."""
    tasks: dict[str, Large] = {}
    for row in rows:
        known = tasks.get(row.task, Large(row.task, row.item, None, None))
        if row.outcome is not None:
            known = Large(
                row.task,
                row.item,
                _larger(known.memory_bytes, row.memory_bytes),
                _larger(known.duration_s, row.duration_s),
            )
        tasks[row.task] = known
    return tasks


def _larger(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def ordered(values: Iterable[float | None]) -> Sorted | None:
    """The values that are known, in at most `COLUMNS` places; None without any."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    places = min(COLUMNS, len(known))
    shown = tuple(known[(place + 1) * len(known) // places - 1] for place in range(places))
    return Sorted(len(known), known[0], known[(len(known) - 1) // 2], known[-1], shown)


def at_once(spans_s: Sequence[tuple[float, float]], began_s: float, ended_s: float) -> tuple[int, ...]:
    """The most of ``spans_s`` (start, end) that overlap in each of `PLACES` equal parts of the time.

    One that ends where another begins does not overlap it; one without length counts in its part.
    """
    parts = [0] * PLACES
    # At one moment ends come before starts, but for spans without a length, which would end before they begin.
    moments = sorted(
        [(start, 1, 1) for start, _ in spans_s] + [(end, 2 if end <= start else 0, -1) for start, end in spans_s]
    )
    running, done = 0, 0
    for moment, _, change in moments:
        place = _place(moment, began_s, ended_s)
        for part in range(done, place):
            parts[part] = max(parts[part], running)
        # A part that only touches the moment at which the last one ended holds nothing of it.
        if change > 0:
            parts[place] = max(parts[place], running + 1)
        elif moment > _start_of(place, began_s, ended_s):
            parts[place] = max(parts[place], running)
        running += change
        done = place
    return tuple(parts)


def _place(moment_s: float, began_s: float, ended_s: float) -> int:
    if ended_s <= began_s:
        return 0
    return min(PLACES - 1, int((moment_s - began_s) / (ended_s - began_s) * PLACES))


def _start_of(place: int, began_s: float, ended_s: float) -> float:
    return began_s + (ended_s - began_s) * place / PLACES


def _bad(rows: Iterable[_Row], began_s: float, ended_s: float) -> tuple[float, ...]:
    last: dict[int, float] = {}
    for row in rows:
        if row.outcome in _BAD and row.started_s is not None:
            end_s = row.started_s + (row.duration_s or 0.0)
            place = _place(end_s, began_s, ended_s)
            last[place] = max(end_s, last.get(place, end_s))
    return tuple(last[place] for place in sorted(last))
