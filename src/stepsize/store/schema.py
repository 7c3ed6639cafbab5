"""The columns of each table as they lie in Parquet, declared once.

What comes in: the columns of the views (:mod:`stepsize.model`). What goes out: Arrow schemas by table. Never does
I/O. Stored columns are exact (nanoseconds, integers apart from doubles); the views derive the readable ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.model import TASK_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = pa.dictionary(pa.int32(), pa.string())
"""Repeated text: few distinct values over many rows."""

_ARROW_TYPES: Mapping[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "JSON": pa.string(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    "MAP(SMALLINT, DOUBLE)": pa.map_(pa.int16(), pa.float64()),
}
"""DuckDB type of a column of the view → the type it is stored as."""

_SERIES: tuple[tuple[str, pa.DataType], ...] = (
    ("metric", _NAME),
    ("unit", _NAME),
    ("kind", _NAME),
    ("temporality", _NAME),
    ("monotonic", pa.bool_()),
    ("description", _NAME),
    ("metadata", _NAME),
    ("flow", _NAME),
    ("run", _NAME),
    ("step", _NAME),
    ("task", _NAME),
    ("attempt", pa.int32()),
    ("host", _NAME),
    ("service", _NAME),
    ("attributes", _NAME),
    ("resource", _NAME),
    ("scope", _NAME),
)
"""What every point of a series has in common."""

_POINT: tuple[tuple[str, pa.DataType], ...] = (
    ("time_unix_nano", pa.int64()),
    ("start_time_unix_nano", pa.int64()),
    ("flags", pa.uint32()),
    ("exemplars", pa.string()),
    ("received_at_unix_nano", pa.int64()),
)
"""What every point has of its own, whatever its type."""

SERIES_COLUMNS = tuple(name for name, _ in _SERIES)

POINTS = pa.schema([*_SERIES, *_POINT, ("value_double", pa.float64()), ("value_int", pa.int64())])

HISTOGRAMS = pa.schema(
    [
        *_SERIES,
        *_POINT,
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("bucket_counts", pa.list_(pa.uint64())),
        ("explicit_bounds", pa.list_(pa.float64())),
    ]
)

EXPONENTIAL_HISTOGRAMS = pa.schema(
    [
        *_SERIES,
        *_POINT,
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("min", pa.float64()),
        ("max", pa.float64()),
        ("scale", pa.int32()),
        ("zero_count", pa.uint64()),
        ("zero_threshold", pa.float64()),
        ("positive_offset", pa.int32()),
        ("positive_bucket_counts", pa.list_(pa.uint64())),
        ("negative_offset", pa.int32()),
        ("negative_bucket_counts", pa.list_(pa.uint64())),
    ]
)

SUMMARIES = pa.schema(
    [
        *_SERIES,
        *_POINT,
        ("count", pa.uint64()),
        ("sum", pa.float64()),
        ("quantiles", pa.list_(pa.float64())),
        ("quantile_values", pa.list_(pa.float64())),
    ]
)

TASKS = pa.schema([*((c.name, _ARROW_TYPES[c.type]) for c in TASK_COLUMNS), ("state", pa.string())])
"""One row per attempt. ``state`` (JSON) is what the roll-up needs to go on with the attempt; the view leaves it out."""

SCHEMAS: Mapping[str, pa.Schema] = {
    "points": POINTS,
    "histograms": HISTOGRAMS,
    "exponential_histograms": EXPONENTIAL_HISTOGRAMS,
    "summaries": SUMMARIES,
    "tasks": TASKS,
}
"""Every table of the lake by its name; the first four are partitioned by day, the last by month."""

POINT_TABLES = tuple(name for name in SCHEMAS if name != "tasks")
