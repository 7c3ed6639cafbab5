"""A lake whose files go, break, move and come back while it is served."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.postgres.places import Served, commit_points, make_lake, serving

COUNT = "select count(*) from points"


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An endpoint over a lake that tests change, and leave as it was."""
    data = tmp_path_factory.mktemp("changing") / "lake"
    make_lake(data)
    with serving(data) as endpoint:
        yield endpoint


def fails(connection: psycopg.Connection, query: str, served: Served) -> psycopg.Error:
    """How it does; the connection goes on, and the client is told no path."""
    with pytest.raises(psycopg.Error) as failed:
        connection.execute(query)
    assert failed.value.sqlstate == "58030", failed.value
    assert str(served.data.parent) not in str(failed.value)
    assert not connection.closed
    return failed.value


def test_a_manifest_that_breaks_is_told_once_and_may_be_mended(changing: Served) -> None:
    """Statements fail until then, and not the endpoint; the operator is told the file, once."""
    manifest = next((changing.data / "manifests").glob("1*.json"))
    content = manifest.read_bytes()
    with changing.connect() as connection:
        before = connection.execute(COUNT).fetchone()
        manifest.write_text("{broken")
        for _ in range(3):
            fails(connection, "select 1 + count(*) from points", changing)
        manifest.write_bytes(content)
        assert connection.execute(COUNT).fetchone() == before
    assert [str(manifest) in line for line in changing.said] == [True]
    changing.said.clear()


def test_a_lake_that_is_moved_away_may_come_back(changing: Served) -> None:
    """What it holds then is seen."""
    away = changing.data.with_name("away")
    with changing.connect() as connection:
        (before,) = connection.execute(COUNT).fetchone() or (0,)
        changing.data.rename(away)
        fails(connection, "select 2 + count(*) from points", changing)
        away.rename(changing.data)
        commit_points(changing.data, [1.0, 2.0])
        assert connection.execute(COUNT).fetchone() == (before + 2,)
    changing.said.clear()


def test_a_lake_of_a_newer_version_is_not_guessed_at(changing: Served) -> None:
    """An upgrade beside it: statements fail, and say so to the operator."""
    schema = changing.data / "schema.json"
    content = schema.read_bytes()
    with changing.connect() as connection:
        schema.write_text('{"schema_version": 999}')
        commit_points(changing.data, [3.0])
        fails(connection, "select 3 + count(*) from points", changing)
        schema.write_bytes(content)
        connection.execute("select 3 + count(*) from points")
    assert len(changing.said) == 1
    changing.said.clear()


@pytest.mark.parametrize("half", [True, False])
def test_a_file_that_is_gone_or_cut_off_fails_its_statements(changing: Served, half: bool) -> None:
    """Those that read it, and no others."""
    file = next(one for one in (changing.data / "points").rglob("*.parquet") if "empty" not in one.name)
    content = file.read_bytes()
    with changing.connect() as connection:
        connection.execute("select 1")
        file.write_bytes(content[:100]) if half else file.unlink()
        fails(connection, f"select sum(value) + {int(half)} from points", changing)
        assert connection.execute(f"select count(*) + {int(half)} from tasks").fetchone() == (30 + half,)
        file.write_bytes(content)
        connection.execute(f"select sum(value) + {int(half)} from points")


def test_a_cursor_reads_the_state_that_it_began_with(changing: Served) -> None:
    """Though the lake has grown, and its manifest names other files."""
    with psycopg.connect(changing.conninfo) as connection, connection.cursor("slow") as cursor:
        (before,) = connection.execute(COUNT).fetchone() or (0,)
        cursor.execute("select value from points")
        first = cursor.fetchmany(10)
        commit_points(changing.data, [5.0] * 100)
        assert len(first) + len(cursor.fetchall()) == before
