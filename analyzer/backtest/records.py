"""Recorded tasks from a CSV file, in the order in which they were submitted.

What comes in: a path. What goes out: frozen :class:`Record` values. Rows of attempts that failed (``exit_ok`` of 0) are
left out, since their peak is not that of a whole task. Never writes.
"""

from __future__ import annotations

import glob
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REQUIRED = ("workflow", "task", "submit_order", "peak_mem_bytes", "runtime_s")
_TEXT = ("workflow", "task", "run", "item")
_NUMBERS = (
    "submit_order", "peak_mem_bytes", "runtime_s", "input_bytes", "cpu_pct", "requested_cpus", "requested_mem_bytes",
    "peak_disk_bytes", "submit_ts", "end_ts", "exit_ok",
)  # fmt: skip
DEFAULT_REQUEST_BYTES = 4096 * 2**20
"""What a task gets whose request is not recorded: Metaflow's default."""
_USUAL_LARGEST_BYTES = 128 * 2**30
_LARGEST_PEAK_OF_USUAL_BYTES = 120 * 2**30
_LARGEST_BYTES = 1024 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One task that ended well. What was not recorded is None."""

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


@dataclass(frozen=True, slots=True)
class Records:
    """The tasks of one file, and the most memory that one of them can be given."""

    name: str
    tasks: tuple[Record, ...]
    largest_bytes: float


def read(path: Path) -> Records:
    """The tasks recorded in ``path``, sorted by ``submit_order`` (rows of equal order stay as they are).

    Raises:
        UsageError: the file cannot be read, lacks a required column, or holds what is no number.
    """
    if not path.is_file():
        raise UsageError(f"{path} is no file; name CSV files of recorded tasks")
    rows = _rows(path)
    tasks = tuple(record for row in rows if (record := _record(row)) is not None)
    if not tasks:
        raise UsageError(f"{path} holds no task that ended well with a peak and a run time")
    highest = max(task.peak_bytes for task in tasks)
    usual = highest <= _LARGEST_PEAK_OF_USUAL_BYTES
    return Records(path.stem, tasks, _USUAL_LARGEST_BYTES if usual else _LARGEST_BYTES)


def _rows(path: Path) -> list[dict[str, object]]:
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        try:
            everything = connection.read_csv(
                glob.escape(str(path)), header=True, all_varchar=True, sample_size=-1, null_padding=False, delimiter=","
            )
            missing = [name for name in REQUIRED if name not in everything.columns]
            if missing:
                raise UsageError(f"{path} has no column {', '.join(missing)}; required are {', '.join(REQUIRED)}")
            columns = [name for name in (*_TEXT, *_NUMBERS) if name in everything.columns]
            picked = ", ".join(f'"{n}"' if n in _TEXT else f'"{n}"::DOUBLE AS "{n}"' for n in columns)
            in_order = connection.execute(
                f"SELECT {picked} FROM (SELECT *, row_number() OVER () AS place FROM everything) "  # noqa: S608 -- names of ours
                "ORDER BY submit_order::DOUBLE, place",
            )
            return [dict(zip(columns, row, strict=True)) for row in in_order.fetchall()]
        except duckdb.Error as error:
            raise UsageError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _record(row: Mapping[str, object]) -> Record | None:
    peak, runtime = _positive(row, "peak_mem_bytes"), _positive(row, "runtime_s")
    if peak is None or runtime is None or row.get("exit_ok") == 0:
        return None
    submitted = _number(row, "submit_ts")
    return Record(
        workflow=_text(row, "workflow") or "",
        task=_text(row, "task") or "",
        submit_order=_number(row, "submit_order") or 0.0,
        peak_bytes=peak,
        runtime_s=runtime,
        run=_text(row, "run"),
        item=_text(row, "item"),
        input_bytes=_number(row, "input_bytes"),
        cpu_pct=_number(row, "cpu_pct"),
        requested_cpus=_positive(row, "requested_cpus"),
        requested_bytes=_positive(row, "requested_mem_bytes"),
        submitted_at_s=submitted,
        ended_at_s=None if submitted is None else _number(row, "end_ts") or submitted + runtime,
    )


def _text(row: Mapping[str, object], name: str) -> str | None:
    value = row.get(name)
    return None if value is None or value == "" else str(value)


def _number(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name)
    return value if isinstance(value, float) and math.isfinite(value) else None


def _positive(row: Mapping[str, object], name: str) -> float | None:
    value = _number(row, name)
    return value if value is not None and value > 0 else None
