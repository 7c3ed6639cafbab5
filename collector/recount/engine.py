"""What an engine is that evaluates the roll-up, and the SQL that it is given.

What comes in: stored points, and :class:`~stepsize.collector.recount.rows.Rules`. What goes out:
batches of rows, few of which are in memory at once. Engines never write to the lake; what they keep between stages is
theirs, and goes with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import ibis
from ibis.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from stepsize.collector.recount.rows import Rules
    from stepsize.collector.recount.sources import StoredPoints

BATCH_ROWS = 20_000


class Engine(Protocol):
    """Evaluates the roll-up."""

    def task_rows(self, points: StoredPoints, rules: Rules) -> Iterator[pa.RecordBatch]:
        """The rows of a :class:`~stepsize.collector.recount.rows.Plan` over ``points``, in any order.

        Raises:
            LakeError: a file cannot be read, or there is no room for what lies between the stages.
        """
        ...


class _SparkOptions(Config):  # type: ignore[misc] # ibis has no types
    treat_nan_as_null: bool = False


def sql_of(rows: ibis.Table, dialect: str) -> str:
    """The expression as the SQL of ``dialect``, ``duckdb`` or ``pyspark``."""
    if (
        ibis.options.pyspark is None
    ):  # which ibis sets where it connects to Spark itself, and reads to write Spark's SQL
        ibis.options.pyspark = _SparkOptions()
    text: Any = ibis.to_sql(rows, dialect=dialect)
    return str(text)
