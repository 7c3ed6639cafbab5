"""Recorded tasks from a CSV file, in the order in which they were submitted.

What comes in: a path. What goes out: frozen :class:`Record` values. Rows of attempts that failed (``exit_ok`` of 0) are
left out, since their peak is not that of a whole task. Never writes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.backtest.rows import rows
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stepsize.analyzer.backtest.rows import Row

REQUIRED = ("workflow", "task", "submit_order", "peak_mem_bytes", "runtime_s")
OPTIONAL = (
    "run", "item", "input_bytes", "cpu_pct", "requested_cpus", "requested_mem_bytes", "submit_ts", "end_ts",
    "exit_ok",
)  # fmt: skip
DEFAULT_REQUEST_BYTES = 4096 * 2**20
"""What a task gets whose request is not recorded: Metaflow's default."""
_USUAL_LARGEST_BYTES = 128 * 2**30
_LARGEST_PEAK_OF_USUAL_BYTES = 120 * 2**30
_LARGEST_BYTES = 1024 * 2**30
_LARGEST_INPUT_BYTES = 2.0**63
_LONGEST_S = 100 * 366 * 86400.0
"""A hundred years: no task runs for longer, while milliseconds and nanoseconds soon look as if one did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One task that ended well. What was not recorded is None.

    ``submit_order`` is an int where it was written as one: nanoseconds do not fit into a float.
    """

    workflow: str
    task: str
    submit_order: float
    peak_bytes: float
    runtime_s: float
    run: str | None = None
    item: str | None = None
    input_bytes: float | None = None
    cpu_pct: float | None = None
    requested_cpus: float | None = None
    requested_bytes: float | None = None
    submitted_at_s: float | None = None
    ended_at_s: float | None = None

    @property
    def step(self) -> tuple[str, str]:
        """What tasks have in common that one policy learns from."""
        return self.workflow, self.task

    @property
    def hours(self) -> float:
        """Its run time."""
        return self.runtime_s / 3600


_FIELDS = tuple(field.name for field in fields(Record))


@dataclass(frozen=True, slots=True)
class Records:
    """The tasks of one file, and the most memory that one of them can be given; no peak is above it."""

    name: str
    tasks: tuple[Record, ...]
    largest_bytes: float

    @classmethod
    def of(cls, name: str, tasks: Sequence[Record]) -> Records:
        """These tasks. One that used more than can be had counts as one that used just that: nothing could hold it."""
        usual = all(task.peak_bytes <= _LARGEST_PEAK_OF_USUAL_BYTES for task in tasks)
        largest = _USUAL_LARGEST_BYTES if usual else _LARGEST_BYTES
        held = (task if task.peak_bytes <= largest else replace(task, peak_bytes=float(largest)) for task in tasks)
        return cls(name, tuple(held), largest)

    def __reduce__(self) -> tuple[Callable[..., Records], tuple[Any, ...]]:
        # By column: record by record it takes another process longer to read than the CSV file does.
        columns = tuple([getattr(task, name) for task in self.tasks] for name in _FIELDS)
        return _from_columns, (self.name, columns, self.largest_bytes)


def _from_columns(name: str, columns: Sequence[Sequence[Any]], largest_bytes: float) -> Records:
    tasks = tuple(Record(**dict(zip(_FIELDS, row, strict=True))) for row in zip(*columns, strict=True))
    return Records(name, tasks, largest_bytes)


def read(path: Path) -> Records:
    """The tasks recorded in ``path``, sorted by ``submit_order`` (rows of equal order stay as they are).

    Raises:
        UsageError: the file cannot be read, lacks a required column, or holds what is no number or no time of a task.
    """
    if path.is_dir() or not path.exists():
        raise UsageError(f"{path} is no file; name CSV files of recorded tasks")
    tasks = [record for row in rows(path, REQUIRED, OPTIONAL) if (record := _record(row)) is not None]
    if not tasks:
        raise UsageError(f"{path} holds no task that ended well with a peak and a run time")
    return Records.of(path.stem, sorted(tasks, key=lambda task: task.submit_order))


def _record(row: Row) -> Record | None:
    """The task of a row; None where it did not end well, or without a peak or a run time."""
    if not row.truth("exit_ok"):
        return None
    peak, runtime = row.measured("peak_mem_bytes"), row.measured("runtime_s")
    if peak is None or peak < 1 or runtime is None:
        return None
    if runtime > _LONGEST_S:
        raise UsageError(f"{row.place}: runtime_s is {runtime:g}, more than a hundred years; give seconds")
    submitted, ended = row.number("submit_ts"), row.number("end_ts")
    if ended is None and submitted is not None:
        ended = submitted + runtime
    return Record(
        workflow=row.cells.get("workflow", ""),
        task=row.cells.get("task", ""),
        submit_order=_order(row),
        peak_bytes=peak,
        runtime_s=runtime,
        run=row.text("run"),
        item=row.text("item"),
        input_bytes=_input(row),
        cpu_pct=row.number("cpu_pct"),
        requested_cpus=row.positive("requested_cpus"),
        requested_bytes=row.positive("requested_mem_bytes"),
        submitted_at_s=submitted,
        ended_at_s=ended,
    )


def _order(row: Row) -> float:
    text = row.cells.get("submit_order", "")
    try:
        return int(text)
    except ValueError:
        order = row.number("submit_order")
    if order is None:
        raise UsageError(f"{row.place}: submit_order is {text!r}; it is the number by which tasks are sorted")
    return order


def _input(row: Row) -> float | None:
    """The size of the input; None where it is no size: a share of a byte, or more than any file system holds."""
    value = row.number("input_bytes")
    return value if value is None or value == 0 or 1 <= abs(value) <= _LARGEST_INPUT_BYTES else None
