"""The roll-up on a Spark cluster.

What comes in and goes out: see :mod:`stepsize.collector.recount.engine`. Which cluster that is, and how much it may
take, is Spark's own configuration (``spark-defaults.conf``, ``SPARK_CONF_DIR``, ``spark-submit``): nothing of it is set
here. The workers need neither this package nor Python. Points in an object store are read by the cluster's own
connector (``s3a://``, hadoop-aws), which is not part of PySpark; where it is missing, one line says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.collector.recount.engine import BATCH_ROWS, sql_of
from stepsize.collector.recount.rows import plan
from stepsize.collector.recount.stored import COLUMNS, POINTS
from stepsize.collector.recount.stored_rows import MADE
from stepsize.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

    from stepsize.collector.recount.rows import Rules
    from stepsize.collector.recount.sources import StoredPoints

_JSON_MEMBERS = """
CREATE OR REPLACE TEMPORARY FUNCTION json_members(text STRING, prefix STRING)
RETURNS ARRAY<STRUCT<name STRING, quoted STRING, value STRING>>
RETURN transform(
    filter(map_keys(TRY_CAST(try_parse_json(text) AS MAP<STRING, VARIANT>)), name -> startswith(name, prefix)),
    name -> named_struct(
        'name', substring(name, length(prefix) + 1),
        'quoted', to_json(CAST(substring(name, length(prefix) + 1) AS VARIANT)),
        'value', coalesce(to_json(CAST(try_parse_json(text) AS MAP<STRING, VARIANT>)[name]), 'null')
    )
)
"""
_NO_CONNECTOR = "S3AFileSystem not found"
_TYPES = {"string": "string", "int32": "int", "int64": "bigint", "float64": "double"}


class SparkEngine:
    """Spark, through a session of its own that ends with the roll-up."""

    def task_rows(self, points: StoredPoints, rules: Rules) -> Iterator[pa.RecordBatch]:
        """See :class:`~stepsize.collector.recount.engine.Engine`."""
        from py4j.protocol import Py4JError  # noqa: PLC0415 - heavy, and an extra
        from pyspark.errors import PySparkException  # noqa: PLC0415 - as above
        from pyspark.sql import SparkSession  # noqa: PLC0415 - as above

        try:
            session = SparkSession.builder.appName("stepsize rollup").getOrCreate()
        except (PySparkException, Py4JError, OSError) as error:
            raise LakeError(f"Spark does not start: {_first_line(error)}; see its own lines above") from None
        try:
            yield from _evaluated(session, points, rules)
        except (PySparkException, Py4JError) as error:
            raise LakeError(_what_ended_it(error)) from None
        finally:
            session.stop()


def _evaluated(session: SparkSession, points: StoredPoints, rules: Rules) -> Iterator[pa.RecordBatch]:
    schema = ", ".join(f"`{name}` {_TYPES[kind]}" for name, kind in COLUMNS.items())
    session.read.schema(schema).parquet(*points.files).createOrReplaceTempView(POINTS)
    session.sql(_JSON_MEMBERS)
    planned = plan(rules)
    for stage in planned.stages:
        session.sql(sql_of(stage.rows, "pyspark")).persist().createOrReplaceTempView(stage.name)
    yield from _batches(session.sql(sql_of(planned.rows, "pyspark")))


def _batches(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """The rows as they come from the cluster, a part at a time."""
    taken = []
    for row in rows.toLocalIterator():
        taken.append(row.asDict(recursive=True))
        if len(taken) == BATCH_ROWS:
            yield pa.RecordBatch.from_pylist(taken, MADE)
            taken = []
    if taken:
        yield pa.RecordBatch.from_pylist(taken, MADE)


def _what_ended_it(error: Exception) -> str:
    if _NO_CONNECTOR in str(error):
        return (
            "Spark has no connector to s3://: name org.apache.hadoop:hadoop-aws in spark.jars.packages, of the version "
            "that Spark has of hadoop-client, or roll up with --engine duckdb"
        )
    return f"the roll-up ended: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    """What went wrong, without the traces behind it; an error of Java's begins with where it was called."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[1].removeprefix(": ") if lines[1:] and lines[1].startswith(": ") else lines[0]
