"""The DuckDB instance of an endpoint, locked to the lake.

What comes in: the views of a lake, limits. What goes out: connections to the instance, whose files are the lake's
alone, whose settings nobody changes, and which loads nothing. Never writes to the lake.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from stepsize.postgres import catalog
from stepsize.store.bounds import bound, quiet_connection

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from stepsize.postgres.lake_views import LakeViews

DATABASE = "stepsize"
SCHEMA = "public"
SHAPE = "shape"
"""Schema of tables with the columns of the views and no rows: what a statement is of is asked of them."""
_CONFIG: Final = {
    "python_enable_replacements": False,  # or FROM x reads a variable of this process
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
}
_BESIDE_BYTES = 256 << 20
"""For rows on their way to clients."""
_CLOCKS = frozenset({"clock_timestamp", "statement_timestamp", "get_current_timestamp", "gen_random_uuid", "pg_sleep"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What all clients together, and each statement, may have.

    Attributes:
        memory_bytes: of all queries together.
        disk_bytes: of what of them does not fit in memory, below ``TMPDIR``.
        statement_s: how long a statement may take, rows and all.
        cache_bytes: of results that are kept for a moment.
        cache_s: how long they are.
    """

    memory_bytes: int = 1 << 30
    disk_bytes: int = 4 << 30
    statement_s: float = 60.0
    cache_bytes: int = 64 << 20
    cache_s: float = 1.0

    @property
    def process_bytes(self) -> int:
        """What a process may hold for it: half as much again for what DuckDB does not count, and what clients read."""
        return 3 * self.memory_bytes // 2 + self.cache_bytes + _BESIDE_BYTES

    @classmethod
    def within(cls, memory_bytes: int, statement_s: float) -> Limits:
        """Those of an endpoint that is told what it may hold in memory: four times as much may lie on disk."""
        return cls(memory_bytes=memory_bytes, disk_bytes=4 * memory_bytes, statement_s=statement_s)


class Instance:
    """The instance, and the views as they are now.

    Raises:
        LakeError: the lake cannot be read.
    """

    def __init__(self, lake: LakeViews, limits: Limits) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._root = quiet_connection(config=_CONFIG)
        self._made: Hashable = None
        self._set_up(limits)
        lake.register(self._root)
        self.refresh()
        self.relations = self._shape()
        """Names of the views."""
        catalog.install(self._root, DATABASE)
        volatile = "SELECT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
        self.volatile = frozenset(name for (name,) in self._root.execute(volatile).fetchall()) | _CLOCKS
        """Names of functions that give something else each time, of the same lake."""
        self._lock_down()

    def _set_up(self, limits: Limits) -> None:
        bound(self._root, limits.memory_bytes)
        self._root.execute(f"SET max_temp_directory_size = '{limits.disk_bytes}B'")
        self._root.execute("SET GLOBAL TimeZone = 'UTC'")
        self._root.execute("SET GLOBAL integer_division = true")
        self._root.execute(f"ATTACH ':memory:' AS {DATABASE}")
        self._root.execute(f"CREATE SCHEMA {DATABASE}.{SCHEMA}")

    def _shape(self) -> frozenset[str]:
        query = "SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2"
        names = [name for (name,) in self._root.execute(query, [DATABASE, SCHEMA]).fetchall()]
        self._root.execute(f"CREATE SCHEMA {DATABASE}.{SHAPE}")
        for name in names:
            source = f'{DATABASE}.{SCHEMA}."{name}"'
            self._root.execute(f'CREATE TABLE {DATABASE}.{SHAPE}."{name}" AS FROM {source} LIMIT 0')
        return frozenset(names)

    def _lock_down(self) -> None:
        self._root.execute("SET allowed_directories = $1", [[f"{one}/" for one in self._lake.directories]])
        self._root.execute("SET enable_external_access = false")
        self._root.execute("SET lock_configuration = true")

    def refresh(self) -> Hashable:
        """Have the views show what the lake holds now; what is returned differs where they differ.

        Raises:
            LakeError, OSError, duckdb.Error: it cannot be read now; the views are as before.
        """
        with self._lock:
            version = self._lake.version()
            if version != self._made:
                self._make(self._lake.statements())
                self._made = version
            return version

    def _make(self, statements: Iterable[str]) -> None:
        self._root.execute("BEGIN")
        try:
            for statement in statements:
                made = f"CREATE OR REPLACE VIEW {DATABASE}.{SCHEMA}."
                self._root.execute(statement.replace("CREATE VIEW lake.", made, 1))
            self._root.execute("COMMIT")
        except BaseException:  # memory that ran out, too: nobody else could begin one
            with contextlib.suppress(duckdb.Error):
                self._root.execute("ROLLBACK")
            raise

    def connect(self, schema: str = SCHEMA) -> duckdb.DuckDBPyConnection:
        """A connection for one client's statement; what it makes in a transaction that only reads is nothing."""
        connection = self._root.cursor()
        try:
            self._lake.register(connection)
            connection.execute(f"SET search_path = '{DATABASE}.{schema},{DATABASE}.pg'")
            connection.execute("BEGIN TRANSACTION READ ONLY")
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Let go of the instance."""
        self._root.close()
