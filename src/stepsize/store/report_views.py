"""Views over the reports that a lake keeps: what they recommend, in SQL.

What comes in: the directory of a lake. What goes out: statements that make ``recommendations`` (of the newest report)
and ``recommendation_history`` (of all that are kept), over exactly the files that are there now. Never writes.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from stepsize.store.reports import REPORTS
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def report_files(data: Path) -> list[Path]:
    """The reports of the lake in ``data``, oldest first."""
    return sorted((data / REPORTS).glob("day=????-??-??/report.json"))


def report_view_statements(files: Sequence[Path]) -> list[str]:
    """The statements that make the views over these reports, in an attached database called ``lake``."""
    template = (resources.files("stepsize.store") / "views" / "recommendations.sql").read_text("utf-8")
    of_view = {"recommendations": files[-1:], "recommendation_history": files}
    return [template.format(view=view, rows=_rows(found)) for view, found in of_view.items()]


def _rows(files: Sequence[Path]) -> str:
    if not files:
        nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in {**_COLUMNS, "day": "DATE"}.items())
        return f"(SELECT {nulls} WHERE false)"
    paths = ", ".join(literal(str(file)) for file in files)
    columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in {**_COLUMNS, "day": "DATE"}.items())
    options = "format = 'array', hive_partitioning = true, hive_types = {'day': DATE}"
    return f"read_json([{paths}], columns = {{{columns}}}, {options})"
