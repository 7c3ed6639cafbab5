"""A statement that runs: its rows as they come, and what stops it from another thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from stepsize.postgres.errors import SqlError, of_arrow, of_duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

_BATCH_ROWS = 16_384
_IS_STREAMING = int(duckdb.__version__.split(".")[0]) >= 2
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
                    reader = self._connection.sql(text, params=values or None).to_arrow_reader(_BATCH_ROWS)
                else:
                    reader = self._connection.execute(text, values or None).to_arrow_reader(_BATCH_ROWS)
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
    """As :class:`Rows`, from DuckDB as they come: it is ahead of whoever reads by a few MiB at most."""

    def __init__(self, running: Running, reader: Any) -> None:
        self._running = running
        self._reader = reader

    def next(self) -> pa.RecordBatch | None:
        with self._running.told():
            try:
                return self._reader.read_next_batch()
            except StopIteration:
                return None

    def close(self) -> None:
        self._reader = None
        self._running.close()


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
