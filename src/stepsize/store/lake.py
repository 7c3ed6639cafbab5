"""A lake: a data directory that collectors write and everybody reads.

What comes in: the data directory. What goes out: connections on its current generation. Never writes a row (that is
:mod:`stepsize.store.writer`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from stepsize.errors import LakeError
from stepsize.store.database import rebuild, write_empty_files
from stepsize.store.layout import DATABASE, check_directory, check_version
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from pathlib import Path


class Lake:
    """The lake in directory ``data``; nothing is touched before a method is called."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()

    def create(self) -> None:
        """Make the directory a lake; one that is a lake already gets its views built anew.

        Raises:
            LakeError: no permission, not a directory, or written by a newer stepsize.
            UnavailableError: another writer keeps the views locked.
        """
        check_directory(self.data)
        try:
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
        connection = duckdb.connect()
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH {literal(str(path))} AS stepsize (READ_ONLY)")
            connection.execute("USE stepsize")
        except (duckdb.Error, OSError) as error:
            connection.close()
            raise LakeError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
        return connection
