"""One finished attempt as another program recorded it.

What comes in: what a source has read. What goes out: a frozen value, and tables of the stored columns of `tasks`. What
a source does not say is None, and NULL in the lake, never zero. Pure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import operator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stepsize.store.schema import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.model import Outcome

NATIVE, PLACE = "native", "place"
STAGED = pa.schema([*(field for field in TASKS if field.name != "state"), (NATIVE, pa.string()), (PLACE, pa.int64())])
"""Columns of a staged file: those of `tasks`, which execution it is by its source's own word, its place among all."""

_EARLIEST_S, _LATEST_S = 631_152_000.0, 32_503_680_000.0
"""1990 and 3000: what lies outside is no time at which a task ran."""
_INT64_MAX = 2**63 - 1
_MOST_CORES = 4096.0
_LONGEST_TEXT = 16_384
LAST_ATTEMPT = 2**31 - 1
"""The largest number that an attempt may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """When something ran, what it used and on which machine. Times are seconds since 1970, UTC; None is not known."""

    started_at_s: float | None = None
    duration_s: float | None = None
    samples: int | None = None
    cpu_seconds: float | None = None
    cpu_max: float | None = None
    cpu_histogram: Mapping[int, float] | None = None
    memory_peak_bytes: int | None = None
    memory_mean_bytes: float | None = None
    memory_source: str | None = None
    gpu_count: float | None = None
    gpu_utilization_mean: float | None = None
    gpu_utilization_max: float | None = None
    gpu_memory_peak_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_write_bytes: int | None = None
    host: str | None = None
    host_cpus: int | None = None
    host_memory_bytes: int | None = None
    cloud_vendor: str | None = None
    cloud_region: str | None = None
    instance_type: str | None = None

    def known(self) -> dict[str, Any]:
        """What is known, by the names of the fields."""
        return {name: value for name in _FIGURES if (value := getattr(self, name)) is not None}


_FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Figures):
    """An attempt that is over, as its source tells it.

    ``native`` is how the source tells this execution from every other one: two attempts that have everything else of
    their names in common are two where it differs, and one that was read twice where it does not. ``annotations``: what
    was said of the task, such as the size of its input.
    """

    flow: str
    run: str
    step: str
    task: str
    native: str
    outcome: Outcome
    attempt: int = 0
    item: str | None = None
    ended_at_s: float | None = None
    exit_code: int | None = None
    exit_signal: int | None = None
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None
    requested_cpu: float | None = None
    requested_memory_bytes: int | None = None
    requested_gpu: float | None = None
    requested_disk_bytes: int | None = None
    requested_timeout_s: float | None = None
    cpu_limit: float | None = None
    target: str | None = None
    project: str | None = None
    branch: str | None = None
    user: str | None = None
    code_version: str | None = None
    run_origin: str | None = None
    annotations: Mapping[str, str | float | int] | None = None


_NAMES = tuple(field.name for field in fields(Attempt))
_values = operator.attrgetter(*_NAMES)
_FIELDS = {field.name: field for field in STAGED}


def staged_table(attempts: Sequence[Attempt], first_place: int) -> pa.Table:
    """The rows of ``attempts``, which were read one after another, the first of them as number ``first_place``."""
    columns: dict[str, Sequence[Any]] = dict(zip(_NAMES, zip(*map(_values, attempts), strict=True), strict=True))
    columns["outcome"] = [outcome.value for outcome in columns["outcome"]]
    columns["annotations"] = [json.dumps(dict(notes)) if notes else None for notes in columns["annotations"]]
    started, ended = columns.pop("started_at_s"), columns.pop("ended_at_s")
    spans = list(map(_span, started, ended, columns["duration_s"]))
    columns["started_at"], columns["ended_at"], columns["duration_s"] = zip(*spans, strict=True)
    columns["cpu_mean"] = list(map(_mean, columns["cpu_seconds"], columns["duration_s"]))
    columns["cpu_histogram"] = [list(one.items()) if one else None for one in columns["cpu_histogram"]]
    columns[PLACE] = range(first_place, first_place + len(attempts))
    count = len(attempts)
    return pa.table(
        [
            _array(columns[name], field) if name in columns else pa.nulls(count, field.type)
            for name, field in _FIELDS.items()
        ],
        schema=STAGED,
    )


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    if pa.types.is_integer(field.type):
        top = _INT64_MAX if field.type == pa.int64() else 2**31 - 1
        values = [value if value is None or 0 <= value <= top else None for value in values]
    elif pa.types.is_floating(field.type):
        values = [value if value is None or 0 <= value < math.inf else None for value in values]
    elif pa.types.is_string(field.type):
        values = [value if value is None else _text(value) for value in values]
    return pa.array(values, field.type)


def _text(value: str) -> str:
    """Text that every reader of the lake can read: of a name's bytes that are none, marks; of what is too long, its
    beginning and a digest, so that names that differ stay apart."""
    sound = value.encode("utf-8", "replace").decode()
    if len(sound) <= _LONGEST_TEXT:
        return sound
    digest = hashlib.sha256(sound.encode()).hexdigest()[:8]
    return f"{sound[: _LONGEST_TEXT - 9]}~{digest}"


def _span(
    started_s: float | None, ended_s: float | None, duration_s: float | None
) -> tuple[dt.datetime | None, dt.datetime | None, float | None]:
    """Start, end and duration, what is missing of the three made from the two others.

    An end before its start, as local times have it where clocks are put back, is none.
    """
    if started_s is not None and ended_s is not None and ended_s < started_s:
        ended_s = None
    if duration_s is None and started_s is not None and ended_s is not None:
        duration_s = ended_s - started_s
    if started_s is None and ended_s is not None and duration_s is not None:
        started_s = ended_s - duration_s
    if ended_s is None and started_s is not None and duration_s is not None:
        ended_s = started_s + duration_s
    return _time(started_s), _time(ended_s), duration_s


def _time(seconds: float | None) -> dt.datetime | None:
    if seconds is None or not _EARLIEST_S <= seconds <= _LATEST_S:
        return None
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc)


def _mean(cpu_seconds: float | None, duration_s: float | None) -> float | None:
    """Cores in use on average, where such many can be."""
    if cpu_seconds is None or not duration_s or duration_s < 0:
        return None
    mean = cpu_seconds / duration_s
    return mean if mean <= _MOST_CORES else None
