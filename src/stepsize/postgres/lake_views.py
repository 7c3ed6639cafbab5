"""The views of a lake for an instance that lives on while the lake grows.

What comes in: the data directory, or an object store. What goes out: statements that make the views, and whether they
are to be made anew. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stepsize.errors import LakeError
from stepsize.store.database import empty_file, view_statements
from stepsize.store.layout import MANIFESTS, check_version
from stepsize.store.report_views import Stamped, report_files, report_version, report_view_statements
from stepsize.store.reports import REPORTS
from stepsize.store.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from pathlib import Path

    import duckdb

    from stepsize.store.objects import ObjectLake


class LakeViews(Protocol):
    """What the engine needs of a lake."""

    @property
    def directories(self) -> Iterable[Path]:
        """Where its files lie, and nothing else."""

    def version(self) -> Hashable:
        """What differs as soon as the views are others."""

    def statements(self) -> list[str]:
        """What makes the views, each beginning with ``CREATE VIEW lake.``."""

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Give a connection what the views are made of, where that is no file."""


class LocalViews:
    """Of a lake in a directory.

    Raises:
        LakeError: there is none yet, or a newer stepsize wrote it.
    """

    def __init__(self, data: Path) -> None:
        self._data = data.absolute()
        self._complete: set[str] = set()
        self._kept: set[Stamped] = set()
        check_version(self._data)
        if not (self._data / empty_file("tasks")).is_file():
            raise LakeError(f"no data in {self._data} yet; run a flow with STEPSIZE=1, or give another --data")

    @property
    def directories(self) -> Iterable[Path]:
        """As :class:`LakeViews`."""
        return [self._data / name for name in (*SCHEMAS, REPORTS)]

    def version(self) -> Hashable:
        """As :class:`LakeViews`."""
        manifests = sorted((self._data / MANIFESTS).glob("*.json"))
        return (*((one, *_stamp(one)) for one in manifests), report_version(self._data))

    def statements(self) -> list[str]:
        """As :class:`LakeViews`."""
        reports = report_view_statements(report_files(self._data), self._kept)
        check_version(self._data)
        return [*view_statements(self._data, self._complete), *reports]

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """As :class:`LakeViews`."""


class StoreViews:
    """Of a lake in an object store, as it was when this was made; without the views of its reports.

    Raises:
        LakeError: there is none, or it cannot be read.
    """

    def __init__(self, lake: ObjectLake) -> None:
        self._generation = lake.generation()

    @property
    def directories(self) -> Iterable[Path]:
        """As :class:`LakeViews`: DuckDB opens nothing, Arrow reads the objects that the generation names."""
        return []

    def version(self) -> Hashable:
        """As :class:`LakeViews`."""
        return id(self._generation)

    def statements(self) -> list[str]:
        """As :class:`LakeViews`."""
        return [*self._generation.statements]

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """As :class:`LakeViews`."""
        for name, rows in self._generation.rows.items():
            connection.register(name, rows)


def _stamp(path: Path) -> tuple[int, int, int]:
    """What differs as soon as a file that is replaced whole is another; nothing of one that has just gone."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
