"""Merging: which files, and that rows survive it."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stepsize.store.manifest import StoredFile
from stepsize.store.merge import FAN_IN, MAX_ROWS, OPEN_PARTITION, due, merged
from stepsize.store.schema import POINTS

files = st.builds(
    StoredFile,
    table=st.sampled_from(["points", "tasks"]),
    partition=st.sampled_from(["day=a", "day=b", OPEN_PARTITION]),
    name=st.uuids().map(str),
    rows=st.sampled_from([1, 1000, MAX_ROWS]),
    size_bytes=st.just(1),
    level=st.integers(0, 2),
)


@given(st.lists(files, max_size=60))
def test_groups_are_alike_and_bounded(stored: list[StoredFile]) -> None:
    """A group has one table, partition and level, never the snapshot, and stays within the bound; none that is due
    is left out."""
    groups = due(stored)
    for group in groups:
        assert len({(one.table, one.partition, one.level) for one in group}) == 1
        assert len(group) == FAN_IN
        assert sum(one.rows for one in group) <= MAX_ROWS
        assert group[0].partition != OPEN_PARTITION
    small = [one for one in stored if one.rows < MAX_ROWS // FAN_IN and one.partition != OPEN_PARTITION]
    kinds = {(one.table, one.partition, one.level) for one in small}
    full = {kind for kind in kinds if sum((one.table, one.partition, one.level) == kind for one in small) >= FAN_IN}
    assert full == {(group[0].table, group[0].partition, group[0].level) for group in groups}


names = st.sampled_from(["b", "a", "\N{SNOWMAN}", "", None])


@given(
    st.lists(st.lists(st.tuples(names, names, st.integers(0, 9), st.floats(allow_nan=False)), max_size=5), max_size=4)
)
def test_merged_rows_are_the_same_rows_sorted(parts: list[list[tuple[object, ...]]]) -> None:
    """Merging loses no row, has equal ones once, and sorts by flow, metric and time across files with other names."""
    tables = [
        pa.Table.from_pylist(
            [
                {"metric": metric, "flow": flow, "time_unix_nano": time, "value_double": value}
                for metric, flow, time, value in rows
            ],
            schema=POINTS,
        )
        for rows in parts
    ]
    whole = pa.concat_tables(tables) if tables else POINTS.empty_table()
    result = merged(whole, "points").select(["metric", "flow", "time_unix_nano", "value_double"]).to_pylist()
    found = [tuple(row.values()) for row in result]
    assert sorted(map(repr, found)) == sorted({repr(row) for rows in parts for row in rows})

    def key(row: tuple[object, ...]) -> tuple[object, ...]:
        metric, flow, time, _ = row
        return (flow is None, flow or "", metric is None, metric or "", time)

    assert [key(row) for row in found] == sorted(key(row) for row in found)
