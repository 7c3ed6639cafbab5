"""Views over the reports that a lake keeps: what they recommend, in SQL.

What comes in: the directory of a lake. What goes out: statements that make ``recommendations`` (of the newest report)
and ``recommendation_history`` (of all that are kept), over exactly the files that are there now. Writes nothing but the
rows of a report beside it, where the nightly job asks for that.
"""

from __future__ import annotations

import contextlib
import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from stepsize.errors import LakeError
from stepsize.store.bounds import quiet_connection
from stepsize.store.reports import REPORTS, ROWS_FILE
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_REPORT_FILE = "report.json"
_DAY = re.compile(r"day=\d{4}-\d{2}-\d{2}")
_AMOUNTS = "STRUCT(cpu DOUBLE, memory_mb DOUBLE, gpu DOUBLE, vram_mb DOUBLE, disk_mb DOUBLE)"
_SERVERS = (
    "STRUCT(vendor_id VARCHAR, server_id VARCHAR, region VARCHAR, price_hourly DOUBLE, allocation VARCHAR, "
    "price_observed_at VARCHAR, vcpus DOUBLE, memory_mib DOUBLE)[]"
)
_COLUMNS = {
    "flow": "VARCHAR",
    "step": "VARCHAR",
    "project": "VARCHAR",
    "production": "BOOLEAN",
    "runs": "BIGINT",
    "tasks": "BIGINT",
    "policy": "VARCHAR",
    "requested": _AMOUNTS,
    "used": _AMOUNTS,
    "recommended": _AMOUNTS,
    "target": "STRUCT(name VARCHAR)",
    "timeout_s": "STRUCT(requested DOUBLE, recommended DOUBLE)",
    "confidence": "VARCHAR",
    "failures_expected_per_1000": "DOUBLE",
    "wasted_gb_h": "DOUBLE",
    "cost_per_run": "STRUCT(now DOUBLE, recommended DOUBLE)",
    "cost_of_failure": "DOUBLE",
    "saving_per_month": "DOUBLE",
    "currency": "VARCHAR",
    "servers": _SERVERS,
    "reasons": "VARCHAR[]",
}
"""Keys of a report in JSON that the views show; one that an older report lacks is NULL."""


class Stamped(NamedTuple):
    """A file, and what differs as soon as it is replaced."""

    file: Path
    mtime_ns: int
    size_bytes: int


def report_files(data: Path) -> list[Path]:
    """The reports of the lake in ``data``, oldest first."""
    return [Path(path) for path, *_ in report_version(data)]


def report_version(data: Path) -> tuple[tuple[str, int, int, int], ...]:
    """The reports of the lake in ``data``, oldest first, each with what differs as soon as it is replaced.

    Asked with each statement: a year's takes 2 ms.
    """
    root = os.path.join(data, REPORTS)  # noqa: PTH118 - of hundreds, and so below
    found = []
    try:
        days = sorted(name for name in os.listdir(root) if _DAY.fullmatch(name))  # noqa: PTH208
    except FileNotFoundError:
        return ()
    for day in days:
        path = f"{root}/{day}/{_REPORT_FILE}"
        with contextlib.suppress(FileNotFoundError):
            stat = os.stat(path)  # noqa: PTH116
            found.append((path, stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def report_view_statements(files: Sequence[Path], whole: set[Stamped] | None = None) -> list[str]:
    """The statements that make the views over these reports, in an attached database called ``lake``.

    ``whole`` are files of `keep_rows` that are known to have every column of today, as they were then; those that are
    found to are added.
    """
    quick = _quick(files, set() if whole is None else whole)
    by_view = {"recommendations": files[-1:], "recommendation_history": files}
    return [f"CREATE VIEW lake.{view} AS {_select(found, quick)};" for view, found in by_view.items()]


def keep_rows(directory: Path) -> None:
    """Leave beside the report in ``directory`` what the views show of it.

    Raises:
        LakeError: it is no report, or there is no room.
    """
    made = directory / ROWS_FILE
    with quiet_connection(threads=1) as connection:
        rows = _flat(_json([directory / _REPORT_FILE], is_of_day=False))
        options = "FORMAT parquet, COMPRESSION zstd"
        query = f"SELECT * EXCLUDE (day) FROM ({rows})"  # noqa: S608 -- a template of ours
        try:
            connection.execute(f"COPY ({query}) TO {literal(str(made))} ({options})")
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise LakeError(f"cannot keep reports: {made}: {said}; make room, or mend its mode") from None


def _quick(reports: Sequence[Path], whole: set[Stamped]) -> dict[Path, Path]:
    """The files of rows to read in place of reports: as new as the report, with all columns."""
    kept = {}
    for report in reports:
        with contextlib.suppress(FileNotFoundError):
            file, of_report = report.with_name(ROWS_FILE), report.stat()
            stat = file.stat()
            if stat.st_mtime_ns >= of_report.st_mtime_ns:
                kept[report] = Stamped(file, stat.st_mtime_ns, stat.st_size)
    whole.intersection_update(kept.values())
    whole.update(_whole([one for one in kept.values() if one not in whole]))
    return {report: one.file for report, one in kept.items() if one in whole}


def _whole(files: Sequence[Stamped]) -> Iterator[Stamped]:
    """Those that hold the views' columns, of the views' types: a version may add one, or change one."""
    if not files:
        return
    with quiet_connection(threads=1) as connection:

        def described(query: str) -> list[tuple[str, ...]]:
            return [row[:2] for row in connection.execute(f"DESCRIBE {query}").fetchall()]

        wanted = described(f"SELECT * EXCLUDE (day) FROM ({_flat(_nothing())})")  # noqa: S608 -- ours
        for one in files:
            query = f"SELECT * FROM read_parquet({literal(str(one.file))}, hive_partitioning = false)"  # noqa: S608 -- ours
            with contextlib.suppress(duckdb.Error):
                if described(query) == wanted:
                    yield one


def _select(reports: Sequence[Path], quick: Mapping[Path, Path]) -> str:
    plain = [report for report in reports if report not in quick]
    rows = _flat(_json(plain) if plain else _nothing())
    if len(plain) == len(reports):
        return rows
    names = ", ".join(literal(str(quick[report])) for report in reports if report in quick)
    options = "hive_partitioning = true, hive_types = {'day': DATE}"
    return f"{rows} UNION ALL BY NAME SELECT * FROM read_parquet([{names}], {options})"  # noqa: S608 -- quoted


def _flat(rows: str) -> str:
    template = resources.files("stepsize.store") / "views" / "recommendations.sql"
    return template.read_text("utf-8").format(rows=rows)


def _nothing() -> str:
    nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in {**_COLUMNS, "day": "DATE"}.items())
    return f"(SELECT {nulls} WHERE false)"


def _json(files: Sequence[Path], *, is_of_day: bool = True) -> str:
    paths = ", ".join(literal(str(file)) for file in files)
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in {**_COLUMNS, "day": "DATE"}.items())
    options = ", hive_partitioning = true, hive_types = {'day': DATE}" if is_of_day else ""
    return f"read_json([{paths}], columns = {{{columns}}}, format = 'array'{options})"
