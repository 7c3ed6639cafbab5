"""The roll-up on this machine, by DuckDB.

What comes in and goes out: see :mod:`stepsize.collector.recount.engine`. Holds as much in memory as it is told, and
what lies between the stages in a directory of its own beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from stepsize.collector.recount.engine import BATCH_ROWS, sql_of
from stepsize.collector.recount.rows import plan
from stepsize.collector.recount.stored import POINTS
from stepsize.errors import LakeError
from stepsize.store.bounds import bound, quiet_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from stepsize.collector.recount.rows import Rules
    from stepsize.collector.recount.sources import StoredPoints

# Spark's `$['name']` as DuckDB's `$."name"`: a name may hold dots. What is no JSON says nothing, as in Spark.
_JSON_MACROS = r"""
CREATE MACRO get_json_object(text, path) AS TRY(json_extract_string(text, '$."' || path[4:-3] || '"'));
CREATE MACRO json_members(text, prefix) AS list_transform(
    list_filter(TRY(json_keys(text)), lambda name: starts_with(name, prefix)),
    lambda name: {
        'name': name[length(prefix) + 1:],
        'quoted': CAST(to_json(name[length(prefix) + 1:]) AS VARCHAR),
        'value': CAST(json_extract(text, '/' || replace(replace(name, '~', '~0'), '/', '~1')) AS VARCHAR)
    }
)
"""


class DuckDBEngine:
    """DuckDB in this process; what does not fit in ``memory_bytes`` goes to disk, below ``TMPDIR``."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes

    def task_rows(self, points: StoredPoints, rules: Rules) -> Iterator[pa.RecordBatch]:
        """See :class:`~stepsize.collector.recount.engine.Engine`."""
        with quiet_connection() as connection:
            bound(connection, self._memory_bytes)
            connection.execute("SET preserve_insertion_order = false")  # which takes memory, and nobody asks for order
            try:
                yield from _evaluated(connection, points, rules)
            except duckdb.Error as error:
                raise LakeError(f"the roll-up ended: {str(error).splitlines()[0]}") from None


def _evaluated(connection: duckdb.DuckDBPyConnection, points: StoredPoints, rules: Rules) -> Iterator[pa.RecordBatch]:
    connection.execute(_JSON_MACROS)
    if points.rows is not None:
        connection.register(POINTS, points.rows)
    else:
        files = list(points.files)
        connection.read_parquet(files, hive_partitioning=False, union_by_name=True).create_view(POINTS)
    planned = plan(rules)
    for stage in planned.stages:
        connection.execute(f"CREATE TEMP TABLE {stage.name} AS {sql_of(stage.rows, 'duckdb')}")
    yield from connection.sql(sql_of(planned.rows, "duckdb")).to_arrow_reader(BATCH_ROWS)
