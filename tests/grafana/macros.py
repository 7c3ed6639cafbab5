"""What Grafana makes of a query before it sends it.

Rules of macros: Grafana's pkg/tsdb/grafana-postgresql-datasource/macros.go; of intervals: sqleng's Interpolate and
frontend's `${name:sqlstring}` (each value quoted, joined by commas; a custom "all" as it is).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

_MACRO = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")
_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_LEFT = re.compile(r"\$[{_a-zA-Z]\w*")


@dataclass(frozen=True)
class Raw:
    """A custom value of "all", which Grafana puts in unquoted."""

    text: str


@dataclass(frozen=True)
class Window:
    """A dashboard's time range and the interval that a panel has there."""

    begin: datetime
    end: datetime
    interval_s: int

    def expand(self, text: str, variables: Mapping[str, object]) -> str:
        """A query as the endpoint gets it."""
        if left := _LEFT.search(self._macros(_VARIABLE.sub("''", text))):
            raise AssertionError(f"Grafana leaves {left[0]} as it is")
        return self._macros(_VARIABLE.sub(lambda found: _quoted(variables[found[1]]), text))

    def _macros(self, text: str) -> str:
        text = text.replace("$__interval_ms", str(self.interval_s * 1000)).replace("$__interval", f"{self.interval_s}s")
        return _MACRO.sub(lambda found: self._macro(found, text), text)

    def _macro(self, found: re.Match[str], text: str) -> str:
        name, arguments = found[1], [one.strip(" ") for one in found[2].split(",")]
        begin, end = (_rfc3339(one) for one in (self.begin, self.end))
        if name == "__timeFilter":
            return f"{arguments[0]} BETWEEN '{begin}' AND '{end}'"
        if name == "__timeFrom":
            return f"'{begin}'"
        if name == "__timeTo":
            return f"'{end}'"
        if name in {"__timeGroup", "__timeGroupAlias"}:
            seconds = int(arguments[1].strip("'").removesuffix("s"))
            grouped = f"floor(extract(epoch from {arguments[0]})/{seconds})*{seconds}"
            is_alias = name == "__timeGroupAlias" or text[text.index(found[0]) + len(found[0])] == ","
            return f'{grouped} AS "time"' if is_alias else grouped
        raise AssertionError(f"a macro that Grafana does not have: {name}")


def _rfc3339(moment: datetime) -> str:
    """As Go's RFC3339Nano writes it: without zeros at the end of the fraction."""
    whole, _, fraction = moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    return whole + (f".{fraction.rstrip('0')}" if fraction.rstrip("0") else "") + "Z"


def _quoted(value: object) -> str:
    if isinstance(value, Raw):
        return value.text
    assert isinstance(value, list)
    return ",".join("'" + one.replace("'", "''") + "'" for one in value)
