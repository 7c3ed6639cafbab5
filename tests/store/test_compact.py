"""Compaction: many files become few, in order, each point once, whatever the files are like."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.store import compact as compaction
from stepsize.store.compact import compact
from stepsize.store.merge import merged
from stepsize.store.parquet import is_ordered, read_parquet, write_parquet
from stepsize.store.schema import HISTOGRAMS
from tests.store.points import point, points

names = st.sampled_from(["b", "a", "\N{SNOWMAN}", "\U0001f600", "", None])
values = st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf"), None])
rows = st.builds(
    lambda time, value, received, **more: point(time, value, **{**more, "received_at_unix_nano": received}),
    st.integers(-2, 3),
    values,
    st.integers(0, 2),
    metric=st.sampled_from(["m", "n"]),
    flow=names,
    task=names,
    host=names,
    attempt=st.sampled_from([None, 0, 1]),
    value_int=st.sampled_from([None, 2**63 - 1]),
    exemplars=st.sampled_from([None, "[]"]),
)
files = st.lists(st.tuples(st.lists(rows, max_size=12), st.booleans()), max_size=5)


def identity(row: dict[str, Any]) -> str:
    return repr({name: value for name, value in row.items() if name != "received_at_unix_nano"})


def order(row: dict[str, Any]) -> tuple[Any, ...]:
    by = ("flow", "run", "step", "task", "host", "metric", "attributes", "time_unix_nano")
    return tuple((row[name] is None, row[name] if row[name] is not None else "") for name in by)


def write(directory: Path, number: int, made: list[dict[str, Any]], *, is_sorted: bool) -> Path:
    path = directory / f"in-{number}.parquet"
    table = points(made)
    write_parquet(path, merged(table, "points") if is_sorted else table, "points", ordered=is_sorted)
    return path


def read(made: list[compaction.Compacted]) -> list[dict[str, Any]]:
    return [row for one in made for row in read_parquet([one.path], "points").to_pylist()]


@settings(max_examples=30)
@given(files, files, st.integers(1, 4), st.integers(2, 3))
def test_every_point_once_in_order(
    ours: list[tuple[list[dict[str, Any]], bool]],
    theirs: list[tuple[list[dict[str, Any]], bool]],
    batch_rows: int,
    fan_in: int,
) -> None:
    """Of files that are sorted or not, in whatever batches: no point is lost, none is there twice but for its arrival,
    the first arrival stays, and none that another writer keeps is kept."""
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for constant, value in (("_BATCH_ROWS", batch_rows), ("FAN_IN", fan_in), ("_RUN_ROWS", 8)):
            patch.setattr(compaction, constant, value)
        patch.setattr(compaction, "MAX_FILE_ROWS", 5)
        patch.setattr(compaction, "ROW_GROUP_ROWS", 3)
        directory = Path(name)
        paths = [write(directory, i, made, is_sorted=known) for i, (made, known) in enumerate([*ours, *theirs])]
        made = compact("points", paths[: len(ours)], paths[len(ours) :], directory)
        found = read(made)
        kept = {identity(row) for part, _ in theirs for row in points(part).to_pylist()}
        first: dict[str, int] = {}
        for row in (row for part, _ in ours for row in points(part).to_pylist()):
            if identity(row) not in kept:
                received = row["received_at_unix_nano"]
                first[identity(row)] = min(received, first.get(identity(row), received))
        assert sorted(map(identity, found)) == sorted(first)
        assert {identity(row): row["received_at_unix_nano"] for row in found} == first
        assert [order(row) for row in found] == sorted(order(row) for row in found)
        assert all(is_ordered(pq.ParquetFile(one.path), "points") for one in made)
        assert sum(one.rows for one in made) == len(found)
        assert all(one.size_bytes == one.path.stat().st_size for one in made)
        assert not list(directory.glob("run-*"))


def test_too_many_points_of_one_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender without times makes a stretch without end: it is let through in parts, and nothing is lost."""
    monkeypatch.setattr(compaction, "_BATCH_ROWS", 10)
    monkeypatch.setattr(compaction, "_MAX_EQUAL_ROWS", 50)
    parts = [[point(0, float(1000 * n + i)) for i in range(400)] + [point(5, -1.0)] for n in range(3)]
    paths = [write(tmp_path, n, part, is_sorted=True) for n, part in enumerate(parts)]
    found = read(compact("points", paths, [], tmp_path))
    assert sorted(row["value_double"] for row in found) == sorted(
        [*(r["value_double"] for p in parts for r in p[:-1]), -1.0]
    )
    assert [row["time_unix_nano"] for row in found] == [0] * 1200 + [5]


def test_histograms_are_compared_bucket_by_bucket(tmp_path: Path) -> None:
    """Equal ones are one; those that differ in one bucket are two."""
    base = {**point(1), "count": 3, "sum": 1.0, "bucket_counts": [1, 2], "explicit_bounds": [0.5]}
    for name in ("value_double",):
        del base[name]
    made = [base, {**base, "received_at_unix_nano": 7}, {**base, "bucket_counts": [2, 1]}]
    for number, row in enumerate(made):
        rows = pa.Table.from_pylist([row], schema=HISTOGRAMS)
        write_parquet(tmp_path / f"{number}.parquet", rows, "histograms")
    (one,) = compact("histograms", [tmp_path / f"{n}.parquet" for n in range(3)], [], tmp_path)
    found = read_parquet([one.path], "histograms").to_pylist()
    assert sorted((row["bucket_counts"], row["received_at_unix_nano"]) for row in found) == [
        ([1, 2], 7),
        ([2, 1], base["received_at_unix_nano"]),
    ]


def test_dictionaries_hold_what_the_rows_hold(tmp_path: Path) -> None:
    """A name that no row of the file has is not in the file."""
    long = "name-of-somebody-else" * 3
    paths = [
        write(tmp_path, 0, [point(1), point(2, task=long)], is_sorted=True),
        write(tmp_path, 1, [point(2, task=long)], is_sorted=True),
    ]
    (one,) = compact("points", paths[:1], paths[1:], tmp_path)
    raw = b"".join(
        repr(chunk).encode()
        for group in range(pq.ParquetFile(one.path).num_row_groups)
        for column in pq.ParquetFile(one.path, read_dictionary=["task", "resource"]).read_row_group(group).columns
        if pa.types.is_dictionary(column.type)
        for chunk in [chunk.dictionary.to_pylist() for chunk in column.chunks]
    )
    assert long.encode() not in raw
