"""What Grafana asks a PostgreSQL data source, and how it writes its macros.

What comes in: a query with macros. What goes out: SQL. The questions ask what Grafana's own ask, of the same tables
with the same functions; macros become the same expressions (pkg/tsdb/grafana-postgresql-datasource in its sources;
what a panel fills in for missing times is no part of the query).
"""

from __future__ import annotations

import re
from collections.abc import Callable

SINCE, UNTIL = "2026-10-31T12:00:00Z", "2026-11-02T12:00:00.123456789Z"
SINCE_S, UNTIL_S = 1793448000, 1793620800
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ON_PATH = """quote_ident(table_schema) IN (
  SELECT CASE WHEN trim(part[n]) = '"$user"' THEN user ELSE trim(part[n]) END
  FROM generate_series(
    array_lower(string_to_array(current_setting('search_path'), ','), 1),
    array_upper(string_to_array(current_setting('search_path'), ','), 1)
  ) AS n, string_to_array(current_setting('search_path'), ',') part
)"""
VERSION = "SELECT current_setting('server_version_num')::int/100 AS version"
TIMESCALE = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
SCHEMAS = """SELECT schema_name AS "name" FROM information_schema.schemata
WHERE schema_name NOT IN ('information_schema', 'pg_catalog', 'pg_toast') ORDER BY schema_name"""
TABLES = f"""SELECT CASE WHEN {_ON_PATH} THEN quote_ident(table_name)
  ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog')
ORDER BY CASE WHEN {_ON_PATH} THEN 0 ELSE 1 END, 1"""
TABLES_OF_SCHEMA = """SELECT table_name FROM information_schema.tables
WHERE table_schema = $1 AND table_type IN ('BASE TABLE', 'VIEW') ORDER BY table_name"""
COLUMNS_OF_TABLE = """SELECT column_name, data_type, udt_name, numeric_precision, numeric_scale
FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position"""


def columns(table: str) -> str:
    """The columns of a table, whose schema may be said."""
    return f"""SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
WHERE CASE WHEN array_length(parse_ident('{table}'), 1) = 2
  THEN quote_ident(table_schema) = (parse_ident('{table}'))[1] AND quote_ident(table_name) = (parse_ident('{table}'))[2]
  ELSE quote_ident(table_name) = '{table}' AND {_ON_PATH} END"""


def values(table: str, column: str) -> str:
    """Some values of a column, for a variable."""
    return (
        f'SELECT \'{column}\' AS col_name, "{column}"::text AS val FROM (SELECT DISTINCT "{column}" '
        f'FROM "public"."{table}" WHERE "{column}" IS NOT NULL ORDER BY "{column}" LIMIT 100) sub_0'
    )


def _seconds(interval: str) -> str:
    said = interval.strip("'")
    number, unit = (said[:-2], 0.001) if said.endswith("ms") else (said[:-1], _UNITS_S[said[-1]])
    return f"{float(number) * unit:g}"


def _group(args: list[str]) -> str:
    return f"floor(extract(epoch from {args[0]})/{_seconds(args[1])})*{_seconds(args[1])}"


def _unix_group(args: list[str]) -> str:
    return f"floor(({args[0]})/{_seconds(args[1])})*{_seconds(args[1])}"


_MACROS: dict[str, Callable[[list[str]], str]] = {
    "time": lambda args: f'{args[0]} AS "time"',
    "timeEpoch": lambda args: f'extract(epoch from {args[0]}) as "time"',
    "timeFilter": lambda args: f"{args[0]} BETWEEN '{SINCE}' AND '{UNTIL}'",
    "timeFrom": lambda _: f"'{SINCE}'",
    "timeTo": lambda _: f"'{UNTIL}'",
    "timeGroup": _group,
    "timeGroupAlias": lambda args: f'{_group(args)} AS "time"',
    "unixEpochFilter": lambda args: f"{args[0]} >= {SINCE_S} AND {args[0]} <= {UNTIL_S}",
    "unixEpochNanoFilter": lambda args: f"{args[0]} >= {SINCE_S}000000000 AND {args[0]} <= {UNTIL_S}000000000",
    "unixEpochNanoFrom": lambda _: f"{SINCE_S}000000000",
    "unixEpochNanoTo": lambda _: f"{UNTIL_S}000000000",
    "unixEpochGroup": _unix_group,
    "unixEpochGroupAlias": lambda args: f'{_unix_group(args)} AS "time"',
}


def expanded(query: str) -> str:
    """A query without macros. Intervals end in ms, s, m, h or d; a third argument of a group is for the panel."""

    def one(found: re.Match[str]) -> str:
        return _MACROS[found[1]]([part.strip() for part in found[2].split(",")])

    return re.sub(r"\$__([_a-zA-Z0-9]+)\(([^)]*)\)", one, query)


def bucketed(column: str, interval: str) -> str:
    """A group of times, where the data source is told of TimescaleDB."""
    return f"time_bucket('{float(_seconds(interval)):.3f}s',{column})"


PANELS = {
    "rows": ("select $__time(started_at), cpu_seconds from tasks where $__timeFilter(started_at) order by 1", 30),
    "epoch": ("select $__timeEpoch(started_at), cpu_seconds from tasks order by 1", 30),
    "group": (
        (
            "select $__timeGroupAlias(started_at, '5m', NULL), step as metric, avg(cpu_seconds) as value from tasks "
            "where $__timeFilter(started_at) group by 1, 2 order by 1"
        ),
        10,
    ),
    "previous": (
        (
            "select $__timeGroupAlias(started_at, 2h, previous), count(*) from tasks where $__timeFilter(started_at) "
            "group by time order by time"
        ),
        3,
    ),
    "again": (
        (
            "select $__timeGroup(started_at, 500ms, 0) as time, sum(cpu_seconds) from tasks "
            "group by $__timeGroup(started_at, 500ms) order by $__timeGroup(started_at, 500ms)"
        ),
        5,
    ),
    "bounds": ("select $__timeFrom()::timestamptz as time, $__timeTo() as said from tasks limit 1", 1),
    "compared": ("select count(*) from tasks where started_at >= $__timeFrom() and started_at < $__timeTo()", 1),
    "unix": (
        (
            "select $__unixEpochGroupAlias(began, 1h), count(*) from (select epoch(started_at) as began from tasks) t "
            "where $__unixEpochFilter(began) group by 1 order by 1"
        ),
        5,
    ),
    "nano": (
        (
            "select $__unixEpochNanoFrom() as since, $__unixEpochNanoTo() as until "
            "from (select epoch_ns(started_at) as began from tasks) t where $__unixEpochNanoFilter(began)"
        ),
        30,
    ),
    "window": (
        (
            "select distinct on (step) step, last_value(cpu_seconds) over (partition by step order by "
            "$__timeGroup(started_at, 1h)) from tasks order by step"
        ),
        2,
    ),
    "points": (
        (
            "select $__timeGroup(time, 10m) as time, percentile_cont(0.95) within group (order by value) from points "
            "group by 1 order by 1"
        ),
        9,
    ),
}
"""What panels ask, and how many rows they get."""
