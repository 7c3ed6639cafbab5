"""Whatever a client sends: the lake, this machine's files and the other clients are as before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stepsize.postgres.instance import Limits
from tests.postgres.places import Served, serving

WRITES = (
    "create table t (a int)",
    "create temp table t as select 1",
    "create or replace view public.tasks as select 1",
    "create macro pg.version() as 'x'",
    "create type t as enum ('a')",
    "create secret s (type s3)",
    "insert into pg.pg_class select * from pg.pg_class",
    "insert into tasks select * from tasks",
    "with x as (insert into pg.pg_am values (1, 'a', 'b', 'c') returning *) select * from x",
    "explain analyze insert into pg.pg_am values (1, 'a', 'b', 'c')",
    "explain analyze create table t (a int)",
    "update pg.pg_am set oid = 1",
    "delete from pg.pg_am",
    "truncate pg.pg_am",
    "merge into pg.pg_am using pg.pg_am x on true when matched then delete",
    "drop view tasks",
    "alter view tasks rename to t",
    "comment on view tasks is 'x'",
    "attach ':memory:' as x",
    "detach lake",
    "use memory",
    "copy tasks to '/tmp/x'",
    "copy (select 1) to '/tmp/x'",
    "export database '/tmp/x'",
    "import database '/tmp/x'",
    "install httpfs",
    "load httpfs",
    "force install httpfs",
    "pragma database_list",
    "pragma memory_limit = '1GB'",
    "call pragma_version()",
    "checkpoint",
    "vacuum",
    "do $$ begin end $$",
    "grant all on tasks to public",
    "set memory_limit = '100GB'",
    "set lock_configuration = false",
    "set global threads = 100",
    "set enable_external_access = true",
    "set variable x = 1",
    "reset memory_limit",
    "prepare x as delete from tasks",
    "set session authorization postgres",
)


@pytest.mark.parametrize("statement", WRITES)
def test_what_does_not_read_is_refused(served: Served, statement: str) -> None:
    """In either protocol, also hidden behind what reads; with an SQLSTATE, and the connection goes on."""
    with served.connect() as connection:
        for tried in (statement, f"/* x */ {statement}", f"select 1; {statement}"):
            with pytest.raises(psycopg.Error) as refused:
                connection.execute(tried)
            assert refused.value.sqlstate in {"25006", "0A000", "42704", "42601", "42501"}, refused.value
        with pytest.raises(psycopg.Error):
            connection.execute(statement, prepare=True)
        assert connection.execute("select count(*) from tasks").fetchone() == (30,)


FILES = (
    "select * from read_csv('{file}')",
    "select * from read_csv_auto('{file}')",
    "select * from read_text('{file}')",
    "select * from read_blob('{file}')",
    "select * from read_json('{file}')",
    "select * from read_parquet('{file}')",
    "select * from sniff_csv('{file}')",
    "select * from '{file}'",
    'select * from "{file}"',
    "select * from glob('{directory}/*')",
    "select * from parquet_metadata('{file}')",
    "select * from parquet_schema('{file}')",
    "select * from parquet_kv_metadata('{file}')",
    "select * from query('select * from read_text(''{file}'')')",
    "select * from query_table('{file}')",
    "select * from json_execute_serialized_sql(json_serialize_sql('select * from read_text(''{file}'')'))",
    "select * from read_text(['{file}'])",
    "select (select content from read_text('{file}'))",
    "from read_text('{lake}/points/../{name}')",
    "explain analyze select * from read_text('{file}')",
    "summarize select * from read_text('{file}')",
    "describe select * from read_text('{file}')",
    "select * from read_text('{lake}/schema.json')",
    "select * from read_text('{lake}/manifests/*')",
    "select * from read_text('http://127.0.0.1:9/x')",
    "select * from read_text('s3://bucket/x')",
    "select getenv('HOME')",
    "select * from duckdb_logs()",
    "select * from which_secret('s3://x', 's3')",
)


@pytest.mark.parametrize("query", FILES)
def test_no_file_but_the_lakes_tables_is_read(served: Served, tmp_path: Path, query: str) -> None:
    """Neither its content nor its name; nor do the lake's own files that are no tables show."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\nsecret_word,2\n")
    text = query.format(file=secret, directory=tmp_path, lake=served.data, name=os.path.relpath(secret, served.data))
    with served.connect() as connection:
        said = ""
        try:
            said = str(connection.execute(text).fetchall() or "")
        except psycopg.Error as error:
            said = "" if "secret_word" not in str(error) else str(error)
        assert said == ""


def test_secrets_of_this_process_do_not_show(served: Served) -> None:
    """No setting tells of credentials, and no secret is kept."""
    with served.connect() as connection:
        assert connection.execute("select * from duckdb_secrets()").fetchall() == []
        path = connection.execute("select current_setting('home_directory', true)").fetchone()
        assert path in {(None,), ("",)}


def test_variables_of_the_server_are_no_tables(served: Served) -> None:
    """DuckDB would read a variable of Python's that has the name of a table."""
    with served.connect() as connection:
        for name in ("prepared", "connection", "text", "words", "columns", "self"):
            with pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(f"select * from {name}")


BOMBS = (
    "select count(*) from range(100000000000) a",
    "select a from range(1000000000000) t(a) order by a desc",
    "with recursive r(n) as (select 1 union all select n + 1 from r) select count(*) from r",
    "select string_agg(a::varchar, ',') from range(10000000000) t(a)",
    "select list(a) from range(10000000000) t(a)",
    "select * from range(100000) a, range(100000) b, range(100000) c order by 1 desc, 2, 3",
)


@pytest.fixture(scope="module")
def bounded(lake: Path) -> Iterator[Served]:
    """An endpoint that gives little."""
    limits = Limits(memory_bytes=128 << 20, disk_bytes=64 << 20, statement_s=0.7)
    with serving(lake, limits=limits) as endpoint:
        yield endpoint


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_never_ends_or_is_too_large_ends(bounded: Served, bomb: str) -> None:
    """By time, by memory, or by what may lie on disk; another client is answered meanwhile and afterwards."""
    with bounded.connect() as hungry, bounded.connect() as other:
        with pytest.raises(psycopg.Error) as ended:
            hungry.execute(bomb)
        assert ended.value.sqlstate in {"57014", "53200", "22003", "22023", "54000"}, ended.value
        assert other.execute("select 1").fetchone() == (1,)
        assert hungry.execute("select 1").fetchone() == (1,)


DEEP = {
    "brackets": "select " + "(" * 20_000 + "1" + ")" * 20_000,
    "sum": "select " + "+".join(["1"] * 50_000),
    "not": "select " + "not " * 50_000 + "true",
    "subqueries": "select * from " + "(select * from " * 3_000 + "tasks" + ")" * 3_000,
    "lists": "select " + "[" * 20_000 + "]" * 20_000,
    "cases": "select " + "case when true then " * 10_000 + "1" + " end" * 10_000,
    "unions": " union all ".join(["select 1"] * 20_000),
    "minus": "select " + "- " * 50_000 + "1",
    "casts": "select 1" + "::int" * 10_000,
    "unclosed": "select " + "(" * 100_000,
    "comment": "select 1 " + "/*" * 100_000,
    "quote": "select '" + "a" * 1_000_000,
    "dollar": "select $a$" + "a" * 1_000_000,
    "aliases": "select 1 a0" + "".join(f", a{n} + a{n} as a{n + 1}" for n in range(60)),
    "aliases without as": "select 1 a0" + "".join(f", (a{n} + a{n}) a{n + 1}" for n in range(60)),
    "columns": "select " + ",".join(["1"] * 5_000),
    "parameters": "select $70000",
}


def test_statements_that_nest_without_end_harm_nobody(served: Served) -> None:
    """They are answered, or refused at once; the server lives on."""
    with served.connect() as deep, served.connect() as other:
        for name, statement in DEEP.items():
            code: str | None = "00000"
            try:
                deep.execute(statement).fetchall()
            except psycopg.Error as error:
                code = error.sqlstate
            assert code is not None, name
            assert other.execute("select count(*) from tasks").fetchone() == (30,)
            assert deep.execute("select 1").fetchone() == (1,)
