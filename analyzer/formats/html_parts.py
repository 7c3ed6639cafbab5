"""What is known of a step, drawn: over its runs, over the tasks of the newest of them, all of it together, its GPUs.

What comes in: a report, and the course of its step where it was read. What goes out: frozen :class:`Part` values:
pictures, and tables of the figures that they are made of. Pure. Names are text, which the template escapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.formats import html_charts as charts
from stepsize.analyzer.formats import words
from stepsize.analyzer.formats.html_charts import Chart, Range
from stepsize.analyzer.spread import nice
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.course import Column, Course, Large, Newest, Sorted
    from stepsize.analyzer.report import StepReport
    from stepsize.analyzer.spread import Spread

_OF_REQUESTS = (("asked", "asked for"), ("advised", "ask for"))
_ONE_BY_ONE = (("solid", "seen"), *_OF_REQUESTS)
_BAD = (
    ("oom", "ran out of memory"),
    ("failed", "failed"),
    ("killed", "killed"),
    ("lost", "lost"),
)
_GPU_HEIGHT = 14
_FOREACH = 3
"""From so many tasks in a run on, how they spread is worth a picture."""


@dataclass(frozen=True, slots=True)
class _Measure:
    """How values are told, where a picture of them ends, and what a bar over runs spans."""

    text: Callable[[float | None], str]
    round_up: Callable[[float], float] = nice
    bar: str = "lowest to highest"


_AMOUNT = _Measure(words.amount)
_CORES = _Measure(words.amount, bar="mean to highest sample")
_TIME = _Measure(words.took, charts.nice_time)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text; the first cell of a row is its head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A heading, what there is to say below it, pictures, and the figures they are made of."""

    heading: str
    said: str
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]


def parts(report: StepReport, course: Course | None) -> tuple[Part, ...]:
    """All of which there is anything to see."""
    found = (_runs(report, course), _newest(report, course), _all(report), _gpu(report))
    return tuple(part for part in found if part is not None)


def _runs(report: StepReport, course: Course | None) -> Part | None:
    """What changed from run to run; nothing of a step that ran once."""
    if course is None or sum(column.runs for column in course.columns) < 2:
        return None
    columns, advised = course.columns, report.recommended
    memory = [
        Range(_mb(one.memory_low), _mb(one.memory_mean), _mb(one.memory_high), _mb(one.asked_memory)) for one in columns
    ]
    # Where history came from elsewhere, the mean alone may be known.
    cpu = [Range(one.cpu_mean, one.cpu_mean, one.cpu_high or one.cpu_mean, one.asked_cpu) for one in columns]
    lasted = [Range(one.duration_low, one.duration_mean, one.duration_high) for one in columns]
    found = [
        _over("Memory peaks, MB", memory, advised.memory_mb, columns, _AMOUNT),
        _over("Cores in use", cpu, advised.cpu, columns, _CORES),
        _over("How long a task took", lasted, None, columns, _TIME),
        _failures(columns),
    ]
    runs = sum(column.runs for column in columns)
    together = columns[-1].runs
    said = f"{words.plural(runs, 'run')}, the newest on the right"
    said += f"; a column is {words.plural(together, 'run')}." if together > 1 else "."
    if not any(_bad_of(column) for column in columns):
        said += " No attempt failed, was killed, was lost or ran out of memory."
    return Part("Over its runs", said, tuple(chart for chart in found if chart is not None), (_table_of_runs(columns),))


def _over(
    title: str, ranges: Sequence[Range], advised: float | None, columns: Sequence[Column], measure: _Measure
) -> Chart | None:
    highest = max((one.high for one in ranges if one.high is not None), default=None)
    if highest is None:
        return None
    text, upper = measure.text, charts.top_of(ranges, advised, measure.round_up)
    shapes = charts.over_runs(ranges, advised, upper)
    lowest = min((one.low for one in ranges if one.low is not None), default=0.0)
    asked = ranges[-1].asked
    said = [f"From {text(lowest)} to {text(highest)}"]
    said += [f"the newest run asked for {text(asked)}"] if asked else []
    said += [f"{text(advised)} advised"] if advised is not None else []
    left, right = _ends(columns)
    return Chart(
        title=title,
        summary=f"{'; '.join(said)}.",
        upper=f"up to {text(upper)}{_above(asked, upper, measure)}",
        left=left,
        right=right,
        shapes=shapes,
        key=charts.text_of_key((("bar", measure.bar), ("mark", "mean"), *_OF_REQUESTS), shapes),
    )


def _above(asked: float | None, upper: float, measure: _Measure) -> str:
    """That the request does not fit into the picture."""
    return f"; {measure.text(asked)} asked for" if asked is not None and asked > upper else ""


def _failures(columns: Sequence[Column]) -> Chart | None:
    counts = [[float(getattr(column, kind)) for kind, _ in _BAD] for column in columns]
    if not any(map(sum, counts)):
        return None
    upper = charts.in_columns(counts)
    kinds = [kind for kind, _ in _BAD]
    shapes = charts.stacked(counts, kinds, upper)
    sums = [(label, sum(getattr(column, kind) for column in columns)) for kind, label in _BAD]
    attempts = sum(column.attempts for column in columns)
    said = ", ".join(f"{count:,} {label}" for label, count in sums if count)
    left, right = _ends(columns)
    return Chart(
        title="Attempts that did not end well",
        summary=f"Of {attempts:,} attempts {said}.",
        upper=f"up to {words.amount(upper)}",
        left=left,
        right=right,
        shapes=shapes,
        key=charts.text_of_key(_BAD, shapes),
    )


def _bad_of(column: Column) -> int:
    return sum(getattr(column, kind) for kind, _ in _BAD)


def _ends(columns: Sequence[Column]) -> tuple[str, str]:
    return words.day(columns[0].first_s), words.day(columns[-1].last_s)


def _table_of_runs(columns: Sequence[Column]) -> Table:
    head = (
        *("Run", "began", "attempts", "peak MB, lowest", "mean", "highest", "asked MB", "cores, mean", "highest"),
        *("asked", "took, mean", "longest", "out of memory", "failed", "killed or lost"),
    )
    rows = tuple(
        (
            one.last_run if one.runs == 1 else f"{one.first_run} to {one.last_run}",
            words.day(one.last_s),
            f"{one.attempts:,}",
            *(words.amount(_mb(value)) for value in (one.memory_low, one.memory_mean, one.memory_high)),
            words.amount(_mb(one.asked_memory)),
            *(words.amount(value) for value in (one.cpu_mean, one.cpu_high, one.asked_cpu)),
            *(words.took(value) for value in (one.duration_mean, one.duration_high)),
            *(f"{value:,}" for value in (one.oom, one.failed, one.killed + one.lost)),
        )
        for one in reversed(columns)
    )
    return Table("Its runs, the newest first", head, rows)


def _newest(report: StepReport, course: Course | None) -> Part | None:
    """How the tasks of the newest run spread; nothing of a step that has no foreach."""
    if course is None or course.newest.tasks < _FOREACH:
        return None
    newest, advised = course.newest, report.recommended
    memory = None if newest.memory_bytes is None else _in_mb(newest.memory_bytes)
    found = [
        _rising("Its tasks by memory peak, MB", memory, report.requested.memory_mb, advised.memory_mb, _AMOUNT),
        _rising("Its tasks by duration", newest.duration_s, None, None, _TIME),
    ]
    said = (
        f"Run {newest.run}: {words.plural(newest.tasks, 'task')} of one step, each picture from the least to the most."
    )
    return Part(
        "Its tasks side by side",
        said,
        tuple(chart for chart in found if chart is not None),
        (_table_of_tasks(newest), *_table_of_spread(memory, newest.duration_s)),
    )


def _rising(
    title: str, values: Sorted | None, asked: float | None, advised: float | None, measure: _Measure
) -> Chart | None:
    if values is None:
        return None
    ranges = [Range(values.lowest, values.middle, values.highest, asked)]
    text, upper = measure.text, charts.top_of(ranges, advised, measure.round_up)
    shapes = charts.rising(values, asked, advised, upper)
    said = f"From {text(values.lowest)} to {text(values.highest)}, half of {values.count:,} up to {text(values.middle)}"
    if values.middle > 0 and values.highest >= 2 * values.middle:
        said += f": the largest is {words.amount(round(values.highest / values.middle, 1))} times the middle one"
    return Chart(
        title=title,
        summary=f"{said}.",
        upper=f"up to {text(upper)}{_above(asked, upper, measure)}",
        left="least",
        right="most",
        shapes=shapes,
        key=charts.text_of_key(_ONE_BY_ONE, shapes),
    )


def _table_of_tasks(newest: Newest) -> Table:
    head = ("Task", "item", "peak MB", "took")
    return Table(f"The largest of run {newest.run}", head, tuple(map(_row_of_task, newest.largest)))


def _row_of_task(task: Large) -> tuple[str, ...]:
    return task.task, task.item or words.UNKNOWN, words.amount(_mb(task.memory_bytes)), words.took(task.duration_s)


def _table_of_spread(memory: Sorted | None, duration: Sorted | None) -> tuple[Table, ...]:
    rows = []
    if memory is not None:
        values = (memory.lowest, memory.middle, memory.highest)
        rows.append(("Memory peak, MB", *map(words.amount, values)))
    if duration is not None:
        rows.append(("Took", *map(words.took, (duration.lowest, duration.middle, duration.highest))))
    return (Table("How they spread", ("Of a task", "least", "middle", "most"), tuple(rows)),) if rows else ()


def _all(report: StepReport) -> Part | None:
    """Distributions over everything that was seen."""
    asked, advised = report.requested, report.recommended
    found = (
        ("Attempts by memory peak, MB", "attempts", report.memory_spread, asked.memory_mb, advised.memory_mb),
        ("Time by cores in use", "of the time", report.cpu_spread, asked.cpu, advised.cpu),
    )
    drawn, tables = [], []
    for title, unit, spread, requested, recommended in found:
        if spread is not None and any(spread.weights):
            drawn.append(_histogram(title, spread, requested, recommended))
            tables.append(_table_of_spread_bins(title, unit, spread))
    return Part("All of it together", "", tuple(drawn), tuple(tables)) if drawn else None


def _histogram(title: str, spread: Spread, asked: float | None, advised: float | None) -> Chart:
    shapes = charts.histogram(spread, asked, advised)
    width = spread.upper / len(spread.weights)
    seen = [index for index, weight in enumerate(spread.weights) if weight > 0]
    most = max(seen, key=lambda index: spread.weights[index])
    share = spread.weights[most] / math.fsum(spread.weights)
    said = (
        f"Seen from {_edge(seen[0] * width)} to {_edge((seen[-1] + 1) * width)}; the most, {share:.0%}, above "
        f"{_edge(most * width)} up to {_edge((most + 1) * width)}."
    )
    return Chart(
        title=title,
        summary=said,
        upper="",
        left="0",
        right=_edge(spread.upper),
        shapes=shapes,
        key=charts.text_of_key(_ONE_BY_ONE, shapes),
    )


def _edge(value: float) -> str:
    """The end of a bin: four digits are all that it has."""
    return f"{float(f'{value:.4g}'):,.6f}".rstrip("0").rstrip(".")


def _table_of_spread_bins(title: str, unit: str, spread: Spread) -> Table:
    width, whole = spread.upper / len(spread.weights), math.fsum(spread.weights)
    rows = tuple(
        (
            _edge((index + 1) * width),
            f"{weight:,.0f}" if unit == "attempts" else f"{weight / whole:.1%}",
        )
        for index, weight in enumerate(spread.weights)
        if weight > 0
    )
    return Table(title, ("up to", unit), rows)


def _gpu(report: StepReport) -> Part | None:
    """What of the devices that were held did nothing."""
    use = report.gpu_use
    if use is None or use.held_device_hours <= 0:
        return None
    rest = max(0.0, use.held_device_hours - use.never_used_device_hours - use.idle_device_hours)
    parts = (
        ("solid", "busy, or not told", rest),
        ("idle", "nothing ran on it", use.idle_device_hours),
        ("unused", "never used", use.never_used_device_hours),
    )
    shapes = charts.beside([(kind, hours) for kind, _, hours in parts], _GPU_HEIGHT)
    key = tuple((kind, f"{label}: {_share(hours, use.held_device_hours)}") for kind, label, hours in parts)
    said = "; ".join(f"{label} {_hours(hours)}" for _, label, hours in parts)
    chart = Chart(
        title=f"{_hours(use.held_device_hours)} held",
        summary=f"Of {_hours(use.held_device_hours)} held: {said}.",
        upper="",
        left="",
        right="",
        shapes=shapes,
        key=charts.text_of_key(key, shapes),
        height=_GPU_HEIGHT,
    )
    rows = tuple((label, _hours(hours), _share(hours, use.held_device_hours)) for _, label, hours in parts)
    busy = "" if use.utilization is None else f"Devices in use were busy {use.utilization:.0%} of the time."
    return Part("GPU time", busy, (chart,), (Table("Device hours", ("Devices", "hours", "share"), rows),))


def _hours(hours: float) -> str:
    return f"{words.amount(round(hours, 2))} device hours"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}"


def _in_mb(values: Sorted) -> Sorted:
    return replace(
        values,
        lowest=values.lowest / BYTES_PER_MB,
        middle=values.middle / BYTES_PER_MB,
        highest=values.highest / BYTES_PER_MB,
        values=tuple(value / BYTES_PER_MB for value in values.values),
    )


def _mb(size_bytes: float | None) -> float | None:
    return None if size_bytes is None else size_bytes / BYTES_PER_MB
