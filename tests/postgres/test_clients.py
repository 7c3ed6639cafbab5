"""Real clients: psql, psycopg 3 and asyncpg."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import subprocess
import threading
import uuid
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.postgres.places import BEGAN, POINTS_WRITTEN, Served, commit_points, make_lake, serving

PSQL = shutil.which("psql")


def psql(served: Served, *commands: str) -> subprocess.CompletedProcess[str]:
    more = [part for command in commands for part in ("-c", command)]
    return subprocess.run(
        [str(PSQL), "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", served.conninfo, *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )


@pytest.mark.skipif(PSQL is None, reason="needs psql")
def test_psql_lists_what_there_is(served: Served) -> None:
    """Its commands that begin with a backslash, each of them several queries to the catalogue."""
    for command in (r"\d", r"\dv", r"\d tasks", r"\d+ points", r"\l", r"\dn", r"\du", r"\conninfo", r"\dp"):
        finished = psql(served, command)
        assert (finished.returncode, finished.stderr) == (0, ""), (command, finished.stderr)
        assert finished.stdout.strip(), command
    for command in (r"\dt", r"\df", r"\di", r"\dT", r"\ds", r"\dm", r"\dx", r"\dg", r"\db"):
        finished = psql(served, command)
        assert "ERROR" not in finished.stderr, (command, finished.stderr)
    described = psql(served, r"\d tasks").stdout
    assert "started_at|timestamp with time zone" in described
    assert "annotations|json" in described


@pytest.mark.skipif(PSQL is None, reason="needs psql")
def test_psql_queries(served: Served) -> None:
    """Several statements, transactions, errors with their place."""
    finished = psql(served, "begin; select count(*) from tasks; commit; select 1, null, 'a'", "show server_version")
    assert (finished.returncode, finished.stdout) == (0, "BEGIN\n30\nCOMMIT\n1||a\n16.4\n")
    failed = psql(served, "select count(*)\nfrom task")
    assert failed.returncode == 1
    assert "ERROR:  Table with name task does not exist!" in failed.stderr
    failed = psql(served, "select 1\nfrom tasks whe re true")
    assert 'ERROR:  syntax error at or near "re"' in failed.stderr
    assert "LINE 2: from tasks whe re true\n                       ^" in failed.stderr


ZONE = dt.timezone.utc
VALUES: tuple[tuple[str, Any], ...] = (
    ("true", True),
    ("false", False),
    ("1::tinyint", 1),
    ("(-32768)::smallint", -32768),
    ("2147483647::integer", 2147483647),
    ("(-9223372036854775808)::bigint", -(2**63)),
    ("255::utinyint", 255),
    ("65535::usmallint", 65535),
    ("4294967295::uinteger", 2**32 - 1),
    ("18446744073709551615::ubigint", Decimal(2**64 - 1)),
    ("170141183460469231731687303715884105727::hugeint", Decimal(2**127 - 1)),
    ("0::decimal(9,2)", Decimal("0.00")),
    ("12345.67::decimal(9,2)", Decimal("12345.67")),
    ("(-0.0001)::decimal(18,4)", Decimal("-0.0001")),
    ("10000::decimal(18,0)", Decimal(10000)),
    ("1.5::float", 1.5),
    ("0.1::double", 0.1),
    ("1e300::double", 1e300),
    ("'infinity'::double", float("inf")),
    ("'-infinity'::float", float("-inf")),
    ("'ä€😀'", "ä€😀"),
    ("''", ""),
    ("'\\x00\\xff'::blob", b"\x00\xff"),
    ("date '2026-11-22'", dt.date(2026, 11, 22)),
    ("date '1999-12-31'", dt.date(1999, 12, 31)),
    ("time '12:34:56.000789'", dt.time(12, 34, 56, 789)),
    ("timestamp '2026-11-22 12:34:56.789012'", dt.datetime(2026, 11, 22, 12, 34, 56, 789012)),  # noqa: DTZ001 - of a type without one
    ("'2026-11-22 12:34:56.789012'::timestamp_ns", dt.datetime(2026, 11, 22, 12, 34, 56, 789012)),  # noqa: DTZ001 - of a type without one
    ("'2026-11-22 12:34:56'::timestamp_s", dt.datetime(2026, 11, 22, 12, 34, 56)),  # noqa: DTZ001 - of a type without one
    ("timestamptz '1969-07-20 20:17:40+02'", dt.datetime(1969, 7, 20, 18, 17, 40, tzinfo=ZONE)),
    ("interval '2 days 03:04:05.5'", dt.timedelta(days=2, hours=3, minutes=4, seconds=5.5)),
    ("uuid '11111111-2222-3333-4444-555555555555'", uuid.UUID("11111111-2222-3333-4444-555555555555")),
    ("'a'::enum('a', 'b')", "a"),
    ("[1, null, 3]", [1, None, 3]),
    ("[]::int[]", []),
    ("['a b', 'c\"d', 'e\\f', '', 'NULL', null, '{x,y}']", ["a b", 'c"d', "e\\f", "", "NULL", None, "{x,y}"]),
    ("[1.5, 'nan'::double]::double[]", None),
    ("[timestamptz '2026-01-01 00:00:00+00']", [dt.datetime(2026, 1, 1, tzinfo=ZONE)]),
    ("[true, false]", [True, False]),
    ("[1.25]::decimal(9,2)[]", [Decimal("1.25")]),
    ("null", None),
    ("null::int", None),
    ("null::timestamptz", None),
    ("null::int[]", None),
    ("null::decimal(9,2)", None),
    ("null::interval", None),
    ("null::uuid", None),
    ("null::blob", None),
    ("null::boolean", None),
)
JSON_VALUES = (
    ("'{\"a\": [1]}'::json", {"a": [1]}),
    ("{'a': 1, 'b': 'x'}", {"a": 1, "b": "x"}),
    ("map {'k': 1.5}", {"k": 1.5}),
    ("[[1, 2], [3]]", [[1, 2], [3]]),
    ("[{'a': 1}]", [{"a": 1}]),
)


@pytest.mark.parametrize("binary", [False, True])
def test_values_as_psycopg_reads_them(served: Served, binary: bool) -> None:
    """Every type in either format, with a NULL above it and below."""
    with served.connect() as connection:
        for source, expected in (*VALUES, *JSON_VALUES):
            union = f"select null as v, 0 as n union all select {source}, 1 union all select null, 2"
            query = f"select v from ({union}) order by n"
            rows = connection.execute(query, prepare=True, binary=binary).fetchall()
            assert [rows[0], rows[2]] == [(None,), (None,)], source
            if "nan" not in source:
                assert rows[1] == (expected,), source


def asking(served: Served, ask: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        connection = await asyncpg.connect(f"postgresql://ann@127.0.0.1:{served.port}/stepsize")
        try:
            await ask(connection)
        finally:
            await connection.close()

    asyncio.run(main())


def test_values_as_asyncpg_reads_them(served: Served) -> None:
    """All in binary, by the types that the server tells."""

    async def ask(connection: Any) -> None:
        for source, expected in VALUES:
            found = await connection.fetchval(f"select {source}")
            if "nan" not in source:
                assert found == expected, source
        for source, expected in JSON_VALUES:
            assert json.loads(await connection.fetchval(f"select {source}")) == expected, source

    asking(served, ask)


def test_parameters_as_asyncpg_writes_them(served: Served) -> None:
    """It asks the server what each is, and writes it in binary; each comes back as it went."""
    given: tuple[tuple[str, Any], ...] = (
        ("bool", True),
        ("int2", -3),
        ("int4", 70_000),
        ("int8", 2**40),
        ("float4", 1.5),
        ("float8", 0.1),
        ("text", "ä'\\"),
        ("bytea", b"\x00\x01"),
        ("date", dt.date(2026, 11, 22)),
        ("time", dt.time(1, 2, 3, 4)),
        ("timestamp", dt.datetime(2026, 11, 22, 1, 2, 3, 4)),  # noqa: DTZ001 - of a type without one
        ("timestamptz", dt.datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=ZONE)),
        ("interval", dt.timedelta(days=1, seconds=2, microseconds=3)),
        ("numeric", Decimal("-12345.678900000")),
        ("uuid", uuid.UUID(int=5)),
        ("int8[]", [1, None, 3]),
        ("text[]", ["a", None, 'b"c']),
        ("timestamptz[]", [dt.datetime(2026, 1, 1, tzinfo=ZONE)]),
    )

    async def ask(connection: Any) -> None:
        for kind, value in given:
            assert await connection.fetchval(f"select $1::{kind}", value) == value, kind
            assert await connection.fetchval(f"select $1::{kind}", None) is None, kind
        rows = await connection.fetch(
            "select task from tasks where started_at >= $1 and flow = $2 and step = any($3) and cpu_seconds > $4 "
            "and attempt between $5 and $6 order by started_at, task limit $7 offset $8",
            *(BEGAN, "Train", ["fit"], 100.5, 0, 1, 3, 1),
        )
        assert [row["task"] for row in rows] == ["2", "1", "2"]
        before = "select count(*) from tasks where started_at < now() - $1"
        assert await connection.fetchval(before, dt.timedelta(0)) == 30

    asking(served, ask)


def test_cursors_and_transactions_of_asyncpg(served: Served) -> None:
    """Portals that are fetched a few rows at a time; nested transactions; a pool that resets its connections."""

    async def ask(connection: Any) -> None:
        async with connection.transaction():
            cursor = connection.cursor("select value from points order by time", prefetch=700)
            values = [row["value"] async for row in cursor]
            assert len(values) == POINTS_WRITTEN
            assert values[3] == 1.0
            with pytest.raises(asyncpg.UndefinedColumnError):
                async with connection.transaction():
                    await connection.fetch("select nothing from tasks")
            assert await connection.fetchval("select count(*) from tasks") == 30
        address = f"postgresql://ann@127.0.0.1:{served.port}/stepsize"
        async with asyncpg.create_pool(address, min_size=1, max_size=2) as pool:
            for _ in range(3):
                assert await pool.fetchval("select 1") == 1

    asking(served, ask)


def test_parameters_of_psycopg(served: Served) -> None:
    """In text and in binary, typed by it or left to the server, prepared or not."""
    with served.connect() as connection:
        for mark in ("%s", "%b", "%t"):
            query = f"select count(*) from tasks where started_at >= {mark} and cpu_seconds > {mark} and flow = {mark}"
            for _ in range(7):  # it prepares after five
                assert connection.execute(query, (BEGAN, 100, "Train")).fetchone() == (20,)
        row = connection.execute("select %s, %s, %s::text, %s", (1, 2.5, None, [1, 2])).fetchone()
        assert row == (1, 2.5, None, [1, 2])
        assert connection.execute("select count(*) from tasks where task = any(%s)", (["1", "2"],)).fetchone() == (20,)
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("select count(*) from tasks where attempt = %s", ("x",))


def test_cursors_of_psycopg(served: Served) -> None:
    """A server-side cursor is a statement of SQL; one without a transaction has to be held."""
    with psycopg.connect(served.conninfo) as connection:
        with connection.cursor("some") as cursor:
            cursor.itersize = 600
            cursor.execute("select value from points order by time")
            assert cursor.fetchmany(2) == [(0.0,), (1 / 3,)]
            assert len(cursor.fetchall()) == POINTS_WRITTEN - 2
        connection.commit()
        with connection.cursor("held", withhold=True) as cursor:
            cursor.execute("select task from tasks")
            connection.commit()
            assert len(cursor.fetchall()) == 30
    with served.connect() as connection, pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        connection.execute("declare c cursor for select 1")


def test_a_failed_transaction_stays_failed(served: Served) -> None:
    """Until it ends, as clients count on; a savepoint takes it back."""
    with psycopg.connect(served.conninfo) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 // 0 from tasks where error('division by zero') is null")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        connection.rollback()
        with connection.transaction():
            with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
                connection.execute("select * from nowhere")
            assert connection.execute("select 1").fetchone() == (1,)


def test_pipelines(served: Served) -> None:
    """Messages that come all at once; after an error the rest up to Sync is skipped."""
    with served.connect() as connection:
        with connection.pipeline() as pipeline:
            cursors = [connection.execute("select %s::int", (number,)) for number in range(20)]
            pipeline.sync()
            assert [cursor.fetchone() for cursor in cursors] == [(number,) for number in range(20)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            fail(connection)
        assert connection.execute("select 1").fetchone() == (1,)


def fail(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("select nothing from tasks")
        connection.execute("select 1")


def test_a_running_statement_is_cancelled(served: Served) -> None:
    """By the client, from another connection, as Ctrl-C in psql."""
    with served.connect() as connection:
        running = threading.Timer(0.3, connection.cancel_safe)
        running.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select count(*) from range(100000000000) t(a) where a % 7 = 3")
        running.join()
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            connection.execute("set statement_timeout = '200ms'; select count(*) from range(100000000000) t(a)")
        assert connection.execute("select 1").fetchone() == (1,)


def test_names_of_columns_are_those_of_postgres(served: Served) -> None:
    """Programs ask for a column by it."""
    with served.connect() as connection:
        query = (
            "select count(*), max(cpu_seconds), step, cpu_seconds::int, 1, case when true then 1 end, "
            "(select min(task) from tasks), current_user, coalesce(task, ''), now() - now(), attempt a, task as \"T\" "
            "from tasks group by all"
        )
        cursor = connection.execute(query)
        assert [one.name for one in cursor.description or ()] == [
            *("count", "max", "step", "cpu_seconds", "?column?", "case", "min", "current_user", "coalesce"),
            *("?column?", "a", "T"),
        ]


def test_what_a_collector_commits_is_seen(tmp_path: Path) -> None:
    """By the next statement; one that runs sees what was there when it began."""
    make_lake(tmp_path / "lake")
    with serving(tmp_path / "lake") as served, served.connect() as connection, served.connect() as other:
        other.execute("begin")
        with other.cursor("before") as cursor:
            cursor.execute("select count(*) over () from points")
            assert cursor.fetchone() == (POINTS_WRITTEN,)
            commit_points(served.data, [1.0, 2.0])
            assert connection.execute("select count(*) from points").fetchone() == (POINTS_WRITTEN + 2,)
            assert set(cursor.fetchall()) == {(POINTS_WRITTEN,)}
