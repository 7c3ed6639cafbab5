"""SQLAlchemy and pandas, with each driver that SQLAlchemy knows for Postgres and that is here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.postgres.places import POINTS_WRITTEN, Served

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql.base import PGInspector

DRIVERS = ("psycopg", "pg8000")


@pytest.fixture(params=DRIVERS)
def engine(served: Served, request: pytest.FixtureRequest) -> sa.Engine:
    """What asks an endpoint with a driver."""
    return sa.create_engine(url(served, request.param), poolclass=sa.pool.NullPool)


def url(served: Served, driver: str) -> str:
    return f"postgresql+{driver}://ann@127.0.0.1:{served.port}/stepsize"


def test_inspection(engine: sa.Engine) -> None:
    """The lake is a schema of views without keys, constraints, comments or types of its own."""
    asked = cast("PGInspector", sa.inspect(engine))
    assert asked.get_schema_names() == ["information_schema", "public"]
    assert asked.default_schema_name == "public"
    assert asked.get_table_names() == []
    assert {"tasks", "points", "histograms", "summaries"} <= set(asked.get_view_names())
    assert asked.has_table("tasks")
    assert not asked.has_table("nothing_here")
    columns = {one["name"]: one["type"] for one in asked.get_columns("tasks")}
    assert isinstance(columns["flow"], sa.Text)
    assert isinstance(columns["attempt"], sa.Integer)
    assert isinstance(columns["cpu_seconds"], sa.Double)
    assert isinstance(columns["started_at"], sa.DateTime)
    assert columns["started_at"].timezone
    assert isinstance(columns["annotations"], sa.JSON)
    assert asked.get_pk_constraint("tasks")["constrained_columns"] == []
    for ask in (asked.get_indexes, asked.get_foreign_keys, asked.get_unique_constraints, asked.get_check_constraints):
        assert ask("tasks") == []
    assert asked.get_table_comment("tasks") == {"text": None}
    assert asked.get_view_definition("tasks").startswith(" SELECT flow,\n    run,")
    for none in (asked.get_enums(), asked.get_domains(), asked.get_sequence_names()):
        assert not none


def test_reflection_and_a_query_of_it(engine: sa.Engine) -> None:
    """What is reflected is asked with its names, values bound, and rows fetched as they are needed."""
    found = sa.MetaData()
    found.reflect(engine, views=True)
    tasks, points = found.tables["tasks"], found.tables["points"]
    with engine.connect() as connection:
        query = sa.select(tasks.c.step, sa.func.count()).where(tasks.c.cpu_seconds > 100.5, tasks.c.flow.like("Tr%"))
        rows = connection.execute(query.group_by(tasks.c.step).order_by(tasks.c.step)).all()
        assert rows == [("fit", 10), ("load", 10)]
        some = connection.execute(sa.select(tasks.c.task).where(tasks.c.run.in_(["0", "1"])).distinct()).all()
        assert sorted(some) == [("0",), ("1",), ("2",)]
        streamed = connection.execution_options(stream_results=True, max_row_buffer=500).execute(sa.select(points))
        assert sum(1 for _ in streamed) == POINTS_WRITTEN


def test_pandas(engine: sa.Engine) -> None:
    """A query with values, a whole view by its name, and a long one in pieces, through a cursor."""
    frame = pd.read_sql(sa.text("select * from tasks where cpu_seconds > :least"), engine, params={"least": 101})
    assert len(frame) == 10
    assert str(frame["started_at"].dtype).startswith("datetime64")
    assert frame["cpu_seconds"].dtype == "float64"
    assert pd.read_sql_table("tasks", engine, schema="public").shape[0] == 30
    with engine.connect().execution_options(stream_results=True) as connection:
        pieces = pd.read_sql("select * from points", connection, chunksize=2000)
        assert [len(piece) for piece in pieces] == [2000, 2000, 1000]


def test_asyncpg(served: Served) -> None:
    """Its introspection of types included, which SQLAlchemy's driver asks on its own."""

    async def ask() -> tuple[set[str], int, int]:
        engine = create_async_engine(url(served, "asyncpg"), poolclass=sa.pool.NullPool)
        found = sa.MetaData()
        async with engine.connect() as connection:
            await connection.run_sync(lambda asked: found.reflect(asked, views=True))
            tasks = found.tables["tasks"]
            rows = (await connection.execute(sa.select(tasks).where(tasks.c.cpu_seconds >= 101.0))).all()
            streamed = await connection.stream(sa.select(found.tables["points"]))
            return set(found.tables), len(rows), len([1 async for _ in streamed])

    names, rows, streamed = asyncio.run(ask())
    assert {"tasks", "points"} <= names
    assert (rows, streamed) == (20, POINTS_WRITTEN)
