"""The report as CSV: a header and one row a step, nested values in columns of their own.

What comes in: reports. What goes out: CSV text as RFC 4180 has it, but that lines end in ``\\n``; what is not known is
an empty field. Text is as it is, with two exceptions: control characters (but tab and line ends) become U+FFFD, since
few readers take them, and what a spreadsheet would run as a formula has an apostrophe before it. JSON has all of it.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.formats.json_text import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.report import StepReport

_AMOUNTS = ("cpu", "memory_mb", "gpu", "vram_mb", "disk_mb")
_TARGET = ("name", "cpu", "memory", "memory_unit")
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How text begins that spreadsheets run, its full-width forms too (https://owasp.org/www-community/attacks/CSV_Injection)."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
COLUMNS: tuple[str, ...] = (
    *("flow", "step", "project", "production", "runs", "tasks", "policy"),
    *(f"{part}_{name}" for part in ("requested", "used", "recommended") for name in _AMOUNTS),
    *("confidence", "failures_expected_per_1000", "failures_low_per_1000", "failures_high_per_1000", "wasted_gb_h"),
    *(
        "cost_per_run_now",
        "cost_per_run_recommended",
        "cost_of_failure",
        "saving_per_month",
        "currency",
        "server_vendor_id",
        "server_id",
        "server_region",
        "server_price_hourly",
        "server_price_observed_at",
        "reasons",
    ),
    *("requested_timeout_s", "recommended_timeout_s", *(f"target_{name}" for name in _TARGET)),
)
"""The header; the server is the cheapest that fits the recommendation."""


def render(reports: Sequence[StepReport]) -> str:
    """``reports`` as CSV with the header :data:`COLUMNS`."""
    return as_csv((_row(record(report)) for report in reports), COLUMNS)


def as_csv(records: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """Any records as CSV with the header ``columns``."""
    # Before Python 3.13 a writer quotes of line ends those alone that it writes itself; readers end a line at either.
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    lines = []
    for row in ({column: column for column in columns}, *records):
        writer.writerow({name: _cell(value) for name, value in row.items()})
        lines.append(text.getvalue().removesuffix("\r\n"))
        text.seek(0)
        text.truncate()
    return "\n".join([*lines, ""])


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def _row(found: dict[str, Any]) -> dict[str, Any]:
    row = {column: found[column] for column in COLUMNS if column in found}
    for part in ("requested", "used", "recommended"):
        row |= {f"{part}_{name}": found[part][name] for name in _AMOUNTS}
    row |= {f"cost_per_run_{name}": cost for name, cost in found["cost_per_run"].items()}
    row["failures_low_per_1000"], row["failures_high_per_1000"] = found["failures_range_per_1000"] or (None, None)
    row["reasons"] = " ".join(found["reasons"])
    row |= {f"{part}_timeout_s": found["timeout_s"][part] for part in ("requested", "recommended")}
    row |= {f"target_{name}": value for name, value in (found["target"] or {}).items()}
    if found["servers"]:
        server = found["servers"][0]
        row["server_id"] = server["server_id"]
        row |= {f"server_{name}": server[name] for name in ("vendor_id", "region", "price_hourly", "price_observed_at")}
    return row
