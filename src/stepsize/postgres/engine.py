"""One DuckDB instance over the lake, for reading alone.

What comes in: statements of clients, one at a time, with values. What goes out: the columns and record batches of each,
or :class:`SqlError`. Runs nothing that is no reading statement, reads no file but the lake's, and leaves the lake as it
is. Each statement has a connection to the instance of its own, and sees one state of the lake.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from stepsize.postgres import types
from stepsize.postgres.errors import SqlError, of_duckdb
from stepsize.store.bounds import bound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from stepsize.postgres.lake_views import LakeViews

DATABASE = "stepsize"
SCHEMA = "public"
CATALOG = "pg"
_SEARCH_PATH = f"{DATABASE}.{SCHEMA},{DATABASE}.{CATALOG}"
_BATCH_ROWS = 16_384
_IS_STREAMING = int(duckdb.__version__.split(".")[0]) >= 2
"""From 2 on a relation gives its rows as they come, and `execute` a copy of them; before, it is the other way round."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all clients together, and each statement, may have."""

    memory_bytes: int = 1 << 30
    disk_bytes: int = 4 << 30
    statement_s: float = 60.0


class Running:
    """A statement that runs, and may be stopped from another thread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stopped: SqlError | None = None

    def stop(self, why: SqlError) -> None:
        """Have it end with ``why``; may be called again until it has."""
        self._stopped = self._stopped or why
        with contextlib.suppress(duckdb.Error):
            self._connection.interrupt()

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Say what DuckDB raises as a client is told it."""
        try:
            if self._stopped is not None:
                raise self._stopped
            yield
        except duckdb.Error as error:
            raise (self._stopped or of_duckdb(error)) from None
        except OSError as error:  # Arrow's own, of what DuckDB raises while rows are fetched
            raise (self._stopped or SqlError("XX000", " ".join(str(error).split()))) from None


class Result:
    """The rows of a statement, as they come. To be closed."""

    def __init__(self, running: Running, reader: Any, close: Callable[[], None]) -> None:
        self._running = running
        self._reader = reader
        self._close = close

    def next(self) -> pa.RecordBatch | None:
        """Some rows more; None where there are none.

        Raises:
            SqlError: it failed, or was stopped.
        """
        with self._running.told():
            try:
                return self._reader.read_next_batch()
            except StopIteration:
                return None

    def close(self) -> None:
        """Let go of it, whether it has been read to its end or not."""
        self._reader = None
        self._close()


class Engine:
    """The instance.

    Args:
        lake: what makes the views.
        limits: of all clients.

    Raises:
        LakeError: the lake cannot be read.
    """

    def __init__(self, lake: LakeViews, limits: Limits) -> None:
        self._lake = lake
        self.limits = limits
        self._lock = threading.Lock()
        self._root = duckdb.connect(
            config={
                "python_enable_replacements": False,
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "allow_community_extensions": False,
            }
        )
        self._configure()
        self._made: object = None
        self._refresh()

    def _configure(self) -> None:
        root = self._root
        bound(root, self.limits.memory_bytes)
        root.execute(f"SET max_temp_directory_size = '{self.limits.disk_bytes}B'")
        root.execute("SET enable_progress_bar = false")
        root.execute("SET GLOBAL TimeZone = 'UTC'")
        root.execute("SET GLOBAL integer_division = true")
        root.execute(f"ATTACH ':memory:' AS {DATABASE}")
        root.execute(f"CREATE SCHEMA {DATABASE}.{SCHEMA}; CREATE SCHEMA {DATABASE}.{CATALOG}")
        root.execute("SET allowed_directories = $1", [[str(one) for one in self._lake.directories]])
        root.execute("SET enable_external_access = false")
        root.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Let go of the instance."""
        self._root.close()

    def _refresh(self) -> None:
        """Have the views show what the lake holds now."""
        with self._lock:
            version = self._lake.version()
            if version == self._made:
                return
            self._root.execute("BEGIN")
            for statement in self._lake.statements():
                self._root.execute(
                    statement.replace("CREATE VIEW lake.", f"CREATE OR REPLACE VIEW {DATABASE}.{SCHEMA}.", 1)
                )
            self._root.execute("COMMIT")
            self._made = version

    def describe(self, text: str, parameters: Sequence[str] = ()) -> tuple[types.Column, ...]:
        """The columns of a statement's result, given DuckDB's types of its parameters.

        Raises:
            SqlError: it is no statement that reads, or names what is not there.
        """
        self._refresh()
        with self._connection() as connection:
            try:
                statement = _checked(connection, text)
                nulls = [f"CAST(NULL AS {one})" for one in parameters]
                del statement, nulls
                relation = connection.sql(text)
                return tuple(
                    types.column(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)
                )
            except duckdb.Error as error:
                raise of_duckdb(error) from None

    def run(self, text: str, columns: Sequence[types.Column], started: Callable[[Running], None]) -> Result:
        """Run a statement whose columns are known.

        ``started`` is given what stops it, before it starts.

        Raises:
            SqlError: it failed, or was stopped.
        """
        self._refresh()
        connection = self._open()
        running = Running(connection)
        started(running)
        try:
            with running.told():
                names = ", ".join(f"c{number}" for number in range(len(columns)))
                cells = ", ".join(types.text_of(one, f"c{number}") for number, one in enumerate(columns))
                connection.execute("BEGIN TRANSACTION READ ONLY")
                query = f"SELECT {cells} FROM (\n{text}\n) AS q({names})"  # noqa: S608 -- it was checked
                source = connection.sql(query) if _IS_STREAMING else connection.execute(query)
                return Result(running, source.to_arrow_reader(_BATCH_ROWS), connection.close)
        except BaseException:
            connection.close()
            raise

    @contextlib.contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = self._root.cursor()
        connection.execute(f"SET search_path = '{_SEARCH_PATH}'")
        return connection


_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})


def _checked(connection: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    """The one statement of a text, if it is one that reads."""
    found = connection.extract_statements(text)
    if len(found) != 1:
        raise SqlError("42601", "cannot insert multiple commands into a prepared statement")
    if found[0].type not in _READING:
        raise SqlError("25006", f"cannot execute {found[0].type.name} in a read-only transaction")
    return found[0]
