"""A lake: a data directory that collectors write and everybody reads.

What comes in: the data directory. What goes out: connections on its current generation. Never writes a row (that is
:mod:`stepsize.store.writer`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import duckdb

from stepsize.errors import LakeError
from stepsize.store.bounds import bound, quiet_connection
from stepsize.store.database import empty_file, lacking_columns, rebuild, view_statements, write_empty_files
from stepsize.store.layout import DATABASE, SCHEMA_VERSION, check_directory, check_version, remove_temporaries
from stepsize.store.migrate import migrate
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Lake:
    """The lake in directory ``data``; nothing is touched before a method is called."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()

    def create(self) -> None:
        """Make the directory a lake; one that is a lake already gets its views built anew, an older one is migrated.

        Raises:
            LakeError: no permission, not a directory, or written by a newer stepsize.
            UnavailableError: another writer keeps the views locked.
        """
        check_directory(self.data)
        try:
            remove_temporaries(self.data)
            migrate(self.data, check_version(self.data) or SCHEMA_VERSION)
            write_empty_files(self.data)
            rebuild(self.data)
        except OSError as error:
            raise LakeError(f"cannot write to {self.data}: {error.strerror}; give another data directory") from None

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A read-only connection on the current generation, in UTC; the views ``tasks``, ``points`` and the others.

        It goes on seeing the generation that it was opened on; files of a generation that was replaced stay for ten
        minutes. Connect again for a newer one.

        Raises:
            LakeError: there is no lake in the directory, or a newer stepsize wrote it.
        """
        path = self.data / DATABASE
        check_version(self.data)
        if not path.is_file():
            raise LakeError(f"no data in {self.data} yet; run a flow with STEPSIZE=1, or give another --data")
        # An instance of its own: DuckDB would hand a second connection of this process the file it has cached by name.
        connection = quiet_connection()
        try:
            connection.execute(f"ATTACH {literal(str(path))} AS stepsize (READ_ONLY)")
            if self._is_elsewhere(connection):
                connection.execute("ATTACH ':memory:' AS lake")
                for statement in view_statements(self.data):
                    connection.execute(statement)
                connection.execute("USE lake")
            else:
                connection.execute("USE stepsize")
                self._complete(connection)
        except (duckdb.Error, OSError) as error:
            connection.close()
            raise LakeError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
        return connection

    @contextlib.contextmanager
    def reading(self, memory_bytes: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection as :meth:`connect` gives it, for as long as the block lasts.

        ``memory_bytes`` bounds what its queries hold at once; the rest lies on disk, below ``TMPDIR``, while they run.

        Raises:
            LakeError: as `connect`, and where a file of the lake turns out to be damaged, missing or closed to us.
        """
        connection = self.connect()
        try:
            bound(connection, memory_bytes)
            yield connection
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            said = str(error).splitlines()[0]
            raise LakeError(
                f"cannot read the lake in {self.data}: {said}; restore the file, or mend its mode"
            ) from None
        finally:
            connection.close()

    def _complete(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give `tasks` the columns that the version which wrote the views did not know yet."""
        query = "SELECT column_name FROM duckdb_columns() WHERE database_name = 'stepsize' AND table_name = 'tasks'"
        statement = lacking_columns(name for (name,) in connection.execute(query).fetchall())
        if statement:
            connection.execute(statement)

    def _is_elsewhere(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the views name files under another path: the lake was moved, copied or is mounted elsewhere."""
        query = "SELECT sql FROM duckdb_views() WHERE database_name = 'stepsize' AND view_name = 'tasks'"
        rows = connection.execute(query).fetchall()
        return not rows or literal(str(self.data / empty_file("tasks"))) not in rows[0][0]
