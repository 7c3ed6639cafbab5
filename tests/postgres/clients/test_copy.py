"""COPY to the client, and statements that are prepared with SQL, by clients that need them."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing

import asyncpg
import psycopg
import pytest

from tests.postgres.places import POINTS_WRITTEN, Served

AWKWARD = (
    "select * from (values (1, 'a', 1.5::float8, null), (2, e'x\\ty\\\\z\\nq', null, ''), "
    "(-3, 'say \"hi\", ok', 1e20::float8, '\\.'), (4, '\\N', 0.1, 'NULL')) as t(i, \"T x\", f, n)"
)
"""What each form has to escape: a tab, a line's end, a backslash, quotes, commas, what looks like NULL or the end."""
LINES = {
    "": ["1\ta\t1.5\t\\N", "2\tx\\ty\\\\z\\nq\t\\N\t", '-3\tsay "hi", ok\t1e+20\t\\\\.', "4\t\\\\N\t0.1\tNULL"],
    "(header, null '-', delimiter '|')": [
        "i|T x|f|n",
        "1|a|1.5|-",
        "2|x\\ty\\\\z\\nq|-|",
        '-3|say "hi", ok|1e+20|\\\\.',
        "4|\\\\N|0.1|NULL",
    ],
    "with csv header": [
        "i,T x,f,n",
        "1,a,1.5,",
        '2,"x\ty\\z\nq",,""',
        '-3,"say ""hi"", ok",1e+20,\\.',
        "4,\\N,0.1,NULL",
    ],
    "(format csv, delimiter e'\\t', null 'NULL')": [
        "1\ta\t1.5\tNULL",
        '2\t"x\ty\\z\nq"\tNULL\t',
        '-3\t"say ""hi"", ok"\t1e+20\t\\.',
        '4\t\\N\t0.1\t"NULL"',
    ],
    "(format csv, force_quote (i, n))": [
        '"1",a,1.5,',
        '"2","x\ty\\z\nq",,""',
        '"-3","say ""hi"", ok",1e+20,"\\."',
        '"4",\\N,0.1,"NULL"',
    ],
    "csv quote '''' escape '\\' force quote *": [
        "'1','a','1.5',",
        "'2','x\ty\\\\z\nq',,''",
        "'-3','say \"hi\", ok','1e+20','\\\\.'",
        "'4','\\\\N','0.1','NULL'",
    ],
    "(format csv, delimiter '5')": [
        '15a5"1.5"5',
        '25"x\ty\\z\nq"55""',
        '-35"say ""hi"", ok"51e+205\\.',
        "45\\N50.15NULL",
    ],
}


@pytest.fixture
def connection(served: Served) -> Iterator[psycopg.Connection]:
    """One of psycopg's."""
    with closing(served.connect()) as opened:
        yield opened


@pytest.mark.parametrize("options", LINES)
def test_lines(connection: psycopg.Connection, options: str) -> None:
    """As PostgreSQL 15 writes them, byte for byte, a message a row."""
    with connection.cursor().copy(f"copy ({AWKWARD}) to stdout {options}") as copied:
        assert [bytes(row).decode() for row in copied] == [f"{line}\n" for line in LINES[options]]


def test_what_is_read_again(connection: psycopg.Connection) -> None:
    """Rows of all forms are those of the query."""
    expected = connection.execute(AWKWARD).fetchall()
    with connection.cursor().copy(f"copy ({AWKWARD}) to stdout") as copied:
        copied.set_types(["int4", "text", "float8", "text"])
        assert list(copied.rows()) == expected
    with connection.cursor().copy(f"copy ({AWKWARD}) to stdout (format binary)") as copied:
        copied.set_types(["int4", "text", "float8", "text"])
        assert list(copied.rows()) == expected
    with connection.cursor().copy("copy (select i, n from (values (1, 'a,b')) t(i, n)) to stdout csv") as copied:
        assert list(csv.reader(io.StringIO(b"".join(map(bytes, copied)).decode()))) == [["1", "a,b"]]


def test_a_view_and_some_of_its_columns(connection: psycopg.Connection) -> None:
    """By its name, and whatever its number of rows is."""
    with connection.cursor() as cursor:
        with cursor.copy("copy public.tasks (task, flow) to stdout") as copied:
            assert sorted(map(bytes, copied)) == [f"{task}\tTrain\n".encode() for task in "012" for _ in range(10)]
        with cursor.copy("copy points to stdout binary") as copied:
            whole = b"".join(map(bytes, copied))
        assert cursor.rowcount == POINTS_WRITTEN
        assert whole[:11] == b"PGCOPY\n\xff\r\n\0"
        assert whole[-2:] == struct.pack("!h", -1)
        with cursor.copy("copy (select 1 as a where false) to stdout csv header") as copied:
            assert [bytes(row) for row in copied] == [b"a\n"]


def test_asyncpg(served: Served) -> None:
    """Its copy_from_query, with a value put in by itself, and copy_from_table."""

    async def ask() -> tuple[bytes, bytes]:
        connection = await asyncpg.connect(host="127.0.0.1", port=served.port, user="ann", database="stepsize")
        query, table = io.BytesIO(), io.BytesIO()
        asked = "select step, count(*) from tasks where run = $1 group by 1 order by 1"
        await connection.copy_from_query(asked, "3", output=query, format="csv", header=True)
        await connection.copy_from_table("tasks", columns=["task"], output=table, format="binary")
        await connection.close()
        return query.getvalue(), table.getvalue()

    lines, binary = asyncio.run(ask())
    assert lines == b"step,count\nfit,3\nload,3\n"
    assert len(binary) == 19 + 30 * (2 + 4 + 1) + 2


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed")
def test_psql(served: Served) -> None:
    r"""COPY and \copy, into a pipe."""
    for command in ("copy ({}) to stdout csv header", r"\copy ({}) to stdout csv header"):
        asked = ["psql", "-X", "-d", served.conninfo, "-c", command.format("select 1 as a, 'x,y' as b")]
        assert subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout == 'a,b\n1,"x,y"\n'


REFUSED = {
    "copy tasks from stdin": "25006",
    "copy tasks (flow) from '/etc/passwd'": "25006",
    "copy (select 1) to '/tmp/file'": "42501",
    "copy (select 1) to program 'cat'": "42501",
    "copy (insert into tasks (flow) values ('x')) to stdout": "25006",
    "copy (select $1::int) to stdout": "42P02",
    "copy (explain select 1) to stdout": "42601",
    "copy (select 1; select 2) to stdout": "42601",
    "copy nothing_here to stdout": "42P01",
    "copy (select nothing_here from tasks) to stdout": "42703",
    "copy (select 1": "42601",
    "copy (select 1) to stdout (format xml)": "22023",
    "copy (select 1) to stdout (format csv, force_quote (b))": "42703",
    "copy (select 1) to stdout (format binary, header)": "0A000",
    "copy (select 1) to stdout (format binary, null 'x')": "42601",
    "copy (select 1) to stdout (quote 'x')": "0A000",
    "copy (select 1) to stdout (delimiter 'ab')": "0A000",
    "copy (select 1) to stdout (delimiter 'a')": "22023",
    "copy (select 1) to stdout (null e'a\\nb')": "22023",
    "copy (select 1) to stdout (format csv, null '\"')": "0A000",
    "copy (select 1) to stdout (format csv, format csv)": "42601",
    "copy (select 1) to stdout (header match)": "0A000",
    "copy (select 1) to stdout (force_null (a))": "0A000",
    "copy (select 1) to stdout (nothing_here)": "42601",
    "copy (select 1) to stdout (encoding 'latin1')": "22023",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_refused(connection: psycopg.Connection, statement: str) -> None:
    """With the SQLSTATE that PostgreSQL 15 has for it, and the connection goes on."""
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement)
    assert failed.value.sqlstate == REFUSED[statement]
    assert connection.execute("select 1").fetchone() == (1,)


def test_rows_are_not_waited_for(served: Served) -> None:
    """A COPY without an end gives rows at once, others are answered meanwhile, and it can be cancelled."""
    with served.connect() as connection, served.connect() as other:
        with pytest.raises(psycopg.errors.QueryCanceled), connection.cursor() as cursor:  # noqa: PT012 - a stream's error
            endless = "copy (select a, repeat('x', 100) from range(100000000000) t(a)) to stdout"
            with cursor.copy(endless) as copied:
                assert bytes(copied.read()).startswith(b"0\tx")
                assert other.execute("select count(*) from tasks").fetchone() == (30,)
                connection.cancel_safe()
                for _ in copied:
                    pass
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_value_that_fails_ends_it(connection: psycopg.Connection) -> None:
    """With its SQLSTATE, though the copy has begun."""
    failing = "copy (select (case a when 90000 then 'x' else '1' end)::int from range(100000) t(a)) to stdout"
    with pytest.raises(psycopg.errors.InvalidTextRepresentation), connection.cursor().copy(failing) as copied:
        list(copied)
    assert connection.execute("select 1").fetchone() == (1,)


def test_prepare_and_execute(connection: psycopg.Connection) -> None:
    """With types or without, values or expressions; known by the protocol's own statements too."""
    run = connection.execute
    assert run("prepare p (int, text) as select $1 + 1 as a, $2 as b").statusmessage == "PREPARE"
    assert run("execute p(41, 'x')").fetchall() == [(42, "x")]
    executed = run("execute p(20 * 2, upper('y'))")
    assert executed.fetchall() == [(41, "Y")]
    assert [one.name for one in executed.description or ()] == ["a", "b"]
    run("prepare q as select count(*) from tasks where cpu_seconds > $1 and run = any($2)")
    assert run("execute q(100.5, '{1,2}')").fetchall() == [(8,)]
    assert run('execute q(100.5, \'{ "1", "2" ,3}\')').fetchall() == [(12,)]
    assert run("execute q(-1, array['1'])").fetchall() == [(6,)]
    assert run("execute q(null, null)").fetchall() == [(0,)]
    run("prepare r (double precision, timestamp with time zone, int[], varchar(3)) as select $1, $2, $3, $4")
    (row,) = run("execute r(1, '2026-01-01 00:00:00+00', '{1,2}', 'abc')").fetchall()
    assert (row[0], row[1].isoformat(), row[2:]) == (1.0, "2026-01-01T00:00:00+00:00", ([1, 2], "abc"))
    run("deallocate p")
    run("prepare p as select 1")
    assert run("execute p").fetchall() == [(1,)]
    assert run("deallocate all").statusmessage == "DEALLOCATE ALL"


@pytest.mark.parametrize(
    ("statement", "code"),
    {
        "execute nothing_here": "26000",
        "prepare p as select 2": "42P05",
        "execute p(1, 2)": "42601",
        "execute p('x')": "22P02",
        "execute p(": "42601",
        "prepare x (nothing_here) as select $1": "42704",
        "prepare x as insert into tasks (flow) values ('x')": "25006",
        "prepare x as": "42601",
        "execute p(nothing_here)": "42703",
        "deallocate nothing_here": "26000",
    }.items(),
)
def test_what_is_no_prepared_statement(connection: psycopg.Connection, statement: str, code: str) -> None:
    """The SQLSTATE is PostgreSQL's."""
    connection.execute("prepare p (int) as select $1")
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(statement)
    assert failed.value.sqlstate == code
