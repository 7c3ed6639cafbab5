"""Calls and casts of Postgres in DuckDB's words, for statements that no client of the other tests sends."""

from __future__ import annotations

import datetime as dt

import pytest

from stepsize.store.version import IS_BEFORE_2
from tests.postgres.places import Served

ROWS = {
    "select n.n from generate_series(1, 2) n": [(1,), (2,)],
    "select time from generate_series(1, 2) as time": [(1,), (2,)],
    "select day from generate_series(1, 2) as s(day)": [(1,), (2,)],
    "select x, y from unnest(array[1, 2]) as x, generate_series(1, 2) y where x > y": [(2, 1)],
    "select t.x, g from (values (1)) t(x) cross join generate_series(1, 2) g": [(1, 1), (1, 2)],
    "select t.x, g from (values (1)) t(x) left join generate_series(1, t.x) g on true": [(1, 1)],
    "select x, n from unnest(array[5]) with ordinality as t(x, n)": [(5, 1)],
    "select part[2] from string_to_array('a,b', ',') part": [("b",)],
    "select \"Part\"[2] from string_to_array('a,b', ',') as \"Part\"": [("b",)],
    "select (select count(*) from unnest(array[1, 2, 3]) e where e > 1)": [(2,)],
    "select extract(epoch from timestamp '1970-01-02') as at, 1 is distinct from 2": [(86400, True)],
    "select trim(both 'x' from 'xax'), substring('abc' from 2 for 1)": [("a", "b")],
    "select '{\"a\": {\"b\": \"x\"}}'::json -> 'a' ->> 'b' = 'x' as is_it": [(True,)],
    **({} if IS_BEFORE_2 else {"select overlay('abc' placing 'x' from 2)": [("axc",)]}),
    "select json_build_object('a', 1, 'b', null)::text": [('{"a":1,"b":null}',)],
    "select json_build_object from (select 1) t(json_build_object)": [(1,)],
    "select cast('tasks' as regclass) = cast(cast('tasks' as text) as regclass)": [(True,)],
    "select cast(c.oid as regclass) from pg_class c where relname = 'tasks'": [("tasks",)],
    "select oid::regclass, format_type(c.reltype, null) from pg_class c where relname = 'tasks'": [("tasks", None)],
    "select format_type(oid, null), format_type(t.oid, 1) from pg_type t where oid = 20": [("bigint", "bigint")],
    "select quote_ident(k.a) from (select 'A' as a) k": [('"A"',)],
    "select 'tasks'::regclass::oid::regclass, 2200::regnamespace": [("tasks", "public")],
    "select '{a,\"b c\",null}'::text[], cast('{1,2}' as int[])": [(["a", "b c", None], [1, 2])],
    "select typreceive != 0 and typreceive::text = 'int8recv' from pg_type where typname = 'int8'": [(True,)],
    "select to_char(timestamp '2026-11-22 13:04:05.5', 'FMMonth FMDDth, YYYY HH12:MI:SS.MS AM')": [
        ("November 22nd, 2026 01:04:05.500 PM",)
    ],
    "select to_char(-1234.5, 'FM9,999.00'), to_char(5, '000'), to_char(interval '26 hours', 'HH24:MI')": [
        ("-1,234.50", " 005", "26:00")
    ],
    "select to_char(a, 'YYYY-MM') from (values ('infinity'::timestamp), (null), ('2026-01-01')) t(a)": [
        (None,),
        (None,),
        ("2026-01",),
    ],
    "select to_timestamp('2026-11-22 00:00:00.5', 'YYYY-MM-DD HH24:MI:SS.US')::text, to_date('2 1 26', 'DD MM YY')": [
        ("2026-11-22 00:00:00.5+00", dt.date(2026, 1, 2))
    ],
    "select encode('\\x00ff'::bytea, 'hex'), decode('AP8=', 'base64'), length('\\x00ff'::bytea)": [
        ("00ff", b"\0\xff", 2)
    ],
    "select extract(second from timestamp '2026-11-22 13:04:05.5'), date_part('second', time '01:02:03.25')": [
        (5.5, 3.25)
    ],
    "select max(count) from (select count(*) from unnest(array[1, 1, 2]) x group by x) q": [(2,)],
    "select generate_series(1, 3), array_length(generate_series(1, 3), 1)": [(1, 3), (2, 3), (3, 3)],
    "select 1 = any('{1,2}'), 'abc' ~ 'b', 'abc' !~* 'B', 'a1' similar to '[a-c]_'": [(True, True, False, True)],
    "select regexp_match('ab12', '([a-z]+)([0-9]+)'), substring('foobar' from 'o(.)b'), format('%s-%I', 1, 'A')": [
        (["ab", "12"], "o", '1-"A"')
    ],
    "select ('\"pg_catalog\".\"' || 'timestamptz' || '\"')::regtype::text, 'tasks'::regclass::text": [
        ("timestamp with time zone", "tasks")
    ],
    "select typname from pg_type t join pg_proc p on p.oid = t.typreceive where t.typname = '_int4'": [("_int4",)],
    "select pg_get_viewdef('tasks'::regclass) like ' SELECT flow,%%FROM lake.tasks;'": [(True,)],
    "select array_remove(array[1, 2, 1], 1), btrim(' a '), btrim('xax', 'x')": [([2], "a", "a")],
}


@pytest.mark.parametrize("statement", ROWS)
def test_what_it_gives(served: Served, statement: str) -> None:
    """As Postgres gives it, in either protocol."""
    with served.connect() as connection:
        assert connection.execute(statement).fetchall() == ROWS[statement]
        assert connection.execute(statement, prepare=True).fetchall() == ROWS[statement]


PARAMETERS = {
    "select 'abc' like '%%' || %s || '%%'": ("b", True),
    "select 'a/_b' like %s || '%%' escape '/'": ("a//", True),
    "select %s::int + 1": ("4", 5),
    "select %s::bigint / 2": ("5", 2),
    "select %s::char": ("x", "x"),
}


@pytest.mark.parametrize("statement", PARAMETERS)
def test_parameters_of_no_type(served: Served, statement: str) -> None:
    """Have that of their cast, or are the text that they are part of."""
    given, expected = PARAMETERS[statement]
    with served.connect() as connection:
        assert connection.execute(statement, [given]).fetchone() == (expected,)


def test_a_cursor_takes_parameters(served: Served) -> None:
    """Declared with values, as psycopg's and SQLAlchemy's are."""
    with served.connect() as connection, connection.transaction(), connection.cursor("some") as cursor:
        cursor.execute("select task from tasks where run = %s and cpu_seconds > %s order by 1", ["1", 100])
        assert cursor.fetchall() == [("1",), ("1",), ("2",), ("2",)]
