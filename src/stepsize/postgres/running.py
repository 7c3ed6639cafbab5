"""A statement that runs: its rows as they come, and what stops it from another thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
import pyarrow as pa

from stepsize.postgres.errors import SqlError, of_arrow, of_duckdb, out_of_memory
from stepsize.store.version import IS_BEFORE_2

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_READ_ROWS = 2048
"""As DuckDB makes them at a time."""
_BATCH_ROWS = 16_384
_BATCH_BYTES = 1 << 20
"""Rows are given in batches as large as either, so that wide ones are few and what a batch costs weighs on many."""
_COLUMN_BYTES = 1 << 14
"""A batch costs something for each column, too."""
_IS_STREAMING = not IS_BEFORE_2
"""From 2 on a relation gives its rows as they come, and `execute` a copy of them; before, it is the other way round."""


class Stoppable(Protocol):
    """What may be stopped from another thread."""

    def stop(self, why: SqlError) -> None:
        """Have it end with ``why``; again and again until it has."""


class Running:
    """A statement on a connection of its own, which it closes."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stopped: SqlError | None = None

    def stop(self, why: SqlError) -> None:
        """Have it end with ``why``, from any thread. Again and again until it has: DuckDB may not have begun yet."""
        self._stopped = self._stopped or why
        with contextlib.suppress(duckdb.Error):
            self._connection.interrupt()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Say what DuckDB raises as a client is told it."""
        if self._stopped is not None:
            raise self._stopped
        try:
            yield
        except duckdb.Error as error:
            raise self._why(of_duckdb(error)) from None
        except OSError as error:  # Arrow's own, of what DuckDB raises while rows are fetched
            raise self._why(of_arrow(error)) from None
        except MemoryError:
            raise self._why(out_of_memory()) from None

    def _why(self, said: SqlError) -> SqlError:
        """Why it was stopped, if it was; else what it says itself."""
        return self._stopped or said

    def start(self, text: str, values: dict[str, Any]) -> Rows:
        """Begin; closes the connection where that fails.

        Raises:
            SqlError: it fails, or is stopped.
        """
        try:
            with self.told():
                if _IS_STREAMING:
                    reader = self._connection.sql(text, params=values or None).to_arrow_reader(_READ_ROWS)
                else:
                    reader = self._connection.execute(text, values or None).to_arrow_reader(_READ_ROWS)
                return _Streamed(self, reader)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


class Rows(Protocol):
    """The rows of a statement. To be closed."""

    def next(self) -> pa.RecordBatch | None:
        """Some rows more; None where there are none.

        Raises:
            SqlError: it failed, or was stopped.
        """

    def close(self) -> None:
        """Let go of them, read to their end or not."""


class _Streamed:
    """As :class:`Rows`, from DuckDB as they come: it is ahead of whoever reads by a few MiB at most, or a vector."""

    def __init__(self, running: Running, reader: Any) -> None:
        self._running = running
        self._reader = reader
        self._wide: pa.RecordBatch | None = None

    def next(self) -> pa.RecordBatch | None:
        if self._wide is None:
            with self._running.told():
                self._wide = _joined(list(self._read()))
        batch, self._wide = self._wide, None
        if batch is not None and (rows := _rows_in_batch(batch)) < batch.num_rows:
            batch, self._wide = batch.slice(0, rows), batch.slice(rows)
        return batch

    def _read(self) -> Iterator[pa.RecordBatch]:
        """What makes a batch, or a vector whose rows are so wide that it makes several."""
        rows = size_bytes = 0
        while rows < _BATCH_ROWS and size_bytes < _BATCH_BYTES:
            try:
                found = self._reader.read_next_batch()
            except StopIteration:
                return
            if found.num_rows:
                rows += found.num_rows
                size_bytes += found.nbytes
                yield found

    def close(self) -> None:
        self._reader = self._wide = None
        self._running.close()


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch | None:
    if len(batches) < 2:
        return batches[0] if batches else None
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _rows_in_batch(batch: pa.RecordBatch) -> int:
    """How many of its rows are to be given at a time."""
    most_bytes = max(_BATCH_BYTES, batch.num_columns * _COLUMN_BYTES)
    if batch.nbytes < 4 * most_bytes:
        return int(batch.num_rows)
    return max(1, int(batch.num_rows * most_bytes // batch.nbytes))


class Kept:
    """As :class:`Rows`, of batches that are here."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._batches = iter(batches)

    def next(self) -> pa.RecordBatch | None:
        """As :class:`Rows`."""
        return next(self._batches, None)

    def close(self) -> None:
        """As :class:`Rows`."""
        self._batches = iter(())
