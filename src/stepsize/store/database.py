"""``stepsize.duckdb``: nothing but views over exactly the files that the manifests name.

What comes in: the manifests of a lake. What goes out: the file, built apart and renamed into place, so that any DuckDB
client reads one consistent state while collectors write. Never holds a row, and is never open for writing under its
own name: DuckDB lets nobody read a file that somebody has open for writing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.discovery import sync_directory
from stepsize.errors import LakeError
from stepsize.model import TASK_COLUMNS
from stepsize.store.bounds import quiet_connection
from stepsize.store.layout import DATABASE, EMPTY_PARTITION, LOCK_FILE
from stepsize.store.locks import Lock
from stepsize.store.manifest import read_manifests
from stepsize.store.parquet import write_parquet
from stepsize.store.schema import POINT_TABLES, SCHEMAS, TASKS
from stepsize.store.sql import literal
from stepsize.store.version import IS_BEFORE_2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LOCK_TIMEOUT_S = 60.0
_PREFIX = ".views-"
_STORAGE_VERSION = "v1.5.0"
"""DuckDB 2 writes by default what 1.5 cannot read."""

_EXACT_VIEWS = {"exact_points": "points", **{name: name for name in POINT_TABLES if name != "points"}}
"""View → table, for the views that show the stored columns as they are."""


def empty_file(table: str) -> str:
    """The file without rows that each view starts with (a view over no file at all cannot be made), relative."""
    return f"{table}/{EMPTY_PARTITION if table in POINT_TABLES else 'month=1970-01'}/empty.parquet"


def write_empty_files(data: Path) -> None:
    """Leave the files without rows where they are missing, or were made before a column was added.

    Raises:
        LakeError, UnavailableError: as for :func:`rebuild`.
    """
    with Lock(data / LOCK_FILE).held(_LOCK_TIMEOUT_S):  # of two collectors that start at once both would write them
        for table, schema in SCHEMAS.items():
            path = data / empty_file(table)
            if not path.exists() or pq.read_schema(path).names != schema.names:
                write_parquet(path, schema.empty_table(), table)


def rebuild(data: Path, complete: set[str] | None = None) -> None:
    """Replace ``stepsize.duckdb`` by views over what the manifests name now.

    Args:
        data: the lake.
        complete: files of `tasks` that are known to have every column of today, by their paths; those that are found
            to are added. Files never change: whoever rebuilds again and again need not look at them again.

    Raises:
        LakeError: the directory cannot be written, or a manifest is damaged.
        UnavailableError: another writer has been at it for a minute.
    """
    with Lock(data / LOCK_FILE).held(_LOCK_TIMEOUT_S):
        statements = view_statements(data, complete)
        for left in data.glob(f"{_PREFIX}*"):  # by one that was killed: nobody else builds while the lock is held
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=data, prefix=_PREFIX) as directory:
            temporary = Path(directory, DATABASE)
            try:
                _build(temporary, statements)
            except duckdb.Error as error:
                said = str(error).splitlines()[0]
                raise LakeError(f"cannot write to {data}: {said}; make room, or give another data directory") from None
            temporary.replace(data / DATABASE)
        sync_directory(data)


def view_statements(data: Path, complete: set[str] | None = None) -> list[str]:
    """The statements that make the views, over what the manifests name now, in an attached database called ``lake``.

    ``complete`` as for `rebuild`.
    """
    manifests = read_manifests(data)
    files: dict[str, list[str]] = {table: [str(data / empty_file(table))] for table in SCHEMAS}
    for manifest in manifests:
        for stored in manifest.files:
            files[stored.table].append(os.path.join(data, stored.path))  # noqa: PTH118 - of thousands with each commit
    known = set() if complete is None else complete
    known.intersection_update(files["tasks"])
    known.update(path for path in files["tasks"] if path not in known and _is_complete(path))
    rolling_up = sum(any(stored.table == "tasks" for stored in manifest.files) for manifest in manifests)
    complete_files = len(known) == len(files["tasks"])
    # The first file has every column of the version that made the lake, so only one before a column was added asks all.
    named = set(TASKS.names) if files["tasks"][0] in known else set().union(*map(_columns, files["tasks"]))
    return statements_over(_parquet(files, is_complete=complete_files), named, is_shared=rolling_up > 1, is_near=True)


def _is_complete(path: str) -> bool:
    """Whether a file of `tasks` has every column of today; so has, for the others' sake, one that cannot be read."""
    return set(TASKS.names) <= _columns(path)


def _columns(path: str) -> set[str]:
    try:
        return set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):  # whoever reads its rows is told
        return set(TASKS.names)


def _build(path: Path, statements: Iterable[str]) -> None:
    with quiet_connection(threads=1) as connection:
        options = "" if IS_BEFORE_2 else f" (STORAGE_VERSION '{_STORAGE_VERSION}')"
        connection.execute(f"ATTACH {literal(str(path))} AS lake{options}")
        connection.execute("BEGIN")  # or each statement is synced
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("DETACH lake")


def lacking_columns(columns: Iterable[str]) -> str:
    """What hides the view ``tasks`` of an older version behind one with every column of today; empty where it has them.

    ``columns`` are that view's, in a database that is attached as ``stepsize``.
    """
    known = set(columns)
    if all(column.name in known for column in TASK_COLUMNS):
        return ""
    return f"CREATE TEMP VIEW tasks AS SELECT {_task_columns(known)} FROM stepsize.tasks"  # noqa: S608 -- names of ours


def _task_columns(known: set[str]) -> str:
    """The columns of `tasks`, each of its type; NULL where it is not among ``known``."""
    sources = {c.name: f'"{c.name}"' if c.name in known else "NULL" for c in TASK_COLUMNS}
    # Text that is no JSON (rows may come from elsewhere than a collector of ours) is not known; the row is.
    casts = {c.name: "TRY_CAST" if c.type == "JSON" else "CAST" for c in TASK_COLUMNS}
    return ",\n    ".join(f'{casts[c.name]}({sources[c.name]} AS {c.type}) AS "{c.name}"' for c in TASK_COLUMNS)


def _parquet(files: dict[str, list[str]], *, is_complete: bool) -> dict[str, str]:
    """The rows in ``files``, as SQL; ``is_complete``: every file of `tasks` has every column."""
    days = "hive_partitioning = true, hive_types = {'day': DATE}"
    # Telling which columns each file has costs opening all of them, here and at each query: so only where needed.
    by_name = f"hive_partitioning = false, union_by_name = {str(not is_complete).lower()}"
    lists = {table: "[" + ", ".join(map(literal, paths)) + "]" for table, paths in files.items()}
    return {table: f"read_parquet({lists[table]}, {by_name if table == 'tasks' else days})" for table in files}


def statements_over(rows: Mapping[str, str], named: set[str], *, is_shared: bool, is_near: bool = False) -> list[str]:
    """The statements that make the views over the ``rows`` of each table: what SQL has after FROM.

    ``named``: columns that the rows of `tasks` have. ``is_shared``: several writers have rows of `tasks`. ``is_near``:
    rows are on a disk, not fetched from afar each time that they are read.
    """
    folder = resources.files("stepsize.store") / "views"
    shown = "shared_tasks" if is_shared and is_near else "tasks"
    tasks, points, exact = ((folder / f"{name}.sql").read_text("utf-8") for name in (shown, "points", "exact"))
    one_row = (folder / "one_row.sql").read_text("utf-8")
    return [
        # One writer keeps one row an attempt; telling apart what several have costs a sort, so only then.
        tasks.format(columns=_task_columns(named), rows=rows["tasks"], one_row=one_row if is_shared else ""),
        points.format(rows=rows["points"]),
        *(exact.format(view=view, rows=rows[table]) for view, table in _EXACT_VIEWS.items()),
    ]
