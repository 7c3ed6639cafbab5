"""``stepsize.open_lake``: the lake as DuckDB relations.

What comes in: a data directory. What goes out: relations on one consistent state of it. Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.commands.settle import settle as settle_all
from stepsize.settings import Settings
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class OpenLake:
    """A lake, open for reading: `sql`, and its two views as relations. Close it, or use ``with``.

    Attributes:
        connection: DuckDB's, in UTC.
        missing: a line for each part that may lack the newest tasks; empty where all is there.
    """

    connection: duckdb.DuckDBPyConnection
    missing: tuple[str, ...] = ()

    @property
    def tasks(self) -> duckdb.DuckDBPyRelation:
        """One row for each attempt (`stepsize.model.TASK_COLUMNS`)."""
        return self.connection.table("tasks")

    @property
    def points(self) -> duckdb.DuckDBPyRelation:
        """One row for each value of a metric (`stepsize.model.POINT_COLUMNS`)."""
        return self.connection.table("points")

    def sql(self, query: str, **parameters: Any) -> duckdb.DuckDBPyRelation:
        """Any query on the lake's views; ``$name`` in it stands for a parameter."""
        return self.connection.sql(query, params=parameters)

    def close(self) -> None:
        """Relations cannot be read afterwards."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_lake(path: str | Path | None = None, *, settle: bool = True) -> OpenLake:
    """Open the lake in ``path``; without, that of ``STEPSIZE_DATA``.

    It goes on showing what was there when it was opened.

    Args:
        path: a data directory.
        settle: first have everything that was measured until now arrive, as ``stepsize report`` does.

    Raises:
        LakeError: there is no lake, or it cannot be read.
        ConfigError: a setting is wrong.
    """
    settings = Settings.load(data=None if path is None else str(path))
    settings.here("open_lake")
    missing = tuple(settle_all(settings)) if settle else ()
    return OpenLake(Lake(settings.data).connect(), missing)
